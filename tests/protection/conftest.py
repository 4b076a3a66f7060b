"""A run of `apply` from Python, with a state directory for each test."""

import io
import tarfile

import pytest
from PIL import Image

from facepriv.protection.options import Options
from facepriv.protection.run import make_plan, run_plan

BRIGHT = {name: f"bright-{name}" for name in ("gender", "race", "age")}
KEY = b"a secret for tests only"


@pytest.fixture(autouse=True)
def state(tmp_path, monkeypatch):
    """A state directory of the test's own."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.fixture
def no_home(monkeypatch):
    """A user without HOME whom the system does not know, as containers have them."""
    import pwd

    def unknown(*given):
        raise KeyError("uid not found")

    for name in ("XDG_STATE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)


@pytest.fixture
def shard(tmp_path):
    """Return ``shard(files, name)``: writes a tar of name -> bytes, as another tool would, with owner and time."""

    def write(files, name="000.tar"):
        path = tmp_path / "in" / name
        path.parent.mkdir(exist_ok=True)
        with tarfile.open(path, "w") as tar:
            for member, data in files.items():
                info = tarfile.TarInfo(member)
                info.size, info.mtime, info.uname = len(data), 1_600_000_000, "custodian"
                tar.addfile(info, io.BytesIO(data))
        return path

    return write


@pytest.fixture
def blank():
    """A photo without a face, as PNG."""
    file = io.BytesIO()
    Image.new("RGB", (90, 90)).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def run(tiny, tmp_path):
    """Return ``run(*inputs, **options)``: a whole run into ``tmp_path/out``; returns its summary."""

    def go(*inputs, out="out", report=None, **options):
        given = {"methods": ("darken",), "key": KEY, "estimators": BRIGHT, "workers": 0, **options}
        return run_plan(
            make_plan(Options(inputs=tuple(map(str, inputs)), out=str(tmp_path / out), **given), tiny), report
        )

    return go
