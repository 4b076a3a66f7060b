"""Our rates beside scikit-learn's and pyeer's on a thousand random score sets with ties; streams beside the whole."""

import tracemalloc

import numpy as np
import pytest
from pyeer.eer_stats import calculate_roc, get_eer_values
from sklearn import config_context
from sklearn.metrics import auc, roc_curve

from facepriv.errors import ContractError, DataError
from facepriv.metrics import stream, verification
from facepriv.metrics.attributes import binary_eer
from facepriv.metrics.stream import ScoreStream

SETS = 1000


def score_sets():
    """Genuine and impostor scores of all sizes from 1, coarse to fine, hardly to wholly apart, some all alike."""
    rng = np.random.default_rng(20)
    for n in range(SETS):
        genuine, impostor = rng.integers(1, [4, 40, 150][n % 3]), rng.integers(1, [4, 60, 300][n % 3])
        apart, digits = rng.choice([-1, 0, 1, 2, 6]), rng.integers(0, 4)
        yield np.round(rng.normal(apart, 1, genuine), digits), np.round(rng.normal(0, 1, impostor), digits)


@pytest.fixture(scope="module")
def sets():
    found = list(score_sets())
    assert sum(len(np.unique(np.r_[g, i])) < len(g) + len(i) for g, i in found) > SETS / 2, "ties are the point"
    return found


def test_roc_points_auc_and_eer_are_those_of_scikit_learn(sets):
    for genuine, impostor in sets:
        truth, scores = np.arange(len(genuine) + len(impostor)) < len(genuine), np.r_[genuine, impostor]
        with config_context(skip_parameter_validation=True):
            fpr, tpr, thresholds = roc_curve(truth, scores, drop_intermediate=False)
            area = auc(fpr, tpr)
        # Where the straight lines between its points meet FPR = 1 - TPR.
        interpolated = np.interp(0, fpr + tpr - 1, fpr)
        ours = verification.roc(genuine, impostor)
        assert np.abs(ours.false[0, :-1] - fpr).max() < 1e-9 and np.abs(ours.true[0, :-1] - tpr).max() < 1e-9
        assert np.array_equal(ours.thresholds[1:-1], thresholds[1:])
        assert abs(ours.area()[0] - area) < 1e-9
        assert abs(verification.eer(genuine, impostor) - interpolated) < 1e-9
        assert abs(verification.auc(genuine, impostor) - area) < 1e-9
        assert abs(binary_eer(scores, truth)[0] - interpolated) < 1e-9


@pytest.mark.filterwarnings("ignore:It seems that the FMR:RuntimeWarning")
def test_the_eer_of_fvc2000_is_that_of_pyeer(sets):
    for genuine, impostor in sets:
        _, fmr, fnmr = calculate_roc(genuine, impostor)
        assert abs(verification.eer_fvc(genuine, impostor) - get_eer_values(fmr, fnmr)[3]) < 1e-9


def test_scores_in_blocks_give_what_they_give_at_once(sets):
    rng = np.random.default_rng(3)
    for genuine, impostor in sets:
        lost = rng.random(len(genuine)) < 0.1, rng.random(len(impostor)) < 0.1
        genuine, impostor = np.where(lost[0], np.nan, genuine), np.where(lost[1], np.nan, impostor)
        counted = ScoreStream(genuine)
        for block in np.array_split(impostor, 3):
            counted.add(block)
        assert abs(counted.eer() - verification.eer(genuine, impostor)) < 1e-12
        assert abs(counted.auc() - verification.auc(genuine, impostor)) < 1e-12
        for fmr in (0.01, 0.3):
            expected = verification.tmr_at_fmr(genuine, impostor, fmr, min_errors=0)
            assert counted.tmr_at_fmr(fmr, min_errors=0) == expected
        try:
            apart = verification.d_prime(genuine, impostor)
        except DataError as error:
            with pytest.raises(DataError) as refusal:
                counted.d_prime()
            assert str(refusal.value) == str(error)
        else:
            assert counted.d_prime() == pytest.approx(apart, rel=1e-9)


def test_a_stream_keeps_the_highest_scores_and_no_more(monkeypatch):
    monkeypatch.setattr(stream, "BLOCK", 1000)
    rng = np.random.default_rng(4)
    genuine, impostor = rng.normal(2, 1, 500).astype(np.float32), rng.normal(0, 1, 20_000).astype(np.float32)
    few, all_of_them = ScoreStream(genuine, keep=1000), ScoreStream(genuine)
    few.add(impostor)
    all_of_them.add(impostor)
    assert few.impostors == 20_000 and len(few._top) == 1000
    assert few.tmr_at_fmr(0.04) == all_of_them.tmr_at_fmr(0.04) == verification.tmr_at_fmr(genuine, impostor, 0.04)
    with pytest.raises(DataError, match="more than the 1000 kept"):
        few.tmr_at_fmr(0.05)
    none = ScoreStream(genuine, keep=0)
    none.add(impostor)
    assert len(none._top) == 0
    with pytest.raises(DataError, match="more than the 0 kept"):
        none.tmr_at_fmr(0.04)
    for own in (few, none):
        assert own.auc() == all_of_them.auc() and own.eer() == all_of_them.eer()


def test_what_cannot_be_stated_is_refused():
    with pytest.raises(DataError, match="no genuine"):
        ScoreStream([])
    with pytest.raises(DataError, match="no impostor"):
        ScoreStream([1.0]).curve()
    with pytest.raises(ContractError, match="infinity"):
        ScoreStream([1.0]).add([np.inf])
    counted = ScoreStream([1.0, 2.0])
    counted.add(np.arange(29_999.0))
    with pytest.raises(DataError, match="at least 30,000"):
        counted.tmr_at_fmr(0.001)
    lost = ScoreStream([np.nan, np.nan])
    lost.add([0.5])
    assert lost.eer() == 1 and lost.auc() == 0


def test_det_is_the_curve_in_normal_deviates():
    x, y = verification.det(verification.roc([1.0, 2, 3, 4], [0.0, 1, 2, 3]))
    half = np.flatnonzero(verification.roc([1.0, 2, 3, 4], [0.0, 1, 2, 3]).false[0] == 0.5)[0]
    assert x[0, half] == 0 and y[0, half] == pytest.approx(-0.6744897501960817)
    assert x[0, 0] == -np.inf and y[0, 0] == np.inf


def test_memory_does_not_grow_with_the_impostor_scores(monkeypatch):
    monkeypatch.setattr(stream, "BLOCK", 2**16)
    rng = np.random.default_rng(6)
    block = rng.standard_normal(2**16, dtype=np.float32)
    counted = ScoreStream(rng.normal(2, 1, 1000).astype(np.float32), keep=2**12)
    peaks = []
    tracemalloc.start()
    for _ in range(2):
        for _ in range(20):
            counted.add(block)
        peaks.append(tracemalloc.get_traced_memory()[1])
    tracemalloc.stop()
    assert counted.impostors == 40 * 2**16
    # A block of 256 KiB, some copies of it, and nothing that stays.
    assert peaks[0] == peaks[1] < 4 * 2**20
