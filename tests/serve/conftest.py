"""The application under test, with a process of its own for photos, and a root to protect folders in."""

import os
import struct
import zlib

import pytest
from starlette.testclient import TestClient

from facepriv.serve.app import make_app
from facepriv.serve.guard import Guard
from facepriv.serve.photo_client import PhotoClient
from facepriv.serve.photo_process import PhotoSetup
from facepriv.serve.root import Root
from facepriv.serve.runs import Runs

PORT, TOKEN = 8642, "the-token-of-the-tests"
ORIGIN = f"http://127.0.0.1:{PORT}"
KEY = b"a secret for tests only, of 32 b"
ASK = {"method": "pixelate", "hide": ["gender"]}


@pytest.fixture(scope="module")
def state(tmp_path_factory):
    """A state directory of the module's own."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("state")
        patch.setenv("XDG_STATE_HOME", str(folder))
        yield folder


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """The folder below which the application may read and write."""
    return tmp_path_factory.mktemp("root")


@pytest.fixture(scope="module")
def runs(root, state):
    return Runs(Root(root))


@pytest.fixture(scope="module")
def photo_client():
    """The queue to a process that holds photos; it starts with the first job."""
    client = PhotoClient(PhotoSetup(KEY))
    yield client
    client.close()


@pytest.fixture(scope="module")
def client(photo_client, runs):
    """A client of the application as the page is: with the token, from the same origin."""
    app = Guard(make_app(photo_client, runs), TOKEN, PORT)
    with TestClient(app, base_url=f"{ORIGIN}/{TOKEN}/", headers={"Origin": ORIGIN}) as made:
        yield made


@pytest.fixture(scope="session")
def face_files(small_faces, tmp_path_factory):
    """Two small portraits as PNG files."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("faces")
    for n, pixels in enumerate(small_faces):
        Image.fromarray(pixels).save(folder / f"{n}.png")
    return sorted(folder.iterdir())


@pytest.fixture
def upload(client):
    """Return ``upload(data, name)``: the answer to a photo that is sent."""

    def send(data, name="photo.png"):
        return client.post("api/photos", params={"name": name}, content=data)

    return send


@pytest.fixture(scope="session")
def bomb():
    """Return ``bomb(width, height)``: a PNG of a few bytes that says it has so many pixels."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    def make(width, height):
        head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
        return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")

    return make


@pytest.fixture(scope="session")
def environment_in():
    """Return ``environment_in(place)``: what a server of the tests is started with, all it may write in a new folder.

    Each server has its own: a test that counts what is left must not find the files of another test's server.
    """

    def make(place):
        (place / "tmp").mkdir(parents=True)
        return {
            **os.environ,
            "XDG_STATE_HOME": str(place / "state"),
            "TMPDIR": str(place / "tmp"),
            "OMP_NUM_THREADS": "1",
        }

    return make
