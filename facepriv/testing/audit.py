"""Detects side effects of a call: opened files, network access, changed global random state."""

from __future__ import annotations

import os
import random
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np

from facepriv.testing.core import Make, require

_NETWORK = {
    "socket.connect",
    "socket.getaddrinfo",
    "socket.gethostbyname",
    "socket.gethostbyaddr",
    "socket.sendmsg",
    "socket.sendto",
}
_CODE = (".py", ".pyc", ".so", ".pyd", ".dll", ".zip")
_PACKAGE_DATA = re.compile(r"\.(dist|egg)-info[/\\]")
_observers: list[Callable[[str, tuple[Any, ...]], None]] = []


@contextmanager
def no_network() -> Iterator[None]:
    """Block network access inside the block, and fail at its end if any was attempted, even if the error was caught.

    All sockets opened from Python in this process are detected; those of child programs are not.
    """
    attempts: list[str] = []

    def refuse(event: str, args: tuple[Any, ...]) -> None:
        if event not in _NETWORK:
            return
        lookup = event.startswith("socket.get")
        address = args[0] if lookup else args[1]
        # A path is a Unix socket, which worker processes use; None is a socket that is already connected.
        if not lookup and (address is None or isinstance(address, str | bytes)):
            return
        attempts.append(f"{event} {address!r}")
        raise PermissionError(f"network is refused here: {attempts[-1]}")

    with _observing(refuse):
        try:
            yield
        finally:
            require(not attempts, f"accessed the network: {', '.join(attempts)}")


@contextmanager
def no_data_files() -> Iterator[None]:
    """Fail at the end of the block if it opened a file that is neither code nor needed to find plugins."""
    opened: list[str] = []
    # A script without a suffix, such as bin/facepriv, is code; importing torch reads it to show a warning's location.
    script = getattr(sys.modules.get("__main__"), "__file__", None)

    def note(event: str, args: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(args[0], str | bytes | os.PathLike):
            path = os.fsdecode(args[0])
            # Importing torch reads /proc, which holds no real files.
            code = path.endswith(_CODE) or path == script
            if not code and not _PACKAGE_DATA.search(path) and not path.startswith("/proc/"):
                opened.append(path)

    with _observing(note):
        yield
    require(not opened, f"opened {', '.join(opened)}")


def require_random_states_kept(make: Make, use: Callable[[Any], object], fix: str) -> None:
    """Fail if building a component and using it changes a global random state (see `random_states`).

    Parameters
    ----------
    make, use : callable
        Build an instance; use it once.
    fix : str
        What it should do instead of drawing from a global generator.
    """
    for instance in ("first", "second"):  # the first may import torch, whose generator did not exist before
        component = make()
        before = random_states()
        use(component)
        use(component)
        moved = [name for name, state in random_states().items() if name in before and state != before[name]]
        if moved == ["torch"]:
            # The usual cause: building a torch network draws its initial values.
            fix = f"build networks in torch.random.fork_rng(), and {fix}"
        require(not moved, f"its {instance} instance moves the global random state of {', '.join(moved)}: {fix}")


def random_states() -> dict[str, object]:
    """Return the state of the global generators of random, numpy and, if imported, torch."""
    numpy_state = np.random.get_state(legacy=True)
    states: dict[str, object] = {
        "random": random.getstate(),
        "numpy.random": [part.tobytes() if isinstance(part, np.ndarray) else part for part in numpy_state],
    }
    if torch := sys.modules.get("torch"):
        states["torch"] = torch.get_rng_state().numpy().tobytes()
    return states


@contextmanager
def global_seed(seed: int) -> Iterator[None]:
    """Seed the global generators inside the block and restore their states after it."""
    torch = sys.modules.get("torch")
    states = random.getstate(), np.random.get_state(), torch.get_rng_state() if torch else None
    random.seed(seed)
    np.random.seed(seed)
    if torch:
        torch.manual_seed(seed)
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        if torch:
            torch.set_rng_state(states[2])


@contextmanager
def _observing(observer: Callable[[str, tuple[Any, ...]], None]) -> Iterator[None]:
    _install_hook()
    _observers.append(observer)
    try:
        yield
    finally:
        _observers.remove(observer)


@cache
def _install_hook() -> None:
    """Add one audit hook to the interpreter; it cannot be removed, so it is added once and only when needed."""

    def hook(event: str, args: tuple[Any, ...]) -> None:
        for observer in _observers:
            observer(event, args)

    sys.addaudithook(hook)
