"""Keeps tests off the network: what leaves this machine is refused, and noted in the file that FACEPRIV_OFFLINE names.

The root conftest loads it into the process of the tests and puts its folder on PYTHONPATH, where every Python that they
start finds it under this name. Sockets that another language opens are not seen here, but by tests/test_traces.py.
"""

import os
import socket
import sys

_ADDRESSED = {"socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg"}
_ASKED_FOR = {"socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr", "socket.getnameinfo"}
_HERE = {"localhost", "::1", socket.gethostname()}


def _host(event, args):
    """Return the host that an event is about, None where it is about none."""
    if event in _ADDRESSED:
        asker, address = args
        internet = asker.family in (socket.AF_INET, socket.AF_INET6)
        return address[0] if internet and address is not None else None
    if event in _ASKED_FOR:
        host = args[0][0] if event == "socket.getnameinfo" else args[0]
        return host or None
    return None


def _keep_off(event, args):
    if event[:7] != "socket.":
        return
    host = _host(event, args)
    host = host.decode() if isinstance(host, bytes) else host
    if host is None or host in _HERE or host.startswith(("127.", "::ffff:127.")):
        return
    audit = sys.modules.get("facepriv.testing.audit")
    if audit and audit._observers:
        return  # the conformance kit refuses it in its own words
    text = f"{event} {host!r} by {' '.join(getattr(sys, 'argv', []))[:200]}"
    with open(os.environ["FACEPRIV_OFFLINE"], "a") as notes:
        notes.write(f"{text}\n")
    raise PermissionError(f"tests keep off the network: {text}")


sys.addaudithook(_keep_off)
