"""The first part of bench.py: speed of PrivacyNet's generator on the CPU, one face at a time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from facepriv_privacynet.inference import LaidOut, for_one_face
from facepriv_privacynet.method import PrivacyNet, load_generator
from facepriv_privacynet.networks import Generator, GeneratorShape, encode
from shared import in_turns, spread
from torch import Tensor, nn

from facepriv.inference.devices import bfloat16_units
from facepriv.testing import specimens

#: Minimum ratio of faces per second to the plain StarGAN.
TIMES_STARGAN = 10.0
#: Minimum ratio of faces per second to the same weights in eager float32, whatever the processor. AMX multiplies
#: bfloat16 16 times as fast as AVX-512 multiplies float32, AVX512_BF16 only twice, and other processors not at all.
TIMES_OWN = 4.0
#: Maximum ratio of seconds to its convolutions alone.
TIMES_CONVOLUTIONS = 2.0
PLAIN, OWN, OURS, ALONE = "StarGAN, 64 channels", "ours, eager float32", "ours, as applied", "its convolutions alone"


def measure(rounds: int, threads: int, weights: Path | None = None) -> dict[str, Any]:
    """Return seconds per face of each round, and the ratios round by round."""
    torch.set_num_threads(threads)
    method = PrivacyNet(weights)
    own, _ = load_generator(method.weights_path(), "cpu", method.variant.architecture)
    units = bfloat16_units("cpu")
    dtype = torch.bfloat16 if units else torch.float32
    quick = for_one_face(own, dtype)
    # As in StarGAN: labels as constant input channels, a new image through tanh, 64 channels, six blocks.
    shape = GeneratorShape(own.shape.size, base=64, blocks=6, conditioning="channels", output="image")
    plain = Generator(shape).eval().requires_grad_(False)
    face = torch.from_numpy(specimens(own.shape.size, landmarks=False).images[:1]).permute(0, 3, 1, 2)
    contiguous = face.contiguous()  # the default memory format of eager torch
    wanted = encode({name: torch.zeros(1, dtype=torch.int64) for name in ("gender", "race", "age")})
    with torch.inference_mode():
        differs = float((quick(face, wanted) - own(contiguous, wanted)).abs().max())
        jobs: dict[str, Callable[[], object]] = {
            PLAIN: lambda: plain(contiguous, wanted),
            OWN: lambda: own(contiguous, wanted),
            OURS: lambda: quick(face, wanted),
            ALONE: convolutions(quick, face, wanted),
        }
        seconds = in_turns(jobs, rounds)
    ratios = {
        "times_stargan": spread(seconds[PLAIN], seconds[OURS]),
        "times_own": spread(seconds[OWN], seconds[OURS]),
        "times_convolutions": spread(seconds[OURS], seconds[ALONE]),
    }
    return {
        "size": own.shape.size,
        "threads": torch.get_num_threads(),
        "rounds": rounds,
        "torch": torch.__version__,
        "dtype": str(dtype).removeprefix("torch."),
        "units": units,
        "seconds": seconds,
        **ratios,
        "differs": differs,
    }


def convolutions(network: nn.Module, x: Tensor, v: Tensor) -> Callable[[], None]:
    """Return a job that runs only a network's convolutions, on their inputs in the network."""
    given: list[tuple[nn.Module, Tensor]] = []
    layers = [layer for layer in network.modules() if isinstance(layer, LaidOut | nn.Conv2d | nn.ConvTranspose2d)]
    hooks = [layer.register_forward_hook(lambda layer, args, _: given.append((layer, args[0]))) for layer in layers]
    network(x, v)
    for hook in hooks:
        hook.remove()

    def job() -> None:
        for layer, value in given:
            layer(value)

    return job
