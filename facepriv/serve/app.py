"""The application: routes from addresses to the photo process, runs, reports and the files of the page."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from facepriv import __version__
from facepriv.errors import FaceprivError, UsageError, one_line
from facepriv.image import MAX_PIXELS
from facepriv.image.decode import most_bytes
from facepriv.serve.asked import Ask, read_record
from facepriv.serve.photo_client import Busy, PhotoClient, PhotoClosed
from facepriv.serve.reports import POLICY, find_reports, report_file
from facepriv.serve.runs import Runs

_STATIC = Path(__file__).parent / "static"
_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
#: Most bytes of a request that is no photo.
_MOST_JSON = 65_536
#: Seconds without a byte after which an upload has failed.
_UPLOAD_SILENCE = 30.0
#: A contact sheet has no script, and opens as a page of no origin.
_SHEET_POLICY = (
    "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'self'"
)

Handler = Callable[[Request], Awaitable[Response]]


def make_app(photos: PhotoClient, runs: Runs) -> Starlette:
    """Return the application, without the checks of `facepriv.serve.guard`.

    Parameters
    ----------
    photos : PhotoClient
    runs : Runs
    """
    api = Api(photos, runs)
    routes = [
        ("/", "GET", _page),
        ("/static/{name}", "GET", _static),
        ("/api/about", "GET", api.about),
        ("/api/photos", "POST", api.open),
        ("/api/photos/{photo}/{job}", "POST", api.photo),
        ("/api/folder", "POST", api.folder),
        ("/api/runs", "GET", api.runs),
        ("/api/runs", "POST", api.start),
        ("/api/runs/{run}/{job}", "POST", api.run),
        ("/sheets/{run}", "GET", api.sheet),
        ("/api/reports", "GET", api.reports),
        ("/reports/{report}/{name:path}", "GET", api.report),
    ]
    return Starlette(
        routes=[Route(path, _answering(handler), methods=[method]) for path, method, handler in routes],
        exception_handlers={HTTPException: _not_found, Exception: _fault},
    )


class Api:
    """The handlers that need photos, runs or the root."""

    def __init__(self, photos: PhotoClient, runs: Runs) -> None:
        self.client, self.folder_runs, self.root = photos, runs, runs.root
        # Uploads are received one at a time, so that several large ones are not in memory together.
        self._receiving = asyncio.Lock()

    async def about(self, request: Request) -> Response:
        """Return what the controls offer."""
        about = await self.client.about()
        return _json(about | {"version": __version__, "root": self.root.folder.name or str(self.root.folder)})

    async def open(self, request: Request) -> Response:
        """Take an uploaded photo into memory; the answer has its id and size."""
        name = Path(request.query_params.get("name", "photo").replace("\\", "/")).name or "photo"
        async with self._receiving:
            data = await _body(request, most_bytes(MAX_PIXELS), name)
            photo = secrets.token_hex(16)
            size = await self.client.do("open", photo=photo, name=name, data=data)
        return _json({"id": photo, "name": name, **size})

    async def photo(self, request: Request) -> Response:
        """Find faces, show a result, download it, or close the photo."""
        photo, job = request.path_params["photo"], request.path_params["job"]
        if job == "close":
            await self.client.do("close", photo=photo)
            return _json({})
        if job not in ("faces", "show", "download"):
            raise HTTPException(404)
        given = read_record(await _body(request, _MOST_JSON, "the request"))
        whole = {"whole": bool(given.pop("whole", True))} if job == "show" else {}
        made = await self.client.do(job, photo=photo, ask=Ask.read(given), **whole)
        if job == "download":
            return Response(made, media_type="application/octet-stream")
        return _json(made)

    async def folder(self, request: Request) -> Response:
        """List a folder below the root."""
        given = read_record(await _body(request, _MOST_JSON, "the request"))
        return _json(await asyncio.to_thread(self.root.listing, str(given.get("path", ""))))

    async def runs(self, request: Request) -> Response:
        """List the runs."""
        return _json({"runs": await asyncio.to_thread(self.folder_runs.listed)})

    async def start(self, request: Request) -> Response:
        """Start a run over a folder."""
        given = read_record(await _body(request, _MOST_JSON, "the request"))
        parts = [given.get(name) for name in ("ask", "run")]
        if not all(isinstance(part, dict) for part in parts):
            raise UsageError("the request is incomplete: reload the page")
        return _json({"id": await asyncio.to_thread(self.folder_runs.start, *parts)})

    async def run(self, request: Request) -> Response:
        """Stop a run, or forget one that is over."""
        job = {"stop": self.folder_runs.stop, "forget": self.folder_runs.forget}.get(request.path_params["job"])
        if job is None:
            raise HTTPException(404)
        await asyncio.to_thread(job, request.path_params["run"])
        return _json({})

    async def sheet(self, request: Request) -> Response:
        """Return the contact sheet of a run."""
        path = await asyncio.to_thread(self.folder_runs.sheet, request.path_params["run"])
        return FileResponse(path, media_type="text/html", headers={"content-security-policy": _SHEET_POLICY})

    async def reports(self, request: Request) -> Response:
        """List the reports."""
        return _json({"reports": await asyncio.to_thread(find_reports, self.root)})

    async def report(self, request: Request) -> Response:
        """Return a file of a report."""
        path, kind = report_file(self.root, request.path_params["report"], request.path_params["name"])
        return FileResponse(path, media_type=kind, headers={"content-security-policy": POLICY})


async def _page(request: Request) -> Response:
    return _asset("page.html")


async def _static(request: Request) -> Response:
    return _asset(request.path_params["name"])


def _asset(name: str) -> Response:
    """Return a file of the page; only names in its folder are known."""
    known = {path.name: path for path in _STATIC.iterdir() if path.suffix in _TYPES}
    if name not in known:
        raise HTTPException(404)
    return Response(known[name].read_bytes(), media_type=_TYPES[known[name].suffix])


async def _body(request: Request, most: int, what: str) -> bytes:
    """Return a request's body, in memory only.

    Raises
    ------
    UsageError
        If it is larger than `most`, or nothing arrives for a while.
    """
    too_large = UsageError(f"{what}: more than {most:,} bytes; scale it down")
    announced = request.headers.get("content-length", "0")
    if not announced.isdigit() or int(announced) > most:
        raise too_large
    parts, size = [], 0
    stream = request.stream()
    while True:
        try:
            part = await asyncio.wait_for(anext(stream), _UPLOAD_SILENCE)
        except StopAsyncIteration:
            return b"".join(parts)
        except TimeoutError:
            raise UsageError(f"{what}: nothing arrived for {_UPLOAD_SILENCE:.0f} s; try again") from None
        size += len(part)
        if size > most:
            raise too_large
        parts.append(part)


def _answering(handler: Handler) -> Handler:
    """Return a handler whose errors become an answer of one line."""

    async def answer(request: Request) -> Response:
        try:
            return await handler(request)
        except PhotoClosed:
            return _error("the photo is no longer in memory", 410)
        except Busy as error:
            return _error(str(error), 503)
        except FaceprivError as error:
            return _error(str(error), 400)
        except ClientDisconnect:
            return _error("the page went away", 400)
        except OSError as error:
            return _error(one_line(error), 400)

    return answer


async def _not_found(request: Request, error: Exception) -> Response:
    status = getattr(error, "status_code", 404)
    return _error("there is no such page" if status == 404 else "the page does not do this here", status)


async def _fault(request: Request, error: Exception) -> Response:
    return _error(f"facepriv has a fault: {one_line(error)}", 500)


def _error(text: str, status: int) -> Response:
    return _json({"error": text}, status)


def _json(content: Any, status: int = 200) -> Response:
    # ASCII: a file name may hold bytes that are no text, which UTF-8 cannot hold.
    return Response(json.dumps(content).encode(), status, media_type="application/json")
