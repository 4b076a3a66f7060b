"""The checks of a method's side effects: files, network, global state, other processes, weights."""

from __future__ import annotations

import hashlib
import pickle
import shutil
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from facepriv.contracts import Perturber
from facepriv.errors import WeightsError, one_line
from facepriv.testing import audit
from facepriv.testing.core import Finding, Make, NotApplicable, require
from facepriv.testing.running import refused, run, same
from facepriv.weights import hash_path, load_weights


def constructor_reads_nothing(make: Make) -> None:
    """Building the method opens no file: weights are read on first use, so that listing methods is fast."""
    with audit.no_data_files():
        method = make()
    require(isinstance(method, Perturber), f"built a {type(method).__name__}, not a Perturber", follows="works")


def global_random_state_untouched(make: Make) -> None:
    """Using the method leaves the generators of random, numpy and torch as they are, at first use too."""
    audit.require_random_states_kept(make, run, "draw from rngs")


def no_network(make: Make) -> None:
    """Building and using the method does not access the network."""
    with audit.no_network():
        run(make())


def pickles(make: Make) -> None:
    """The method can be sent to a worker process, before its first use and after, and works the same there."""
    method = make()
    fresh = _pickled(method, "before its first use")
    out = run(method)
    used = _pickled(method, "after its first use")
    same(out, run(pickle.loads(fresh)), "unpickled, from before the first use")  # noqa: S301 - made three lines above
    same(out, run(pickle.loads(used)), "unpickled, from after the first use")  # noqa: S301


def _pickled(method: Perturber, when: str) -> bytes:
    try:
        return pickle.dumps(method)
    except Exception as error:  # its attributes may raise anything
        raise Finding(f"cannot be sent to a worker process {when}: {one_line(error)}") from error


def moves_to_the_cpu(make: Make) -> None:
    """`to("cpu")` returns the method, with the same results."""
    moved = make().to("cpu")
    require(isinstance(moved, Perturber), f"to('cpu') returned a {type(moved).__name__}")
    same(run(make()), run(moved), "after to('cpu')")


def weights_round_trip(make: Make) -> None:
    """`info` has the hash of the weights file, loading a copy gives the same output, a damaged copy is refused."""
    method = make()
    sha256 = method.info()["weights"]
    if not sha256:
        raise NotApplicable("info() names no weights")
    require(hasattr(method, "weights_path"), "info() names weights, but there is no method weights_path()")
    path = Path(method.weights_path())
    actual = hashlib.sha256(path.read_bytes()).hexdigest()
    require(sha256 == actual, f"info()['weights'] is {sha256}, but the SHA-256 of {path} is {actual}")
    load_weights(path, sha256)
    out = run(method)
    with tempfile.TemporaryDirectory() as folder:
        moved = Path(folder, path.name)
        shutil.copy(path, moved)
        shutil.copy(hash_path(path), hash_path(moved))
        again = make(weights=moved)
        require(again.info()["weights"] == sha256, "info() of a copy of the weights names another hash")
        same(out, run(again), "with a copy of the weights")
        # Under a separate name, because a method may cache what it has loaded from a path.
        damaged = Path(folder, "damaged.safetensors")
        data = path.read_bytes()
        damaged.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
        shutil.copy(hash_path(path), hash_path(damaged))
        absent = Path(folder, "absent.safetensors")
        for what, bad in (("damaged", damaged), ("missing", absent)):
            broken = make(weights=bad)
            refused(f"a {what} weights file", WeightsError, partial(run, broken))


CHECKS: tuple[Callable[[Make], None], ...] = (
    constructor_reads_nothing,
    global_random_state_untouched,
    no_network,
    pickles,
    moves_to_the_cpu,
    weights_round_trip,
)
