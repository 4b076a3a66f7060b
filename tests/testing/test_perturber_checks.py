"""Every check of the conformance kit passes a method that is right and fails one that is wrong in just that point."""

import os
import random
import re
import socket
from contextlib import suppress
from functools import cache, partial
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from facepriv.contracts import Perturber
from facepriv.testing import Check, checks, run_checks
from facepriv.testing.core import NotApplicable
from facepriv.testing.perturbers import CHECKS
from facepriv.weights import Provenance, WeightsMetadata, load_weights, save_weights, stored_sha256


class Darken(Perturber):
    """A method that conforms; the broken ones below differ from it in one point."""

    attributes = ("gender", "age")

    def _perturb(self, faces, source, target, strength, rngs):
        return faces.images * np.float32(1 - 0.5 * strength)


class Noise(Darken):
    stochastic = True

    def _perturb(self, faces, source, target, strength, rngs):
        noise = np.stack([rng.random(faces.images.shape[1:], dtype=np.float32) for rng in rngs])
        return faces.images + np.float32(0.1 * strength) * noise


class Landmarked(Darken):
    """Darkens the square around the tip of the nose."""

    needs = frozenset({"landmarks"})
    crop_size = 64

    def _perturb(self, faces, source, target, strength, rngs):
        out = faces.images.copy()
        for image, points in zip(out, faces.landmarks, strict=True):
            x, y = points[30].astype(int)
            image[y - 4 : y + 5, x - 4 : x + 5] *= 0.5
        return out


class Tint(Darken):
    """A method with weights: a colour to multiply with."""

    def __init__(self, weights):
        self.weights = Path(weights)
        self.colour = None

    def weights_path(self):
        return self.weights

    def info(self):
        return {"version": "1", "weights": stored_sha256(self.weights), "seen": ["judge"]}

    def _perturb(self, faces, source, target, strength, rngs):
        if self.colour is None:
            self.colour = load_weights(self.weights).tensors["colour"]
        return faces.images * self.colour


@pytest.fixture
def tint(tmp_path):
    path = tmp_path / "tint.safetensors"
    metadata = WeightsMetadata("tint", Provenance("nothing", "a test", "2024-05-01"))
    save_weights(path, {"colour": np.array([0.9, 0.5, 0.1], np.float32)}, metadata)
    return path


@pytest.mark.parametrize("method", [Darken, Noise, Landmarked], ids=lambda method: method.__name__)
def test_a_method_that_is_right_passes_every_check(method):
    results = run_checks(method)
    assert [r.name for r in results] == [check.__name__ for check in CHECKS]
    assert [r for r in results if not r.passed] == []


def test_a_method_with_weights_that_is_right_passes_every_check(tint):
    results = {r.name: r for r in run_checks(partial(Tint, weights=tint))}
    assert [r for r in results.values() if not r.passed] == []
    assert results["weights_round_trip"].detail == ""


# One broken method a check, or several. `perturb` is overridden where the core itself would mend or refuse the fault.


class ReadsInConstructor(Darken):
    def __init__(self):
        with open(os.devnull, "rb") as file:
            file.read()


class ReadsWeightsInConstructor(Tint):
    def __init__(self, weights=None):
        super().__init__(weights or self.default)
        self.colour = load_weights(self.weights).tensors["colour"]


class NoPerturber:
    pass


class NothingDeclared(Darken):
    attributes = ()


class UnknownDeclared(Darken):
    attributes = ("gendre",)


class NegativeSize(Darken):
    crop_size = -1


class NeedsMusic(Darken):
    needs = frozenset({"music"})


class OddPaste(Darken):
    paste = "overlay"


class NoInfo(Darken):
    def info(self):
        return {}


class NumberedVersion(Darken):
    def info(self):
        return {"version": 1.0, "weights": "", "seen": []}


class ObjectsInInfo(Darken):
    def info(self):
        return {"version": "", "weights": "", "seen": [object()]}


class TypeInInfo(Darken):
    def info(self):
        return {"version": "", "weights": "", "seen": [], "dtype": np.float32}


class Cropped(Darken):
    def _perturb(self, faces, *_):
        return faces.images[:, 1:, 1:]


class Bytes(Darken):
    def _perturb(self, faces, *_):
        return (faces.images * 200).astype(np.uint8)


class Overriding(Darken):
    """Base of methods that get past the core by overriding the final `perturb`."""

    def perturb(self, faces, source, target, *, strength=1.0, rngs):
        return faces.images * np.float32(1 - 0.5 * strength)


class Doubles(Overriding):
    def perturb(self, *args, **options):
        return super().perturb(*args, **options).astype(np.float64)


class OutOfRange(Overriding):
    def perturb(self, *args, **options):
        return super().perturb(*args, **options) - np.float32(0.6)


class NotFinite(Darken):
    def _perturb(self, faces, *_):
        return np.log(faces.images * 0)


class Identity(Darken):
    def _perturb(self, faces, *_):
        return faces.images


class LeavesOneFace(Darken):
    def _perturb(self, faces, *_):
        out = faces.images * np.float32(0.5)
        out[1] = faces.images[1]
        return out


class WritesToImages(Darken):
    def _perturb(self, faces, *_):
        faces.images[:] *= np.float32(0.5)
        return faces.images


class WritesToLandmarks(Landmarked):
    def _perturb(self, faces, *_):
        faces.landmarks[:] += 1
        return faces.images * np.float32(0.5)


class WritesToTargets(Darken):
    def _perturb(self, faces, source, target, *_):
        target["gender"][:] = 0
        return faces.images * np.float32(0.5)


class WritesToLabels(Darken):
    def _perturb(self, faces, source, *_):
        source["age"][:] = 0
        return faces.images * np.float32(0.5)


class ReturnsTheInput(Overriding):
    def perturb(self, faces, *args, **options):
        return faces.images


class OwnNoise(Darken):
    def _perturb(self, faces, *_):
        return faces.images * np.float32(np.random.default_rng().random())


class GlobalNoise(Darken):
    def _perturb(self, faces, *_):
        state = np.random.get_state()
        noise = np.random.random()
        np.random.set_state(state)  # so that only reading the global state is wrong
        return faces.images * np.float32(noise)


class Counts(Darken):
    calls = count(2)

    def _perturb(self, faces, *_):
        return faces.images / np.float32(next(self.calls))


class SecretlyStochastic(Noise):
    stochastic = False


class FalselyStochastic(Darken):
    stochastic = True


class MovesRandom(Darken):
    def _perturb(self, faces, *_):
        random.random()
        return faces.images * np.float32(0.5)


class MovesNumpyOnFirstUse(Darken):
    used = False

    def _perturb(self, faces, *_):
        if not self.used:
            self.used = True
            np.random.random()
        return faces.images * np.float32(0.5)


class BuildsANetwork(Darken):
    def _perturb(self, faces, *_):
        import torch

        torch.nn.Linear(2, 2)
        return faces.images * np.float32(0.5)


@cache
def network():
    import torch

    return torch.nn.Linear(2, 2)


class KeepsItsNetwork(Darken):
    def _perturb(self, faces, *_):
        network()
        return faces.images * np.float32(0.5)


class BatchMean(Darken):
    def _perturb(self, faces, *_):
        return faces.images * np.float32(0.5) + faces.images.mean() / 4


class ByPosition(Darken):
    def _perturb(self, faces, *_):
        return faces.images / np.arange(2, len(faces) + 2, dtype=np.float32)[:, None, None, None]


class OddBatches(Darken):
    def _perturb(self, faces, *_):
        return faces.images * np.float32(0.5 if len(faces) < 8 else 0.4)


class NoEmptyBatch(Overriding):
    def perturb(self, faces, *args, **options):
        return np.stack([image * np.float32(0.5) for image in faces.images])


class FlatEmptyBatch(Overriding):
    def perturb(self, faces, *args, **options):
        return np.array([image * np.float32(0.5) for image in faces.images], np.float32)


class AlwaysFull(Overriding):
    def perturb(self, faces, *args, **options):
        return faces.images * np.float32(0.5)


class FullOnly(Darken):
    def _perturb(self, faces, source, target, strength, rngs):
        if strength < 1:
            raise ValueError("no such strength")
        return faces.images * np.float32(0.5)


class OneSizeOnly(Darken):
    def _perturb(self, faces, *_):
        return faces.images * np.linspace(0.2, 0.8, 128, dtype=np.float32)[:, None, None]


class WantsRace(Darken):
    def _perturb(self, faces, source, *_):
        return faces.images * np.float32(0.5) + source["race"][:, None, None, None] * np.float32(0.01)


class WantsKnownClasses(Darken):
    def _perturb(self, faces, source, *_):
        if min(source["gender"]) < 0:
            raise ValueError("unknown gender")
        return faces.images * np.float32(0.5)


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


class MovesToNothing(Darken):
    def to(self, device):
        return None


class MovesToAnother(Darken):
    def to(self, device):
        return Noise()


class WrongHash(Tint):
    def info(self):
        return {**super().info(), "weights": "0" * 64}


class NoWeightsPath(Tint):
    weights_path = None

    def __getattribute__(self, name):
        if name == "weights_path":
            raise AttributeError(name)
        return super().__getattribute__(name)


class IgnoresTheHash(Tint):
    def _perturb(self, faces, *_):
        return faces.images * load_file(self.weights)["colour"]


class IgnoresThePath(Tint):
    def _perturb(self, faces, *_):
        return faces.images * load_weights(self.default).tensors["colour"]


class LoadsOtherwise(Tint):
    def _perturb(self, faces, *_):
        return faces.images * load_weights(self.weights).tensors["colour"] * np.float32(len(str(self.weights)) / 999)


BROKEN = [
    ("constructor_reads_nothing", ReadsInConstructor, "opened /dev/null|opened nul"),
    ("constructor_reads_nothing", NoPerturber, "built a NoPerturber, not a Perturber"),
    ("declarations", NothingDeclared, "declares no attribute"),
    ("declarations", UnknownDeclared, "unknown attribute 'gendre'"),
    ("declarations", NegativeSize, "crop_size is -1"),
    ("declarations", NeedsMusic, "needs unknown things: music"),
    ("declarations", OddPaste, "paste is 'overlay'"),
    ("declarations", Overriding, "overrides perturb, which is final"),
    ("info_is_complete", NoInfo, r"info\(\) has no 'version'"),
    ("info_is_complete", NumberedVersion, r"info\(\)\['version'\] is 1.0, expected a str"),
    ("info_is_complete", ObjectsInInfo, "not JSON serializable"),
    ("info_is_complete", TypeInInfo, r"info\(\)\['dtype'\] is .*float32.*, expected a str"),
    ("shape_and_dtype", Cropped, r"Cropped returned \(3, 127, 127, 3\), expected \(3, 128, 128, 3\)"),
    ("shape_and_dtype", Bytes, "Bytes returned uint8, expected floats"),
    ("shape_and_dtype", Doubles, "dtype float64, expected float32"),
    ("values_in_range", OutOfRange, r"values in \[-0.6, "),
    ("values_finite", NotFinite, "NotFinite returned NaN or infinity"),
    ("changes_the_face", Identity, r"unchanged faces: \[0, 1, 2\]"),
    ("changes_the_face", LeavesOneFace, r"unchanged faces: \[1\]"),
    ("input_untouched", WritesToImages, "wrote to the images"),
    ("input_untouched", WritesToLandmarks, "wrote to the landmarks"),
    ("input_untouched", WritesToTargets, "wrote to the targets of gender"),
    ("input_untouched", WritesToLabels, "wrote to the labels of age"),
    ("input_untouched", ReturnsTheInput, "returned the memory of the input"),
    ("same_seed_same_bytes", OwnNoise, "a second call: differs by up to 0"),
    ("same_seed_same_bytes", GlobalNoise, "under another global random state: differs"),
    ("same_seed_same_bytes", Counts, "a second call: differs"),
    ("stochastic_as_declared", SecretlyStochastic, "declares stochastic = False, but other rngs give other bytes"),
    ("stochastic_as_declared", FalselyStochastic, "declares stochastic = True, but other rngs give the same bytes"),
    ("global_random_state_untouched", MovesRandom, "its first instance moves the global random state of random"),
    (
        "global_random_state_untouched",
        MovesNumpyOnFirstUse,
        "its first instance moves the global random state of numpy",
    ),
    ("global_random_state_untouched", BuildsANetwork, "instance moves the global random state of torch"),
    ("global_random_state_untouched", KeepsItsNetwork, "its first instance moves the global random state of torch"),
    ("batch_equals_single", BatchMean, "face 0 alone against in a batch of 3: differs"),
    ("batch_equals_single", OddBatches, "a batch of 9 against one of 3: differs"),
    ("order_does_not_matter", ByPosition, "in another order: differs"),
    ("empty_batch", NoEmptyBatch, "ValueError: need at least one array to stack"),
    ("empty_batch", FlatEmptyBatch, r"shape \(0,\), expected \(0, 128, 128, 3\)"),
    ("strength_zero_is_identity", AlwaysFull, "at strength 0: differs"),
    ("every_strength_works", FullOnly, "ValueError: no such strength"),
    ("other_crop_sizes", OneSizeOnly, "ValueError: operands could not be broadcast"),
    ("unknown_labels_work", WantsRace, "KeyError: 'race'"),
    ("unknown_labels_work", WantsKnownClasses, "ValueError: unknown gender"),
    ("bad_images_refused", Overriding, "float64 images: accepted, expected ContractError"),
    ("bad_arguments_refused", Overriding, "too few rngs: accepted, expected ContractError"),
    ("unknown_attribute_refused", Overriding, "an unknown attribute: accepted, expected UsageError"),
    ("undeclared_change_refused", Overriding, "a change of race: accepted, expected UsageError"),
    ("no_network", AsksTheNetwork, r"asked for the network: socket\.\w+ .*192\.0\.2\.1"),
    ("no_network", AsksForAnAddress, "asked for the network: socket.getaddrinfo 'weights.invalid'"),
    ("no_network", SendsDatagrams, "asked for the network: socket.sendto"),
    ("pickles", HoldsALambda, "<lambda>"),
    ("pickles", HoldsALambdaOnceUsed, "<lambda>"),
    ("pickles", ForgetsItsSetting, "unpickled, from before the first use: differs"),
    ("moves_to_the_cpu", MovesToNothing, r"to\('cpu'\) returned a NoneType"),
    ("moves_to_the_cpu", MovesToAnother, r"after to\('cpu'\): differs"),
]
BROKEN_WEIGHTS = [
    (WrongHash, r"info\(\)\['weights'\] is 0{64}, but the SHA-256 of .*tint.safetensors is "),
    (NoWeightsPath, r"there is no method weights_path\(\)"),
    (IgnoresTheHash, "a damaged weights file: accepted, expected WeightsError"),
    (IgnoresThePath, "a damaged weights file: accepted, expected WeightsError"),
    (LoadsOtherwise, "with a copy of the weights: differs"),
    (ReadsWeightsInConstructor, "damaged.safetensors: SHA-256 is"),
]


def only(name, subject):
    return next(check for check in checks(subject) if check.name == name)


@pytest.mark.parametrize(("name", "method", "detail"), BROKEN, ids=lambda value: getattr(value, "__name__", None))
@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:invalid value")
def test_a_check_fails_the_method_that_breaks_it_and_says_why(name, method, detail):
    if method in (BuildsANetwork, KeepsItsNetwork):
        pytest.importorskip("torch")
    result = only(name, method).result()
    assert not result.passed
    assert re.search(detail, result.detail), result.detail
    assert "\n" not in result.detail


@pytest.mark.parametrize(("method", "detail"), BROKEN_WEIGHTS, ids=lambda value: getattr(value, "__name__", None))
def test_the_weights_check_fails_the_method_that_breaks_it(tint, method, detail):
    method.default = tint
    result = only("weights_round_trip", partial(method, weights=tint)).result()
    assert not result.passed
    assert re.search(detail, result.detail), result.detail


def test_reading_weights_in_the_constructor_is_seen(tint):
    result = only("constructor_reads_nothing", partial(ReadsWeightsInConstructor, weights=tint)).result()
    assert not result.passed
    assert str(tint) in result.detail


def test_no_check_is_without_a_method_that_fails_it():
    assert {name for name, _, _ in BROKEN} | {"weights_round_trip"} == {check.__name__ for check in CHECKS}


# How checks are put together and run.


def test_a_check_that_does_not_apply_says_so_and_is_a_skipped_test():
    check = only("weights_round_trip", Darken)
    assert check.result().passed
    assert check.result().detail == "not applicable: info() names no weights"
    with pytest.raises(pytest.skip.Exception if issubclass(NotApplicable, pytest.skip.Exception) else NotApplicable):
        check()


def test_an_instance_is_checked_as_a_copy_and_stays_as_it_was(tint):
    method = Tint(tint)
    results = {r.name: r for r in run_checks(method)}
    assert [r for r in results.values() if not r.passed] == []
    assert results["weights_round_trip"].detail == "not applicable: an instance was given: give its class or a factory"
    assert method.colour is None


def test_a_called_check_raises_and_its_name_is_its_id():
    check = only("changes_the_face", Identity)
    assert str(check) == "changes_the_face"
    with pytest.raises(AssertionError, match="unchanged faces"):
        check()


def test_a_method_that_exits_is_a_failed_check():
    def leave():
        raise SystemExit("bye")

    assert Check("leaves", leave).result().detail == "SystemExit: bye"


def test_checks_put_the_watch_away_again():
    with suppress(AssertionError):
        only("no_network", AsksTheNetwork)()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.connect(("127.0.0.1", 9))  # not refused any more
