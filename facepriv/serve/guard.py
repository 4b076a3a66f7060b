"""Who may ask the server what: the token in the address, Host and Origin, and the headers of every answer."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

#: The page loads nothing but its own files, sends nothing elsewhere, and cannot be framed.
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
_HEADERS = {
    "content-security-policy": PAGE_POLICY,
    "cache-control": "no-store",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
_FOREIGN = "This address answers only the page that facepriv serve opened.\n"
_NO_TOKEN = "The token is wrong or missing: open the address that facepriv serve printed.\n"


def new_token() -> str:
    """Return a token of 256 random bits."""
    return secrets.token_urlsafe(32)


class Guard:
    """Refuses every request without the token, from another site, or for another host; adds headers to all answers.

    The token is the first part of the path. The other application sees the path without it.

    Parameters
    ----------
    app : ASGI application
    token : str
    port : int
        The server's own; Host and Origin must name it.
    """

    def __init__(self, app: App, token: str, port: int) -> None:
        self.app, self.token = app, token.encode()
        hosts = [f"127.0.0.1:{port}", f"localhost:{port}"] + ["127.0.0.1", "localhost"] * (port == 80)
        self.origins = {f"http://{host}".encode(): host.encode() for host in hosts}

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one connection."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            return  # no web sockets: the connection is closed
        send = _with_headers(send)
        token, _, rest = scope["path"].removeprefix("/").partition("/")
        if not self._ours(scope):
            await _refuse(send, _FOREIGN)
        elif not hmac.compare_digest(token.encode("utf-8", "replace"), self.token):
            await _refuse(send, _NO_TOKEN)
        else:
            path = f"/{rest}"
            await self.app({**scope, "path": path, "raw_path": path.encode("utf-8", "replace")}, receive, send)

    def _ours(self, scope: Message) -> bool:
        """Return whether a request comes from our page, or opens it, under our own name."""
        hosts, origins, sites = (_all(scope, name) for name in (b"host", b"origin", b"sec-fetch-site"))
        if len(hosts) != 1 or hosts[0] not in self.origins.values():
            return False  # another name that leads to this address: DNS rebinding
        if scope["method"] not in ("GET", "HEAD"):
            # Only our page may change anything; every browser names the origin here.
            return [self.origins.get(origin) for origin in origins] == hosts
        if origins and [self.origins.get(origin) for origin in origins] != hosts:
            return False
        # A page may be opened from anywhere, as when the browser starts; pictures, scripts and data may not be used.
        opened = _all(scope, b"sec-fetch-mode") == [b"navigate"]
        return opened or all(site in (b"same-origin", b"none") for site in sites)


def _all(scope: Message, name: bytes) -> list[bytes]:
    return [value for key, value in scope["headers"] if key.lower() == name]


def _with_headers(send: Send) -> Send:
    """Return `send` that adds the headers that an answer does not set itself."""

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            there = {key.lower() for key, _ in message["headers"]}
            added = {k: v for k, v in _HEADERS.items() if k.encode() not in there}
            message["headers"] = [*message["headers"], *_encoded(added)]
        await send(message)

    return sent


def _encoded(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode()) for name, value in headers.items()]


async def _refuse(send: Send, text: str) -> None:
    body = text.encode()
    headers = _encoded({"content-type": "text/plain; charset=utf-8", "content-length": str(len(body))})
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": body})
