"""``facepriv serve``: the local page."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import click

from facepriv.cli import console
from facepriv.cli.options import PATH
from facepriv.errors import PluginError

_NEEDED = ("starlette", "uvicorn")


@click.command("serve", short_help="Open a local page: try methods on a photo, protect a folder.")
@click.option(
    "--root",
    type=PATH,
    default=Path("."),
    metavar="FOLDER",
    help="Folder below which the page may read and write. [default: the current folder]",
)
@click.option(
    "--port", type=click.IntRange(0, 65_535), default=0, metavar="N", help="Port to listen on. [default: a free one]"
)
@click.option(
    "--key-file",
    type=PATH,
    metavar="FILE",
    help="Secret that decides drawn classes, as for 'facepriv apply'; a file outside the root. Default: a fresh one "
    "that is not stored.",
)
@click.option("--device", default="cpu", show_default=True, metavar="NAME", help="cpu, cuda, cuda:1, mps.")
@click.option("--browser/--no-browser", default=True, show_default=True, help="Open the page in the browser.")
def command(root: Path, port: int, key_file: Path | None, device: str, browser: bool) -> None:
    """Open a page on this machine: try methods on a photo, compare them, protect a folder, open reports.

    The page's address is printed; it holds a token, so give it to nobody. The server listens on the loopback address
    only, and reads and writes only below --root. A photo that you drop there is held in memory. Ctrl-C ends the server;
    a run over a folder goes on in the background.
    """
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise PluginError(f"the page needs {' and '.join(missing)}: install facepriv with the extra 'serve'")
    from facepriv.registry import check_device
    from facepriv.serve.server import run_server

    check_device(device)

    def say(address: str) -> None:
        console.note("the page is at the address below; Ctrl-C ends the server")
        click.echo(address)

    going_on = run_server(root, port=port, key_file=key_file, device=device, browser=browser, say=say)
    if going_on:
        runs = "a run goes" if going_on == 1 else f"{going_on} runs go"
        console.note(f"{runs} on in the background; the page shows and stops it when facepriv serve runs again")
