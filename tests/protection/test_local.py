"""Worker processes: what they say, what happens when one dies, and that no process outlives the engine."""

import os
import signal
import subprocess
import sys
from types import SimpleNamespace

import pytest
from PIL import Image

from facepriv.errors import PluginError, UsageError, WeightsError
from facepriv.hookspecs import Descriptor
from facepriv.pool import ONE_THREAD, use_one_thread
from facepriv.protection import local
from facepriv.protection.local import InlineEngine, LocalEngine
from facepriv.protection.options import WorkerSetup
from facepriv.protection.request import PrivacyRequest
from facepriv.protection.worker import FileTask
from facepriv.registry import Plugin, Registry


@pytest.fixture
def setup(tiny):
    """Return ``setup(methods, **options)``."""

    def make(methods="darken", **options):
        options.setdefault("request", PrivacyRequest(("gender",)))
        return WorkerSetup(registry=tiny, methods=tuple(methods.split()), key=b"k" * 16, **options)

    return make


@pytest.fixture
def tasks(photos, tmp_path):
    """Return ``tasks(count)`` on different small portraits."""
    (tmp_path / "staged").mkdir()

    def make(count):
        files = sorted(photos(count).iterdir())
        return [FileTask(n, path, tmp_path / "staged" / path.name) for n, path in enumerate(files)]

    return make


def exists(pid):
    """Tell whether a process is there (one that has ended and was not waited for counts as there)."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def by_number(outcomes):
    return {outcome.number: outcome for outcome in outcomes}


def test_both_engines_describe_the_same_run(setup):
    with InlineEngine(setup("darken noise")) as inline, LocalEngine(setup("darken noise"), 1) as local:
        described = inline.start()
        assert described == local.start()
    assert [method["name"] for method in described["methods"]] == ["darken", "noise"]
    assert described["device"] == "cpu"


def test_every_task_has_one_outcome(setup, tasks):
    work = tasks(9)
    with LocalEngine(setup(batch_size=2), 2) as engine:
        engine.start()
        outcomes = list(engine.run(work))
    assert sorted(outcome.number for outcome in outcomes) == list(range(9))
    assert {outcome.status for outcome in outcomes} == {"ok"}
    assert all(task.staged.is_file() for task in work)


@pytest.mark.parametrize(
    ("methods", "options", "error", "text"),
    [
        ("darkn", {}, UsageError, "unknown method 'darkn'"),
        ("unloadable", {}, PluginError, "cannot be loaded"),
        ("darken", {"request": PrivacyRequest(("age",))}, UsageError, "can change 'age'"),
        ("paint", {}, PluginError, "pip install facepriv-estimators"),
    ],
)
def test_what_is_wrong_at_the_start_reaches_the_caller_as_it_is(setup, methods, options, error, text):
    with LocalEngine(setup(methods, **options), 1) as engine, pytest.raises(error, match=text):
        engine.start()


def test_damaged_weights_end_the_run(setup, tasks):
    with LocalEngine(setup("weightless"), 1) as engine:
        engine.start()
        with pytest.raises(WeightsError, match="SHA-256 is wrong"):
            list(engine.run(tasks(3)))


@pytest.mark.parametrize(
    ("files", "count", "most"), [(0, 2, 8), (1, 2, 8), (100, 2, 8), (100, 16, 8), (5, 1, 8), (9, 4, 1)]
)
def test_chunks_hold_all_files_in_order_and_the_last_ones_are_small(setup, files, count, most):
    chunks = list(LocalEngine(setup(batch_size=most), count)._chunks(range(files)))
    assert [n for chunk in chunks for n in chunk] == list(range(files))
    sizes = [len(chunk) for chunk in chunks]
    assert sizes == sorted(sizes, reverse=True) and all(size <= most for size in sizes)
    # No more than a worker's share is left to one that takes the last chunks.
    assert all(size <= -(-(files - sum(sizes[:n])) // (2 * count)) for n, size in enumerate(sizes))


def test_a_file_that_kills_its_worker_fails_alone(setup, tasks, dark_face):
    work = tasks(8)
    Image.fromarray(dark_face).save(work[3].source)
    with LocalEngine(setup("deadly", batch_size=8), 1) as engine:
        engine.start()
        found = by_number(engine.run(work))
    assert sorted(n for n, outcome in found.items() if outcome.status == "ok") == [0, 1, 2, 4, 5, 6, 7]
    assert found[3].status == "failed"
    assert found[3].error == f"{work[3].source}: the worker process was killed by signal 9 (Killed) at this file"


def test_an_engine_whose_last_worker_died_takes_more_tasks(setup, tasks, dark_face):
    work = tasks(3)
    Image.fromarray(dark_face).save(work[2].source)
    with LocalEngine(setup("deadly"), 1) as engine:
        engine.start()
        assert [outcome.status for outcome in engine.run([work[2]])] == ["failed"]
        assert [outcome.status for outcome in engine.run(work[:2])] == ["ok", "ok"]


def test_a_worker_killed_from_outside_loses_no_file(setup, tasks):
    with LocalEngine(setup("slow", batch_size=4), 2) as engine:
        engine.start()
        run = engine.run(tasks(12))
        outcomes = [next(run)]
        victim = next(worker for worker in engine._workers if len(worker.open) > 1)
        os.kill(victim.process.pid, signal.SIGKILL)
        outcomes.extend(run)
    assert sorted(outcome.number for outcome in outcomes) == list(range(12))
    assert {outcome.status for outcome in outcomes} == {"ok"}


@pytest.mark.parametrize(
    ("name", "code", "error"),
    [
        ("dies", "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n", "killed by signal 9"),
        ("hangs", "import time\ntime.sleep(10_000)\n", "did nothing for 1 s"),
    ],
)
def test_a_method_that_dies_or_hangs_while_it_loads_is_an_error(tmp_path, monkeypatch, name, code, error):
    (tmp_path / f"{name}_at_import.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    if name == "hangs":
        monkeypatch.setattr(local, "_LOADING", 1.0)
    broken = Registry([Plugin("x", "x", "1", (Descriptor("method", name, f"{name}_at_import:Method", name),))])
    setup = WorkerSetup(registry=broken, methods=(name,), request=PrivacyRequest(()), key=b"k" * 16, timeout=1)
    with LocalEngine(setup, 1) as engine, pytest.raises(PluginError, match=error):
        engine.start()


def test_a_worker_that_is_stopped_from_outside_loses_no_file(setup, tasks, silence_counts_while):
    stopped = []
    silence_counts_while(lambda: stopped and exists(stopped[0]))
    with LocalEngine(setup("slow", batch_size=4, timeout=1), 1) as engine:
        engine.start()
        run = engine.run(tasks(12))
        outcomes = [next(run)]
        stopped.append(engine._workers[0].process.pid)
        os.kill(stopped[0], signal.SIGSTOP)
        outcomes.extend(run)
    assert sorted(outcome.number for outcome in outcomes) == list(range(12))
    assert {outcome.status for outcome in outcomes} == {"ok"}


def test_time_in_which_the_caller_itself_stood_still_is_nobodys_silence(setup, tasks, monkeypatch):
    """A laptop that was closed, or Ctrl-Z: the clock goes on, the workers do not."""
    clock = iter(range(0, 10**9, 3600))
    monkeypatch.setattr(local, "time", SimpleNamespace(monotonic=lambda: float(next(clock))))
    with LocalEngine(setup("slow", batch_size=1, timeout=20), 1) as engine:
        engine.start()
        assert {outcome.status for outcome in engine.run(tasks(3))} == {"ok"}


def test_leaving_the_engine_ends_its_workers_in_the_middle_of_their_work(setup, tasks):
    with LocalEngine(setup("slow", batch_size=4), 2) as engine:
        engine.start()
        next(engine.run(tasks(12)))
        pids = [worker.process.pid for worker in engine._workers]
        assert all(exists(pid) for pid in pids)
    assert not any(exists(pid) for pid in pids)


def test_a_worker_hears_of_one_thread_and_the_callers_environment_stays(setup, monkeypatch):
    for name in ONE_THREAD:
        monkeypatch.setenv(name, "7")
    with LocalEngine(setup("threads"), 1) as engine:
        described = engine.start()
    # The method `threads` gives what its module found in the environment as its version.
    assert described["methods"][0]["version"] == "1 1 1"
    assert {name: os.environ[name] for name in ONE_THREAD} == dict.fromkeys(ONE_THREAD, "7")


def test_torch_is_limited_to_one_thread_if_it_is_there(monkeypatch):
    class Torch:
        threads = 2

        def set_num_threads(self, number):
            self.threads = number

    for name in ONE_THREAD:
        monkeypatch.setenv(name, "2")
    monkeypatch.setitem(sys.modules, "torch", Torch())
    use_one_thread()
    assert sys.modules["torch"].threads == 1
    assert {os.environ[name] for name in ONE_THREAD} == {"1"}


def test_the_process_that_starts_the_workers_does_not_wait_for_torch():
    code = "import sys, facepriv.protection.local; print('torch' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (run.stdout, run.stderr) == ("False\n", "")
