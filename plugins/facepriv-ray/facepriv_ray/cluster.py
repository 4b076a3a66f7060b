"""Reaching a Ray cluster, or starting one, without Ray's lines on the terminal, its telemetry, or its tracebacks."""

from __future__ import annotations

import logging
import os
import secrets
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from tempfile import TemporaryDirectory, gettempdir
from typing import Any

from facepriv.errors import FaceprivError, PluginError, UsageError, one_line
from facepriv.pool import environment

#: What a program without Ray is told.
MISSING = "--engine ray needs Ray: pip install facepriv-ray"
#: What to do about nodes that differ.
SAME = "all nodes need the same packages installed"
#: Seconds for a cluster to answer; Ray itself would try for over a minute.
_REACH = 5.0
#: No telemetry; no lines of Ray's among ours.
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".",  # what the cluster says of dead processes, on stdout
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
#: For a cluster of ours. Its workers do the work: they are not to stand behind other programs, as Ray would have it.
#: Telemetry or not, Ray's head asks the cloud's metadata servers where it runs, and tells its makers that it is to tell
#: nothing: both end at a port of this machine.
OWN = {"RAY_worker_niceness": "0", **dict.fromkeys(("http_proxy", "https_proxy"), "http://127.0.0.1:9")}
OWN["no_proxy"] = "127.0.0.1,127.0.0.2,localhost"
#: Bytes for Ray's objects there: paths and outcomes, never photos.
_OBJECTS = 100_000_000
# What a Ray head speaks is HTTP/2, whose server answers a client's first bytes with its settings. Whatever else is at a
# port would keep Ray itself asking for ever.
_SETTINGS = b"\x04"
_GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0" + _SETTINGS + b"\0\0\0\0\0"
# A socket's path has 107 bytes at most, and Ray's own part of it is some 75.
_LONG_BASE = 30


@contextmanager
def connected(address: str) -> Iterator[Any]:
    """Be connected to a cluster; gives Ray's module.

    Parameters
    ----------
    address : str
        ``auto`` or ``HOST:PORT``; empty: a cluster of this machine alone, which goes with the connection. A connection
        that the caller has made already is used as it is, and left open.

    Raises
    ------
    PluginError
        If Ray is not installed.
    UsageError
        If no cluster answers there, or it cannot be joined.
    """
    with ExitStack() as ours:
        ours.enter_context(environment(QUIET, "RAY_"))
        try:
            import ray.data
        except ImportError as error:
            raise PluginError(MISSING) from error
        if not ray.is_initialized():
            how = _existing(address) if address else _new(ours)
            ours.callback(ray.shutdown)
            try:
                with _silence():
                    ray.init(log_to_driver=False, logging_level=logging.CRITICAL, **how)
            except (Exception, SystemExit) as error:
                mend = "; where it asks for a token, set RAY_AUTH_MODE=token" if address else ""
                raise UsageError(f"Ray cluster {address or 'on this machine'}: {one_line(error)}{mend}") from error
            logging.getLogger("ray.data").setLevel(logging.CRITICAL)
        yield ray


@contextmanager
def ray_errors() -> Iterator[None]:
    """Turn Ray's errors, which hold whole tracebacks, into one line."""
    import ray.exceptions

    try:
        yield
    except ray.exceptions.RayError as error:
        lines = [line for line in str(error).splitlines() if line.strip()]
        text = lines[-1].strip() if lines else type(error).__name__
        mend = f"; {SAME}" if "ModuleNotFoundError" in text else ""
        raise FaceprivError(f"Ray: {text}{mend}") from error


def _existing(address: str) -> dict[str, Any]:
    """Return how to connect to the user's cluster; raises `UsageError` if it does not answer at once."""
    try:
        with socket.create_connection(_host_and_port(address), timeout=_REACH) as server:
            server.sendall(_GREETING)
            answer = server.recv(9)
        if answer[3:4] != _SETTINGS:
            raise ValueError("it is no port of Ray's; the usual one is 6379")
    except (OSError, ValueError) as error:
        raise UsageError(
            f"--address {address}: no Ray cluster answers there ({one_line(error)}); 'ray start --head' starts one, "
            "and on its nodes the address is auto or HOST:PORT"
        ) from error
    return {"address": address}


def _host_and_port(address: str) -> tuple[str, int]:
    """Return where a cluster should answer; raises `ValueError` or `ConnectionError`."""
    if address == "auto":
        from ray._private import services  # it knows where the last cluster was started, not whether that lives

        address = services.get_ray_address_from_environment("auto", None)
    host, colon, port = address.rpartition(":")
    if not colon or "/" in host:
        raise ValueError("not of the form HOST:PORT")
    return host.strip("[]"), int(port)


def _new(ours: ExitStack) -> dict[str, Any]:
    """Return how to start a cluster of this machine alone: on loopback, with a password, and leaving nothing."""
    ours.enter_context(environment(OWN, "RAY_"))
    if not {"RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"} & set(os.environ):
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
    # For 127.0.0.1 Ray would take this machine's outside address, and at any other its servers listen to everybody.
    # The variable says so to the processes that Ray starts; in this one Ray has read it already.
    from ray._private import ray_constants

    os.environ[ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR] = "0"
    ours.callback(setattr, ray_constants, "ENABLE_RAY_CLUSTER", ray_constants.ENABLE_RAY_CLUSTER)
    ray_constants.ENABLE_RAY_CLUSTER = False
    return {
        "address": "local",
        "include_dashboard": False,
        "object_store_memory": _OBJECTS,
        "_node_ip_address": "127.0.0.1",
        "_temp_dir": ours.enter_context(TemporaryDirectory(prefix="ray-", dir=_base(), ignore_cleanup_errors=True)),
    }


def _base() -> str:
    """Return the folder for temporary files, or another where sockets below it would have too long a path."""
    base = gettempdir()
    return "/tmp" if len(base) > _LONG_BASE and os.name == "posix" else base


@contextmanager
def _silence() -> Iterator[None]:
    """Keep off stderr what Ray's core writes there past Python."""
    sys.stderr.flush()
    kept = os.dup(2)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
