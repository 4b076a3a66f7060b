"""Methods that read, ask or move what is around them, or cannot be sent to another process."""

import os
import socket
from contextlib import suppress

import numpy as np
from safetensors.numpy import load_file

from facepriv.weights import load_weights
from kit_methods.right import Darken, Noise, Tint, variant


class ReadsInConstructor(Darken):
    def __init__(self):
        with open(os.devnull, "rb") as file:
            file.read()


class ReadsWeightsInConstructor(Tint):
    def __init__(self, weights=None):
        super().__init__(weights or self.default)
        self.colour = load_weights(self.weights).tensors["colour"]


class AsksTheNetwork(Darken):
    def _perturb(self, faces, *_):
        with suppress(OSError), socket.create_connection(("192.0.2.1", 80), timeout=0.01):
            pass
        return faces.images * np.float32(0.5)


class AsksForAnAddress(Darken):
    def _perturb(self, faces, *_):
        with suppress(OSError):
            socket.getaddrinfo("weights.invalid", 443)
        return faces.images * np.float32(0.5)


class SendsDatagrams(Darken):
    def _perturb(self, faces, *_):
        with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"used", ("192.0.2.1", 9))
        return faces.images * np.float32(0.5)


class HoldsALambda(Darken):
    def __init__(self):
        self.work = lambda images: images * np.float32(0.5)


class HoldsALambdaOnceUsed(Darken):
    def _perturb(self, faces, *_):
        self.work = lambda images: images * np.float32(0.5)
        return self.work(faces.images)


class ForgetsItsSetting(Darken):
    def __init__(self):
        self.amount = np.float32(0.5)

    def __reduce__(self):
        return Doubtful, ()

    def _perturb(self, faces, *_):
        return faces.images * self.amount


class Doubtful(ForgetsItsSetting):
    def __init__(self):
        self.amount = np.float32(0.25)


MovesToNothing = variant("MovesToNothing", to=lambda self, device: None)
MovesToAnother = variant("MovesToAnother", to=lambda self, device: Noise())


class WrongHash(Tint):
    def info(self):
        return {**super().info(), "weights": "0" * 64}


class NoWeightsPath(Tint):
    weights_path = None

    def __getattribute__(self, name):
        if name == "weights_path":
            raise AttributeError(name)
        return super().__getattribute__(name)


IgnoresTheHash = variant(
    "IgnoresTheHash", Tint, _perturb=lambda self, faces, *_: faces.images * load_file(self.weights)["colour"]
)
IgnoresThePath = variant(
    "IgnoresThePath", Tint, _perturb=lambda self, faces, *_: faces.images * load_weights(self.default).tensors["colour"]
)
LoadsOtherwise = variant(
    "LoadsOtherwise",
    Tint,
    _perturb=lambda self, faces, *_: (
        faces.images * load_weights(self.weights).tensors["colour"] * np.float32(len(str(self.weights)) / 999)
    ),
)

#: Check, method that breaks it, and what the check says.
BROKEN = [
    ("constructor_reads_nothing", ReadsInConstructor, "opened /dev/null|opened nul"),
    ("no_network", AsksTheNetwork, r"accessed the network: socket\.\w+ .*192\.0\.2\.1"),
    ("no_network", AsksForAnAddress, "accessed the network: socket.getaddrinfo 'weights.invalid'"),
    ("no_network", SendsDatagrams, "accessed the network: socket.sendto"),
    ("pickles", HoldsALambda, "cannot be sent to a worker process before its first use: .*<lambda>"),
    ("pickles", HoldsALambdaOnceUsed, "cannot be sent to a worker process after its first use: .*<lambda>"),
    ("pickles", ForgetsItsSetting, "unpickled, from before the first use: differs"),
    ("moves_to_the_cpu", MovesToNothing, r"to\('cpu'\) returned a NoneType"),
    ("moves_to_the_cpu", MovesToAnother, r"after to\('cpu'\): differs"),
]
#: Methods that break the check of weights, and what it says.
BROKEN_WEIGHTS = [
    (WrongHash, r"info\(\)\['weights'\] is 0{64}, but the SHA-256 of .*tint.safetensors is "),
    (NoWeightsPath, r"there is no method weights_path\(\)"),
    (IgnoresTheHash, "a damaged weights file: accepted, expected WeightsError"),
    (IgnoresThePath, "a damaged weights file: accepted, expected WeightsError"),
    (LoadsOtherwise, "with a copy of the weights: differs"),
    (ReadsWeightsInConstructor, "damaged.safetensors: SHA-256 is"),
]
