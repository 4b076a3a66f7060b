"""The process that holds photos and models, and its end of the pipe to the server.

It writes no file. It ends when the server ends, however that happens.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Literal

from facepriv.errors import FaceprivError, one_line
from facepriv.pool import end_with_parent
from facepriv.registry import registry
from facepriv.serve.models import Models
from facepriv.serve.photos import Closed, Photos, give_back_memory

#: How a job ended: its value, one line about an error of the caller's, or a photo that is no longer open.
Ending = Literal["done", "wrong", "closed"]


@dataclass(frozen=True)
class PhotoSetup:
    """What the process is started with."""

    key: bytes
    device: str = "cpu"


def serve(pipe: Connection, setup: PhotoSetup) -> None:
    """Do jobs until the server closes its end: each is a name of `jobs` and its arguments, the answer an `Ending`."""
    if hasattr(signal, "SIGINT"):
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the server ends this process
    end_with_parent()
    models = Models(registry(), setup.key, setup.device)
    known = jobs(models, Photos(models))
    while True:
        try:
            name, given = pipe.recv()
        except (EOFError, OSError):
            return
        answer = _answer(known[name], given)
        del given  # an upload may be large
        give_back_memory()
        try:
            pipe.send(answer)
        except (BrokenPipeError, OSError):
            return


def jobs(models: Models, photos: Photos) -> dict[str, Callable[..., Any]]:
    """Return name -> what to do."""
    return {
        "about": models.about,
        "warm_up": photos.warm_up,
        "open": photos.open,
        "faces": photos.faces,
        "show": photos.show,
        "download": photos.download,
        "close": photos.close,
    }


def _answer(job: Callable[..., Any], given: dict[str, Any]) -> tuple[Ending, Any]:
    try:
        return "done", job(**given)
    except Closed:
        return "closed", None
    except FaceprivError as error:
        return "wrong", str(error)
    except (Exception, SystemExit) as error:  # a plugin or a decoder may raise anything
        return "wrong", one_line(error)
