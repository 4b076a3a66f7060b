"""The verdict says in words what the rows hold, and why something is missing."""

from facepriv.evaluation.rows import UNSEEN_MEAN, Row
from facepriv.evaluation.verdict import verdict
from facepriv.metrics.bootstrap import Estimate
from facepriv.metrics.matching import PROTECTED


def row(figure, after=None, before=None, **more):
    sides = {"after": after, "before": before}
    return Row(figure, **{n: None if v is None else Estimate(v, v, v) for n, v in sides.items()}, **more)


PHOTOS = [
    *(row(name, 0.0, unit="photos") for name in ("missing", "unreadable", "resized", "identical")),
    row("found", 97.5, 100.0),
    row("found", 50.0, 100.0, group="gender: male"),
    row("found_both", 97.5),
    row("ssim", 0.966, unit="index"),
    row("psnr", 30.55, unit="dB"),
]
GENDER = [row("gender_changed", 41.0, evaluator="b-gender", attribute="gender")]
MATCHER = [
    row("own_match", 98.9, evaluator="dlib"),
    row("own_score", 0.8, evaluator="dlib", unit="index"),
    row("other_match", 0.21, 0.1, evaluator="dlib", pairing=PROTECTED),
    row("other_score", 0.2, 0.2, evaluator="dlib", pairing=PROTECTED),
]


def said(rows, named=False):
    return {line.partition(":")[0]: line for line in verdict([*PHOTOS, *rows], 40, named, 0.001)}


def test_without_labels_it_says_what_changed():
    assert [*said([*GENDER, *MATCHER]).values()] == [
        "Faces: found in 40 of 40 originals and 39 protected photos, in both for 39.",
        "Gender: the unseen classifier changes its answer on 41.0 % (b-gender) of faces.",
        "Recognition: 98.9 % of faces still match their original at dlib's threshold. Of pairs of different photos "
        "(perhaps of one person), 0.21 % match among protected photos, 0.10 % among originals.",
        "Image: SSIM 0.97, PSNR 30.6 dB over whole photos (quality, no measure of privacy).",
    ]


def test_several_classifiers_are_listed_and_an_answer_that_is_mostly_wrong_is_no_secret():
    more = [row("gender_changed", 70.0, evaluator="c", attribute="gender"), row("race_changed", 7.0, evaluator="r")]
    lines = said([*GENDER, *more])
    assert (
        "on 41.0 % (b-gender) and 70.0 % (c) of faces. Where more than half of the answers change, an"
        in lines["Gender"]
    )
    assert lines["Race"].endswith("on 7.0 % (r) of faces.")
    ages = [row("age_changed", 12.0, evaluator="y"), row("age_moved", 6.3, evaluator="y", unit="years")]
    expected = "Age: the estimate moves by 6.3 years (y) on average; the age group changes on 12.0 % (y) of faces."
    assert said(ages)["Age"] == expected


def test_labels_add_errors_and_rates_or_the_reason_why_there_are_none():
    error = row("gender_eer", 27.5, 2.0, evaluator=UNSEEN_MEAN, attribute="gender")
    rate = row("tmr", 84.1, 92.4, evaluator="dlib", pairing=PROTECTED)
    lines = said([*GENDER, *MATCHER, error, rate], named=True)
    assert lines["Gender"].endswith("Against the labels: gender EER 2.0 % before, 27.5 % after.")
    assert "Of pairs of different people, 0.21 %" in lines["Recognition"]
    assert lines["Recognition"].endswith("TMR at FMR 0.1 %: 92.4 % before, 84.1 % after.")
    refused = Row("tmr", "dlib", pairing=PROTECTED, note="10 impostor comparisons are too few; try --fmr 0.01")
    assert said([*MATCHER, refused])["Recognition"].endswith(
        "No TMR: 10 impostor comparisons are too few; try --fmr 0.01."
    )


def test_judges_that_do_not_count_and_missing_figures_are_explained():
    weak = row("gender_changed", 41.0, evaluator="b-gender", attribute="gender", counts=False, note="seen: in training")
    assert said([weak])["Gender"] == "Gender: no estimator gives evidence here (b-gender: seen: in training)."
    no_limit = [Row("own_match", "m"), row("own_score", 0.81, evaluator="m"), Row("other_match", "m")]
    line = said([*no_limit, row("other_score", 0.15, 0.1, evaluator="m", pairing=PROTECTED)])["Recognition"]
    assert line == (
        "Recognition: m states no threshold; its mean score with the own original is 0.81. That of pairs of different "
        "photos (perhaps of one person) is 0.15."
    )


def test_files_that_protect_nobody_are_counted():
    bad = [
        row("missing", 2.0, unit="photos"),
        row("unreadable", 1.0, unit="photos"),
        row("identical", 3.0, unit="photos"),
    ]
    rows = [*bad, *(r for r in PHOTOS if r.figure not in ("missing", "unreadable", "identical", "psnr")), Row("psnr")]
    lines = verdict(rows, 40, False, 0.001)
    assert lines[1] == "Protected files: 2 missing, 1 damaged, 3 with the pixels of the original."
    assert lines[-1] == "Image: no photo changed."
