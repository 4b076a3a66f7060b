"""The command: what it listens on, how it starts and ends, and what it leaves."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from threading import Event

import httpx
import pytest
from click.testing import CliRunner

from facepriv.cli import main
from facepriv.cli import serve as command_module
from facepriv.serve import server as server_module


@pytest.fixture
def environment(tmp_path, environment_in):
    return environment_in(tmp_path / "server")


@pytest.fixture
def started(tmp_path, environment):
    """Return ``started(*words)``: starts the command on an empty root; returns process and address."""
    (tmp_path / "root").mkdir()
    running = []

    def start(*words):
        call = [sys.executable, "-m", "facepriv", "serve", "--root", str(tmp_path / "root"), *words]
        process = subprocess.Popen(call, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
        running.append(process)
        return process, process.stdout.readline().strip()

    yield start
    for process in running:
        process.kill()
        process.communicate()


def test_it_listens_on_loopback_only_logs_nothing_and_ends_clean(started, face_files, environment, tmp_path):
    process, address = started("--no-browser")
    found = re.fullmatch(r"http://127\.0\.0\.1:(\d+)/[\w-]{43,}/", address)
    assert found
    if Path("/proc/net/tcp").exists():
        assert _listening(process.pid) == {("0100007F", int(found[1]))}
    with httpx.Client(base_url=address, headers={"Origin": address[: address.index("/", 7)]}, timeout=300) as client:
        assert client.get("").status_code == 200
        assert client.get(f"{address[:-5]}/").status_code == 403
        assert client.post("api/photos?name=secret-name.png", content=face_files[0].read_bytes()).status_code == 200
        children = _children(process.pid)
        assert children
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert "secret-name" not in "".join(said) and "Traceback" not in "".join(said)
    _wait_for_the_end_of(children)
    left = [p for place in ("XDG_STATE_HOME", "TMPDIR") for p in Path(environment[place]).rglob("*") if p.is_file()]
    assert not left and not list((tmp_path / "root").iterdir())


def test_a_killed_server_leaves_no_file_and_no_process(started, face_files, environment, tmp_path):
    process, address = started("--no-browser")
    with httpx.Client(base_url=address, headers={"Origin": address[: address.index("/", 7)]}, timeout=300) as client:
        client.post("api/photos?name=a.png", content=face_files[0].read_bytes())
    children = _children(process.pid)
    assert children
    process.kill()
    process.wait()
    _wait_for_the_end_of(children)
    assert not list((tmp_path / "root").rglob("*"))
    assert not [p for p in Path(environment["TMPDIR"]).rglob("*") if p.is_file()]


def test_the_browser_is_given_a_private_file_and_never_the_token(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    given, called = [], Event()
    monkeypatch.setattr(server_module.webbrowser, "open", lambda address: given.append(address) or called.set())
    with server_module.opened("http://127.0.0.1:8642/the-token/"):
        (file,) = tmp_path.rglob("*.html")
        assert called.wait(60)
        assert given == [file.as_uri()] and "the-token" not in given[0]
        assert "http://127.0.0.1:8642/the-token/" in file.read_text()
        assert file.stat().st_mode & 0o077 == 0
    assert not file.exists()


def test_a_port_that_is_taken_is_one_line(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = CliRunner().invoke(main, ["serve", "--no-browser", "--root", str(tmp_path), "--port", str(port)])
    assert result.exit_code == 2
    assert result.output.startswith(f"facepriv: error: port {port} cannot be used (Address already in use): name")


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--root", "gone"], "gone: is no folder; name one with --root"),
        (["--key-file", "../gone"], "../gone: No such file or directory"),
        (["--key-file", "gone"], "gone: the key lies in the output folder"),
        (["--device", "cuda:99"], "device 'cuda:99'"),
    ],
)
def test_a_wrong_call_is_one_line(words, text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["serve", "--no-browser", *words])
    assert result.exit_code == 2 and result.output.startswith(f"facepriv: error: {text}")
    assert result.output.count("\n") == 1


def test_without_the_extra_it_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr(command_module, "find_spec", lambda name: None if name == "uvicorn" else find_spec(name))
    result = CliRunner().invoke(main, ["serve"])
    assert result.exit_code == 1
    assert result.output == "facepriv: error: the page needs uvicorn: install facepriv with the extra 'serve'\n"


def _listening(pid):
    """Return address and port of every socket at which a process and its children listen."""
    inodes = set()
    for one in (pid, *_children(pid)):
        for link in Path(f"/proc/{one}/fd").iterdir():
            try:
                inodes.add(os.readlink(link))
            except OSError:
                continue
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path("/proc/net", table).read_text().splitlines()[1:]:
            _, local, _, state, *_, inode = line.split()[:10]
            if state == "0A" and f"socket:[{inode}]" in inodes:
                host, _, port = local.partition(":")
                found.add((host, int(port, 16)))
    return found


def _children(pid):
    """Return the processes below one, its own children's too; each of its threads has children of its own."""
    own = []
    for thread in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            own += [int(child) for child in thread.read_text().split()]
        except OSError:
            continue
    return [below for child in own for below in (child, *_children(child))]


def _lives(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _wait_for_the_end_of(children):
    """Wait for them: Python's resource tracker ends by itself, a moment after the process that it serves."""
    until = time.monotonic() + 60
    while any(_lives(pid) for pid in children) and time.monotonic() < until:
        time.sleep(0.1)
    assert not [pid for pid in children if _lives(pid)]
