"""One cause is said once: which failures are put together, and which stand for themselves."""

import numpy as np
import pytest
from kit_methods.broken_chance import ByPosition, GlobalNoise, MovesRandom, OwnNoise
from kit_methods.broken_form import Cropped, NoPerturber, NotFinite, NothingDeclared, Overriding, Raises, Scaled
from kit_methods.right import Darken

from facepriv.contracts import AttributeEstimator
from facepriv.testing import causes, run_checks


class CannotBeBuilt(Darken):
    def __init__(self):
        raise ValueError("no file given")


class DrawsGlobally(Darken):
    def _perturb(self, faces, *_):
        return faces.images * np.float32(np.random.random())


class TwoFaults(Raises):
    """Raises, and cannot be pickled for a reason of its own."""

    def __init__(self):
        self.work = lambda: None


def found(subject, kind="method"):
    """Return the name of each cause's check, and how many checks repeat it, and count that none is lost."""
    results = run_checks(subject, kind)
    grouped = causes(results)
    names = [name for cause in grouped for name in (cause.result.name, *cause.repeats)]
    assert sorted(names) == sorted(result.name for result in results if not result.passed)
    return {cause.result.name: len(cause.repeats) for cause in grouped}


@pytest.mark.parametrize(
    ("method", "check", "least"),
    [
        (CannotBeBuilt, "works", 26),
        (NoPerturber, "works", 26),
        (Raises, "works", 15),
        (Cropped, "shape_and_dtype", 12),
        (NotFinite, "values_finite", 12),
        (Scaled, "values_in_range", 12),
        (OwnNoise, "same_seed_same_bytes", 4),
        (GlobalNoise, "same_seed_same_bytes", 0),
        (DrawsGlobally, "global_random_state_untouched", 5),
        (MovesRandom, "global_random_state_untouched", 0),
        (NothingDeclared, "declarations", 2),
        (Overriding, "declarations", 4),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:invalid value")
def test_one_fault_is_one_cause_and_its_check_comes_first(method, check, least):
    (only,) = (counts := found(method))
    assert only == check and counts[only] >= least


def test_an_installed_component_that_is_not_there_is_one_cause():
    assert list(found("no-such-method")) == ["works"]


def test_two_faults_are_two_causes():
    counts = found(TwoFaults)
    assert list(counts) == ["works", "pickles"] and counts["works"] >= 12


def test_checks_that_fail_by_themselves_are_not_put_together():
    assert found(ByPosition) == {"batch_equals_single": 0, "order_does_not_matter": 0}


def test_an_estimator_that_raises_is_one_cause():
    class Judge(AttributeEstimator):
        attribute = "gender"
        trained_on = "nothing"

        def predict(self, images):
            return images.brightness

    counts = found(Judge, "estimator")
    assert list(counts) == ["works"] and counts["works"] >= 7
