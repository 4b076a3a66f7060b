"""Connect to a Ray cluster or start one, without Ray's terminal output, telemetry or tracebacks."""

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

#: The error message if Ray is not installed.
MISSING = "--engine ray needs Ray: pip install facepriv-ray"
#: The remedy for nodes that differ.
SAME = "all nodes need the same packages installed"
#: Timeout for a cluster to answer, in seconds; Ray itself would try for over a minute.
_REACH = 5.0
#: Disables telemetry and Ray's own output.
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".",  # messages about dead processes, on stdout
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
#: For a local cluster. Its workers do the work, so they get normal priority instead of Ray's lower one. Even without
#: telemetry, Ray's head queries cloud metadata servers and reports to its makers that telemetry is off. The proxies
#: redirect both to a port of this machine.
OWN = {"RAY_worker_niceness": "0", **dict.fromkeys(("http_proxy", "https_proxy"), "http://127.0.0.1:9")}
OWN["no_proxy"] = "127.0.0.1,127.0.0.2,localhost"
#: Size of Ray's object store there, in bytes: it holds paths and outcomes, never photos.
_OBJECTS = 100_000_000
# A Ray head uses HTTP/2. Its server answers a client's first bytes with its settings. With any other server at the
# port, Ray itself would retry for ever.
_SETTINGS = b"\x04"
_GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0" + _SETTINGS + b"\0\0\0\0\0"
# A socket's path is limited to 107 bytes, and Ray's own part takes about 75.
_LONG_BASE = 30


@contextmanager
def connected(address: str) -> Iterator[Any]:
    """Connect to a cluster for the duration of a ``with`` block; yield Ray's module.

    Parameters
    ----------
    address : str
        ``auto`` or ``HOST:PORT``; empty: a cluster of this machine alone, which ends with the connection. An existing
        connection of the caller is used as it is, and stays open.

    Raises
    ------
    PluginError
        If Ray is not installed.
    UsageError
        If no cluster answers there, or joining it fails.
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
                hint = "; where it asks for a token, set RAY_AUTH_MODE=token" if address else ""
                raise UsageError(f"Ray cluster {address or 'on this machine'}: {one_line(error)}{hint}") from error
            logging.getLogger("ray.data").setLevel(logging.CRITICAL)
        yield ray


@contextmanager
def ray_errors() -> Iterator[None]:
    """Shorten Ray's errors, which contain whole tracebacks, to one line."""
    import ray.exceptions

    try:
        yield
    except ray.exceptions.RayError as error:
        lines = [line for line in str(error).splitlines() if line.strip()]
        text = lines[-1].strip() if lines else type(error).__name__
        hint = f"; {SAME}" if "ModuleNotFoundError" in text else ""
        raise FaceprivError(f"Ray: {text}{hint}") from error


def _existing(address: str) -> dict[str, Any]:
    """Return the connection settings of the user's cluster; raise `UsageError` if it does not answer in time."""
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
    """Return a cluster's host and port; raise `ValueError` or `ConnectionError`."""
    if address == "auto":
        from ray._private import services  # it knows the last cluster's address, not whether it still runs

        address = services.get_ray_address_from_environment("auto", None)
    host, colon, port = address.rpartition(":")
    if not colon or "/" in host:
        raise ValueError("not of the form HOST:PORT")
    return host.strip("[]"), int(port)


def _new(ours: ExitStack) -> dict[str, Any]:
    """Return the settings of a cluster of this machine alone: on loopback, with a password, removed afterwards."""
    ours.enter_context(environment(OWN, "RAY_"))
    if not {"RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"} & set(os.environ):
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
    # Ray would replace 127.0.0.1 by this machine's external address, and on any other address its servers accept all
    # hosts. The variable prevents this in the processes that Ray starts; in this one Ray has read it already.
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
    """Return the folder for temporary files, or another one if sockets below it would exceed the path limit."""
    base = gettempdir()
    return "/tmp" if len(base) > _LONG_BASE and os.name == "posix" else base


@contextmanager
def _silence() -> Iterator[None]:
    """Suppress what Ray's core writes to stderr outside Python."""
    sys.stderr.flush()
    kept = os.dup(2)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
