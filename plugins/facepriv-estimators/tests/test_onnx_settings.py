"""Every wrong field is refused in one line that names the file, the field and what it may be."""

import json

import pytest
from facepriv_estimators.onnx_settings import EstimatorSettings, MatcherSettings, read_settings

from facepriv.errors import UsageError

RIGHT = {
    "size": 224,
    "trained_on": "FairFace",
    "mean": [0.485, 0.456, 0.406],
    "std": [0.229, 0.224, 0.225],
    "columns": [7, 9],
    "attribute": "gender",
    "kind": "logits",
    "classes": ["male", "female"],
}


def write(folder, values, name="net.json"):
    (folder / name).write_text(json.dumps(values) if name.endswith(".json") else values)
    return folder / "net.onnx"


def test_toml_and_json_say_the_same(tmp_path):
    toml = "\n".join(f"{key} = {json.dumps(value)}" for key, value in RIGHT.items())
    from_toml = read_settings(EstimatorSettings, write(tmp_path, toml, "net.toml"), None, {})
    (tmp_path / "net.toml").unlink()
    from_json = read_settings(EstimatorSettings, write(tmp_path, RIGHT), None, {})
    assert from_toml == from_json
    assert from_json.columns == (7, 9)
    assert from_json.std == (0.229, 0.224, 0.225)


def test_a_file_elsewhere_is_read_and_keywords_win(tmp_path):
    write(tmp_path, RIGHT, "elsewhere.json")
    told = read_settings(EstimatorSettings, "net.onnx", tmp_path / "elsewhere.json", {"size": 112, "mean": 0.5})
    assert (told.size, told.mean, told.kind) == (112, (0.5, 0.5, 0.5), "logits")


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("size", "112", "a whole number of pixels, 2 to 1024"),
        ("size", True, "a whole number of pixels"),
        ("size", 0, "a whole number of pixels"),
        ("trained_on", " ", "a text that says what it was trained on"),
        ("align", "mtcnn", "one of dlib, arcface"),
        ("padding", 0.6, "a number from 0 to 0.5"),
        ("padding", "0.25", "a number from 0 to 0.5"),
        ("colours", "grey", "rgb or bgr"),
        ("layout", "chw", "nchw or nhwc"),
        ("white", 256, "1 or 255"),
        ("mean", [0.5, 0.5], "a number or a list of three"),
        ("mean", float("nan"), "a number or a list of three"),
        ("std", 0, "a number above 0 or a list of three"),
        ("std", [0.2, -0.2, 0.2], "a number above 0 or a list of three"),
        ("output", 0, "the name of one of the model's outputs"),
        ("columns", [9, 7], r"\[start, stop\]"),
        ("columns", [7], r"\[start, stop\]"),
        ("columns", 7, r"\[start, stop\]"),
        ("threads", 0, "a whole number from 1 to 256"),
        ("attribute", "sex", "one of gender, race, age"),
        ("kind", "scores", "one of probabilities, logits, years"),
        ("classes", "male", "a list of class names"),
        ("classes", [0, 1], "a list of class names"),
        ("ages", [-1, 20], "a list of ages in years"),
        ("scale", 0, "a number above 0"),
    ],
)
def test_a_wrong_value_is_refused(tmp_path, field, value, expected):
    with pytest.raises(UsageError, match=rf"net\.json: {field} is .*, expected .*{expected}"):
        read_settings(EstimatorSettings, write(tmp_path, {**RIGHT, field: value}), None, {})


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"sise": 3}, r"unknown field 'sise' \(did you mean 'size'"),
        ({"classes": ["male", "femal"]}, "classes knows no 'femal': gender is male, female"),
        ({"classes": ["male", "male"]}, "classes lacks 'female'"),
        ({"classes": []}, "classes is "),
        ({"ages": [1, 2]}, "speak of years, but gender is not measured in years"),
        ({"kind": "years"}, "speak of years, but gender is not measured in years"),
        ({"attribute": "age", "kind": "years"}, "'years' is the age itself: leave out classes and ages"),
        ({"attribute": "age", "ages": [1, 2]}, r"give classes or ages \(not both\)"),
        ({"attribute": "race"}, "classes knows no 'male': race is white, black, asian, indian"),
    ],
)
def test_fields_that_contradict_one_another_are_refused(tmp_path, change, expected):
    with pytest.raises(UsageError, match=rf"net\.json: .*{expected}"):
        read_settings(EstimatorSettings, write(tmp_path, {**RIGHT, **change}), None, {})


def test_a_missing_field_is_named(tmp_path):
    few = {key: value for key, value in RIGHT.items() if key not in ("size", "attribute")}
    with pytest.raises(UsageError, match=r"net\.json: missing size, attribute"):
        read_settings(EstimatorSettings, write(tmp_path, few), None, {})
    without = {key: value for key, value in RIGHT.items() if key != "classes"}
    with pytest.raises(UsageError, match=r"net\.json: give classes, what each column of the output stands for"):
        read_settings(EstimatorSettings, write(tmp_path, without), None, {})
    with pytest.raises(UsageError, match=r"bare\.onnx: no settings beside it \(bare\.toml\): missing size, trained_on"):
        read_settings(MatcherSettings, tmp_path / "bare.onnx", None, {})


def test_a_matcher_has_a_threshold_and_an_estimator_none(tmp_path):
    model = write(tmp_path, 'size = 3\ntrained_on = "x"\nthreshold = 0.3\n', "net.toml")
    assert read_settings(MatcherSettings, model, None, {}).threshold == 0.3
    assert read_settings(MatcherSettings, model, None, {"threshold": -0.1}).threshold == -0.1
    with pytest.raises(UsageError, match="threshold is 40, expected a cosine similarity from -1 to 1"):
        read_settings(MatcherSettings, model, None, {"threshold": 40})
    with pytest.raises(UsageError, match="unknown field 'threshold'"):
        read_settings(EstimatorSettings, model, None, {})


def test_a_matcher_knows_no_classes(tmp_path):
    with pytest.raises(UsageError, match=r"net\.json: unknown field 'attribute'"):
        read_settings(MatcherSettings, write(tmp_path, RIGHT), None, {})


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("net.json", "{size: 3", r"net\.json: no valid JSON"),
        ("net.json", "[1, 2]", r"net\.json: expected fields with values, got a list"),
        ("net.toml", "size = ", r"net\.toml: no valid TOML"),
        ("net.yaml", "size: 3", r"net\.yaml: settings are a \.toml or a \.json file"),
        ("gone.json", None, r"gone\.json: cannot be read"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path, name, text, expected):
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(UsageError, match=expected) as error:
        read_settings(MatcherSettings, tmp_path / "net.onnx", tmp_path / name, {})
    assert "\n" not in str(error.value)


def test_two_files_beside_the_model_are_one_too_many(tmp_path):
    write(tmp_path, RIGHT)
    model = write(tmp_path, "size = 3", "net.toml")
    with pytest.raises(UsageError, match=r"net\.onnx: both net\.toml and net\.json stand beside it: remove one"):
        read_settings(MatcherSettings, model, None, {})
