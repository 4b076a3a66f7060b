"""The server on the loopback address: its socket, its start and its end."""

from __future__ import annotations

import html
import socket
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from threading import Thread
from types import FrameType

import uvicorn

from facepriv.errors import UsageError
from facepriv.files import atomic_write
from facepriv.protection.options import new_key, read_key
from facepriv.serve.app import make_app
from facepriv.serve.guard import Guard, new_token
from facepriv.serve.photo_client import PhotoClient
from facepriv.serve.photo_process import PhotoSetup
from facepriv.serve.root import Root
from facepriv.serve.run_record import records_folder
from facepriv.serve.runs import Runs

HOST = "127.0.0.1"


class Server(uvicorn.Server):
    """Ends with Ctrl-C or a signal without raising it once more, so that the caller can clean up."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """End after open requests; at once for a second signal."""
        self.force_exit = self.should_exit
        self.should_exit = True


def run_server(
    root: Path,
    *,
    port: int = 0,
    key_file: Path | None = None,
    device: str = "cpu",
    browser: bool = True,
    say: Callable[[str], None] = print,
) -> int:
    """Serve the page until a signal ends it.

    Parameters
    ----------
    root : Path
        The folder below which the page reads and writes.
    port : int
        0: a free one.
    key_file : Path, optional
        See `facepriv.protection.options.read_key`.
    device : str
    browser : bool
        Whether to open the page.
    say : callable
        Called with the address once the server answers.

    Returns
    -------
    int
        The number of runs that go on in the background.

    Raises
    ------
    UsageError
        If the root is no folder, the port is taken, or the key file cannot be used.
    """
    place = Root(root)
    key = new_key() if key_file is None else read_key(key_file, str(place.folder))
    with listening(port) as listener:
        number = listener.getsockname()[1]
        token = new_token()
        address = f"http://{HOST}:{number}/{token}/"
        photos = PhotoClient(PhotoSetup(key, device))
        runs = Runs(place, "" if key_file is None else str(key_file.absolute()), device)
        config = uvicorn.Config(
            Guard(make_app(photos, runs), token, number),
            log_config=None,
            log_level="critical",
            access_log=False,  # the address holds the token, and nothing is logged about a photo
            server_header=False,
            proxy_headers=False,
            lifespan="off",
            ws="none",
            timeout_graceful_shutdown=1,
        )
        photos.start()
        say(address)
        try:
            with opened(address) if browser else nullcontext():
                Server(config).run(sockets=[listener])
        finally:
            photos.close()
        return runs.going_on()


@contextmanager
def listening(port: int) -> Iterator[socket.socket]:
    """Listen on the loopback address; raises `UsageError` if the port is taken."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        if hasattr(socket, "SO_REUSEADDR") and not hasattr(socket, "SO_EXCLUSIVEADDRUSE"):
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
        except OSError as error:
            raise UsageError(f"port {port} cannot be used ({error.strerror}): name another with --port") from error
        listener.listen()
        yield listener


@contextmanager
def opened(address: str) -> Iterator[None]:
    """Open the page in the browser.

    The browser is given a file that leads there, readable by its owner alone: the command lines of programs can be read
    by everyone on the machine, and the address holds the token.
    """
    file = records_folder() / f"open-{address.split(':')[2].split('/')[0]}.html"
    text = html.escape(address)
    atomic_write(file, f'<!doctype html><meta http-equiv="refresh" content="0;url={text}">'.encode(), private=True)
    try:
        # A text browser would keep the terminal, and return only at its end.
        Thread(target=webbrowser.open, args=(file.as_uri(),), daemon=True).start()
        yield
    finally:
        file.unlink(missing_ok=True)
