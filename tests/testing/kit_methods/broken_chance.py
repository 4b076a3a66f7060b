"""Methods whose result depends on more than the face and its generator."""

import random
from functools import cache
from itertools import count

import numpy as np

from kit_methods.right import Darken, Noise, variant

OwnNoise = variant(
    "OwnNoise", _perturb=lambda self, faces, *_: faces.images * np.float32(np.random.default_rng().random())
)


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


SecretlyStochastic = variant("SecretlyStochastic", Noise, stochastic=False)
FalselyStochastic = variant("FalselyStochastic", stochastic=True)


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


BatchMean = variant(
    "BatchMean", _perturb=lambda self, faces, *_: faces.images * np.float32(0.5) + faces.images.mean() / 4
)
ByPosition = variant(
    "ByPosition",
    _perturb=lambda self, faces, *_: faces.images / np.arange(2, len(faces) + 2, dtype=np.float32)[:, None, None, None],
)
OddBatches = variant(
    "OddBatches", _perturb=lambda self, faces, *_: faces.images * np.float32(0.5 if len(faces) < 8 else 0.4)
)

#: Check, method that breaks it, and what the check says.
BROKEN = [
    ("same_seed_same_bytes", OwnNoise, "a second call: differs by up to 0.*: draw from rngs"),
    (
        "same_seed_same_bytes",
        GlobalNoise,
        "under another global random state: differs .* draw from rngs, not from the global",
    ),
    ("same_seed_same_bytes", Counts, "a second call: differs"),
    ("stochastic_as_declared", SecretlyStochastic, "declares stochastic = False, but other rngs give other bytes"),
    ("stochastic_as_declared", FalselyStochastic, "declares stochastic = True, but other rngs give the same bytes"),
    (
        "global_random_state_untouched",
        MovesRandom,
        "its first instance moves .* state of random: draw from rngs",
    ),
    (
        "global_random_state_untouched",
        MovesNumpyOnFirstUse,
        "its first instance moves the global random state of numpy",
    ),
    (
        "global_random_state_untouched",
        BuildsANetwork,
        "moves .* of torch: build networks in torch.random.fork_rng",
    ),
    ("global_random_state_untouched", KeepsItsNetwork, "its first instance moves the global random state of torch"),
    ("batch_equals_single", BatchMean, "face 0 alone against in a batch of 3: differs"),
    ("batch_equals_single", OddBatches, "a batch of 9 against one of 3: differs"),
    ("order_does_not_matter", ByPosition, "in another order: differs"),
]
