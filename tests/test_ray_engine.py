"""A Ray cluster on this machine: the bytes of the local engine, each file once, whatever node dies."""

import importlib.util
import json
import os
import secrets
import socketserver
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread

import numpy as np
import pytest
from click.testing import CliRunner
from facepriv_ray import engine as engine_module
from facepriv_ray.cluster import MISSING, OWN, QUIET, _base
from facepriv_ray.engine import RayEngine, _Made, _Supervisor
from PIL import Image

from facepriv import __version__
from facepriv.cli import main
from facepriv.errors import PluginError, UsageError, WeightsError
from facepriv.protection.local import LocalEngine
from facepriv.protection.manifest import read_run
from facepriv.protection.options import Options, WorkerSetup
from facepriv.protection.request import PrivacyRequest
from facepriv.protection.run import make_plan, run_plan
from facepriv.protection.worker import FileTask, Outcome
from facepriv.registry import registry

TINY = Path(__file__).parent / "tiny"
KEY = b"a secret for tests only, in plain letters"
BRIGHT = {name: f"bright-{name}" for name in ("gender", "race", "age")}
#: Everything is hidden and drawn: what could depend on order, blocks or nodes, would.
DRAWN = PrivacyRequest(("gender", "race", "age"), policy="random", seed=5)
needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed (facepriv-ray)")


@pytest.fixture(scope="module")
def cluster():
    """Two nodes of one CPU each, on loopback: the head, and one that a test may kill; skips where Ray is missing."""
    with (
        pytest.MonkeyPatch.context() as patch,
        # Paths of Ray's sockets have little room, and not every folder for temporary files leaves enough.
        TemporaryDirectory(prefix="f-", dir=_base(), ignore_cleanup_errors=True) as folder,
    ):
        # Before Ray is imported. Anyone with access to a cluster can run code there, hence a password.
        values = {
            "PYTHONPATH": os.pathsep.join([str(TINY), os.environ.get("PYTHONPATH", "")]),
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "RAY_DATA_DEFAULT_WAIT_FOR_MIN_ACTORS_S": "120",  # all actors begin together
            # Besides `temp_dir`, Ray's Cluster writes its address below the default folder for temporary files. That
            # folder exists only where Ray has run, and there it may name a cluster of the user's.
            "RAY_TMPDIR": folder,
            **QUIET,
            **OWN,
        }
        for name, value in values.items():
            patch.setenv(name, value)
        Path(folder, "ray").mkdir()
        from ray.cluster_utils import Cluster

        node = {"temp_dir": folder, "num_cpus": 1, "object_store_memory": 80_000_000, "include_dashboard": False}
        quick = {"health_check_period_ms": 500, "health_check_failure_threshold": 3}
        started = Cluster(True, head_node_args={**node, "node_ip_address": "127.0.0.2", "_system_config": quick})
        try:
            started.second = started.add_node(**node, node_ip_address="127.0.0.3")
            yield started
        finally:
            started.shutdown()


@pytest.fixture
def run(tiny, tmp_path):
    """Return ``run(source, out, **options)``: a whole run into ``tmp_path/out``; returns its summary."""

    def go(source, out, report=None, **options):
        given = {"methods": ("noise", "paint"), "key": KEY, "estimators": BRIGHT, "request": DRAWN, **options}
        return run_plan(make_plan(Options(inputs=(str(source),), out=str(tmp_path / out), **given), registry()), report)

    return go


def contents(folder):
    """Return name -> bytes of the photos below a folder."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def rows(folder):
    """Return the lines of a folder's manifest in order of their files' names."""
    lines = (folder / "facepriv-run/manifest.jsonl").read_text().splitlines()
    return sorted(map(json.loads, lines), key=lambda row: row["file"])


def processes(node):
    """Return a node's raylet and all that descends from it."""
    import psutil

    raylet = psutil.Process(node.all_processes["raylet"][0].process.pid)
    return [raylet, *raylet.children(recursive=True)]


@needs_ray
class TestTwoNodes:
    """What a cluster makes is what this machine makes."""

    def test_every_outcome_is_that_of_the_local_engine(self, cluster, run, photos, dark_face, tmp_path):
        source = photos(12)
        with tarfile.open(source / "shard.tar", "w") as shard:
            shard.add(source / "002.png", "a/b.png")
        Image.fromarray(dark_face).save(source / "005.png")  # kills its worker
        (source / "007.png").write_bytes(b"no image")
        Image.new("RGB", (90, 90)).save(source / "011.png")  # no face
        options = {"methods": ("deadly", "noise", "paint"), "audit": True}
        local = run(source, "local", workers=1, **options)
        on_ray = run(source, "ray", engine="ray", address=cluster.address, **options)
        assert (on_ray.done, on_ray.faces) == (10, 10)
        assert sorted(on_ray.errors) == sorted(local.errors)
        assert contents(tmp_path / "ray") == contents(tmp_path / "local")
        assert rows(tmp_path / "ray") == rows(tmp_path / "local")
        info = [read_run(tmp_path / name).info for name in ("ray", "local")]
        assert [one.pop("engine") for one in info] == ["ray", "local"]
        assert info[0] == info[1]
        # The key crossed the network, but is in none of the files that Ray writes about its work.
        logs = [path for path in Path(cluster.head_node.get_session_dir_path()).rglob("*") if path.is_file()]
        assert len(logs) > 10
        assert not [path for path in logs if KEY in path.read_bytes()]

    def test_privacynet_too(self, cluster, run, photos, tmp_path):
        source = photos(4)
        options = {"methods": ("privacynet",), "estimators": {}, "request": PrivacyRequest(("gender", "age"))}
        run(source, "local", workers=1, **options)
        assert run(source, "ray", engine="ray", address=cluster.address, **options).done == 4
        assert contents(tmp_path / "ray") == contents(tmp_path / "local")

    def test_a_run_ends_with_what_a_node_finds_wrong(self, cluster, run, photos):
        with pytest.raises(WeightsError, match=r"^tiny.safetensors: SHA-256 is wrong.* \(on node 127.0.0.[23]\)$"):
            run(photos(3), "ray", engine="ray", address=cluster.address, methods=("weightless", "paint"))

    def test_a_node_killed_in_the_middle_costs_no_file(self, cluster, run, photos, tmp_path, capfd):
        """Last, because the cluster has one node from then on."""
        source = photos(24)
        killed = []

        def kill(job, outcome):
            """Once: both actors have blocks from the start, and hold more of them than they have answered."""
            if killed:
                return
            while not any("spawn_main" in " ".join(one.cmdline()) for one in processes(cluster.second)):
                time.sleep(0.1)
            killed.extend(processes(cluster.second))
            for victim in killed:
                victim.kill()

        options = {"methods": ("slow", "paint")}
        summary = run(source, "ray", kill, engine="ray", address=cluster.address, **options)
        assert killed
        assert capfd.readouterr() == ("", "")
        assert (summary.done, summary.errors) == (24, [])
        run(source, "local", workers=1, **options)
        assert contents(tmp_path / "ray") == contents(tmp_path / "local")
        assert rows(tmp_path / "ray") == rows(tmp_path / "local")  # one a file
        assert sorted(os.listdir(tmp_path / "ray")) == [*sorted(contents(source)), "facepriv-run"]


@needs_ray
def test_the_command_line_starts_a_cluster_of_its_own_and_says_one_line(photos, tmp_path):
    """A first trial by a user: nothing on the terminal is Ray's, and nothing is left."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    own["PYTHONPATH"] = os.pathsep.join([str(TINY), os.environ["PYTHONPATH"]])
    words = ["-o", str(tmp_path / "out"), "--method", "weightless", "--obfuscate", "gender", "--engine", "ray"]
    with TemporaryDirectory(prefix="f-") as folder:
        own |= {"TMPDIR": folder, "HOME": folder}
        call = [sys.executable, "-m", "facepriv", "apply", str(photos(2)), *words]
        found = subprocess.run(call, env=own, capture_output=True, text=True)
        said = "facepriv: error: tiny.safetensors: SHA-256 is wrong: the file is damaged (on node 127.0.0.1)\n"
        assert (found.stderr, found.stdout, found.returncode) == (said, "", 1)
        assert os.listdir(folder) == []
    assert os.listdir(tmp_path / "out") == ["facepriv-run"]


def apply(source, out, *words):
    """Run the command in this process; returns its exit code and its lines on stderr."""
    call = ["apply", str(source), "-o", str(out), "--method", "darken", "--obfuscate", "gender", *words]
    result = CliRunner().invoke(main, call)
    return result.exit_code, result.stderr


class OtherService(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.sendall(b"SSH-2.0-OpenSSH")


def test_without_ray_the_user_hears_what_to_install(tiny, photos, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    code, said = apply(photos(1), tmp_path / "out", "--engine", "ray")
    assert (code, said) == (1, f"facepriv: error: {MISSING}\n")
    assert not (tmp_path / "out").exists()


@needs_ray
@pytest.mark.parametrize(
    ("address", "text"),
    [
        ("127.0.0.1:9", "ConnectionRefusedError"),
        ("nowhere", "not of the form HOST:PORT"),
        ("ray://127.0.0.1:10001", "not of the form HOST:PORT"),
        ("127.0.0.1:port", "invalid literal"),
        ("127.0.0.1:{}", "it is no port of Ray's"),
    ],
)
def test_an_address_where_no_cluster_is_is_one_line_at_once(cluster, tiny, photos, tmp_path, address, text):
    with socketserver.TCPServer(("127.0.0.1", 0), OtherService) as other:
        Thread(target=other.serve_forever, daemon=True).start()
        address = address.format(other.server_address[1])
        code, said = apply(photos(1), tmp_path / "out", "--engine", "ray", "--address", address)
        other.shutdown()
    assert code == 2
    assert said.startswith(f"facepriv: error: --address {address}: no Ray cluster answers there (")
    assert text in said
    assert said.count("\n") == 1
    assert not (tmp_path / "out").exists()


@needs_ray
def test_a_dry_run_looks_for_the_cluster_too(cluster, tiny, photos, tmp_path):
    code, said = apply(photos(1), tmp_path / "out", "--engine", "ray", "--address", "127.0.0.1:9", "--dry-run")
    assert code == 2 and "no Ray cluster answers there" in said


def test_an_address_belongs_to_ray(tiny, photos, tmp_path):
    code, said = apply(photos(1), tmp_path / "out", "--address", "auto")
    assert (code, said) == (2, "facepriv: error: --address names a cluster: give its --engine too\n")


@pytest.fixture
def setup(tiny):
    """Return ``setup(methods, **options)``."""

    def make(methods="darken", **options):
        return WorkerSetup(
            registry=tiny, methods=tuple(methods.split()), request=PrivacyRequest(("gender",)), key=KEY, **options
        )

    return make


@pytest.fixture
def tasks(photos, tmp_path):
    """Two tasks on different small portraits."""
    (tmp_path / "staged").mkdir()
    files = sorted(photos(2).iterdir())
    return [FileTask(n, path, tmp_path / "staged" / path.name) for n, path in enumerate(files)]


class TestSupervisor:
    """An actor's part, without Ray."""

    @pytest.fixture
    def supervisor(self, setup, monkeypatch):
        """Return ``supervisor(methods)`` that expects what another node would have found."""
        monkeypatch.setattr(engine_module, "_node", lambda: "here")
        made = []

        def make(methods="darken", **expected):
            with LocalEngine(setup(methods), 1) as engine:
                made.append(_Supervisor(setup(methods), __version__, {**engine.start(), **expected}))
            return made[-1]

        yield make
        for one in made:
            if one._engine:
                one._engine.close()

    def answers(self, supervisor, tasks):
        column = np.empty(len(tasks), dtype=object)
        column[:] = tasks
        return list(supervisor({"task": column})["answer"])

    def test_two_attempts_never_write_one_file(self, supervisor, tasks, tmp_path):
        one = supervisor()
        found = [*self.answers(one, tasks), *self.answers(one, tasks)]
        assert [made.outcome.status for made in found] == ["ok"] * 4
        assert len({made.file for made in found}) == 4
        assert {path.name for path in (tmp_path / "staged").iterdir()} == {made.file.name for made in found}

    def test_a_block_that_took_actors_with_it_is_given_up_and_may_be_tried_again(self, supervisor, tasks, tmp_path):
        (tmp_path / "staged/000.begun").write_bytes(b"..")
        one = supervisor()
        assert len(self.answers(one, tasks)) == 2
        (tmp_path / "staged/000.begun").write_bytes(b"...")
        assert self.answers(one, tasks) == []
        assert len(self.answers(one, tasks)) == 2

    def test_other_packages_are_an_error(self, supervisor, tasks):
        (error,) = self.answers(supervisor(torch="1.0"), tasks)
        assert isinstance(error, PluginError)
        assert str(error).endswith("all nodes need the same packages installed (on node here)")

    @pytest.mark.parametrize("folder", ["photos", "staged"])
    def test_a_folder_that_it_does_not_see_is_an_error(self, supervisor, tasks, tmp_path, folder):
        (tmp_path / folder).rename(tmp_path / "elsewhere")
        (error,) = self.answers(supervisor(), tasks)
        assert str(error) == (
            f"{tmp_path / folder}: not there; all nodes must see the folders of inputs and outputs (on node here)"
        )


class TestEngine:
    """What the caller makes of answers."""

    def engine(self, setup, monkeypatch, *passes):
        """Return an engine that is answered with `passes`, one after the other."""
        waiting = list(passes)
        monkeypatch.setattr(RayEngine, "_answers", lambda self, tasks, most: iter(waiting.pop(0)))
        return RayEngine(setup())

    def test_a_block_that_ran_twice_gives_each_file_once(self, setup, tasks, monkeypatch):
        files = [task.staged.with_name(f"{n}.png") for n, task in enumerate([*tasks, *tasks])]
        answers = [_Made(Outcome(n % 2, "ok", 1, "0" * 64), file) for n, file in enumerate(files)]
        for file in files:
            file.write_bytes(file.name.encode())
        found = list(self.engine(setup, monkeypatch, answers, []).run(tasks))
        assert [outcome.number for outcome in found] == [0, 1]
        assert {task.staged.read_bytes() for task in tasks} == {b"0.png", b"1.png"}
        assert sorted(path.name for path in tasks[0].staged.parent.iterdir()) == ["000.png", "001.png"]

    def test_what_no_node_survives_has_failed(self, setup, tasks, monkeypatch):
        good = _Made(Outcome(1, "no-face"), Path())
        found = list(self.engine(setup, monkeypatch, [], [good]).run(tasks))
        assert [(outcome.number, outcome.status) for outcome in found] == [(1, "no-face"), (0, "failed")]
        assert found[1].error == f"{tasks[0].source}: the Ray actor or its node died at this file, 3 times"

    def test_an_error_ends_the_run(self, setup, tasks, monkeypatch):
        with pytest.raises(WeightsError, match="damaged"):
            list(self.engine(setup, monkeypatch, [WeightsError("damaged")]).run(tasks))


@pytest.mark.parametrize(
    ("device", "cluster", "workers", "count"),
    [
        ("cpu", {"CPU": 7.0, "GPU": 1.0}, None, 7),
        ("cpu", {"CPU": 7.0}, 3, 3),
        ("cuda", {"CPU": 7.0, "GPU": 1.0}, None, 4),
        ("cuda", {"CPU": 7.0, "GPU": 2.0}, 9, 7),
    ],
)
def test_there_are_as_many_actors_as_the_cluster_takes(setup, device, cluster, workers, count):
    assert RayEngine(setup(device=device), workers)._actors(cluster) == count


@pytest.mark.parametrize(("device", "cluster"), [("cpu", {}), ("cuda", {"CPU": 8.0}), ("cuda", {"GPU": 1.0})])
def test_a_cluster_that_cannot_do_the_work_is_an_error(setup, device, cluster):
    with pytest.raises(UsageError, match="the Ray cluster has no"):
        RayEngine(setup(device=device))._actors(cluster)


def test_a_single_gpu_cannot_be_named(setup):
    with pytest.raises(UsageError, match="give --device cuda"):
        RayEngine(setup(device="cuda:1")).start()
