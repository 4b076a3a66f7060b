"""Any ONNX file as an estimator or a matcher: what goes in, and what its numbers come to mean."""

import json
import pickle

import numpy as np
import onnx
import pytest
from facepriv_estimators.mobilefacenet import MobileFaceNetMatcher
from facepriv_estimators.onnx_models import OnnxEstimator, OnnxMatcher
from onnx import TensorProto, helper, numpy_helper

from facepriv.errors import ContractError, UsageError, WeightsError
from facepriv.registry import registry
from facepriv.testing import run_checks


def colour_model(path, *, side=8, layout="nchw", weights=None, bias=0.0, batch="N", half=False, outputs=1):
    """Write a model that gives ``mean colour @ weights + bias``; by default the three mean channel values.

    Parameters: `weights` (3, D); `batch` the input's first dimension; `half` for float16; `outputs` how many times the
    same answer is given, as ``answer0``, ``answer1``.
    """
    kind, dtype = (TensorProto.FLOAT16, np.float16) if half else (TensorProto.FLOAT, np.float32)
    weights = np.eye(3) if weights is None else np.asarray(weights)
    shape = [batch, 3, side, side] if layout == "nchw" else [batch, side, side, 3]
    names = [f"answer{n}" for n in range(outputs)]
    axes = np.array([2, 3] if layout == "nchw" else [1, 2], np.int64)
    nodes = [helper.make_node("ReduceMean", ["faces", "axes"], ["mean"], keepdims=0)]
    nodes += [helper.make_node("Gemm", ["mean", "weights", "bias"], [name]) for name in names]
    constants = {"axes": axes, "weights": weights.astype(dtype), "bias": np.full(weights.shape[1], bias, dtype)}
    graph = helper.make_graph(
        nodes,
        "colours",
        [helper.make_tensor_value_info("faces", kind, shape)],
        [helper.make_tensor_value_info(name, kind, [batch, weights.shape[1]]) for name in names],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path


def plain(red, green, blue, count=1, side=32):
    """Return crops of one colour, (count, side, side, 3) float32."""
    return np.broadcast_to(np.float32([red, green, blue]), (count, side, side, 3)).copy()


TOLD = {"size": 8, "trained_on": "nothing: built by a test"}
COLOUR = plain(0.2, 0.4, 0.8)


@pytest.fixture
def model(tmp_path):
    return lambda **options: colour_model(tmp_path / "model.onnx", **options)


def matched(model, images=COLOUR, **fields):
    return OnnxMatcher(model, **{**TOLD, **fields}).embed(images)[0]


def estimated(model, images=COLOUR, **fields):
    return OnnxEstimator(model, **{**TOLD, **fields}).predict(images)[0]


@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
@pytest.mark.parametrize("align", ["dlib", "arcface"])
def test_channels_arrive_in_the_order_and_layout_that_the_model_takes(model, layout, align):
    file = model(layout=layout)
    assert matched(file, layout=layout, align=align) == pytest.approx([0.2, 0.4, 0.8], abs=1e-6)
    assert matched(file, layout=layout, colours="bgr") == pytest.approx([0.8, 0.4, 0.2], abs=1e-6)


def test_normalisation_is_per_channel_of_the_input(model):
    file = model()
    assert matched(file, white=255, mean=127.5, std=127.5) == pytest.approx([-0.6, -0.2, 0.6], abs=1e-5)
    imagenet = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
    assert matched(file, **imagenet) == pytest.approx([-1.244541, -0.25, 1.751111], abs=1e-5)
    reversed_order = matched(file, colours="bgr", mean=[0.1, 0.2, 0.3], std=[1, 2, 4])
    assert reversed_order == pytest.approx([0.7, 0.1, -0.025], abs=1e-6)


def test_padding_chooses_how_much_of_the_crop_the_model_sees(model):
    crop = np.zeros((1, 128, 128, 3), np.float32)
    crop[:, 16:-16, 16:-16] = 1
    file = model(side=64)
    tight, whole = (matched(file, crop, size=64, padding=padding)[0] for padding in (0.2, 0.5))
    assert tight == pytest.approx(1)
    assert whole == pytest.approx(0.75**2, abs=0.01)


def test_columns_and_output_choose_the_numbers_that_count(model):
    file = model(outputs=2)
    assert matched(file, output="answer1", columns=[1, 3]) == pytest.approx([0.4, 0.8], abs=1e-6)
    with pytest.raises(UsageError, match=r"model.onnx: has the outputs answer0, answer1: choose one with .* output"):
        matched(file)
    with pytest.raises(UsageError, match=r"has no output 'answer': its outputs are answer0, answer1"):
        matched(file, output="answer")
    with pytest.raises(UsageError, match=r"columns end at 4, the output holds 3 numbers"):
        matched(file, output="answer0", columns=[2, 4])


def test_logits_become_probabilities_in_our_class_order(model):
    probabilities = estimated(model(), attribute="gender", kind="logits", columns=[1, 3], classes=["female", "male"])
    share = np.exp(0.8) / (np.exp(0.4) + np.exp(0.8))
    assert probabilities == pytest.approx([share, 1 - share], abs=1e-6)


def test_one_column_is_the_second_class_alone(model):
    file = model()
    told = {"attribute": "gender", "columns": [0, 1]}
    sure = estimated(file, kind="probabilities", classes=["male", "female"], **told)
    assert sure == pytest.approx([0.8, 0.2], abs=1e-6)
    sigmoid = 1 / (1 + np.exp(-0.2))
    logit = estimated(file, kind="logits", classes=["female", "male"], **told)
    assert logit == pytest.approx([sigmoid, 1 - sigmoid], abs=1e-6)


def test_finer_classes_are_added_up_and_foreign_ones_left_out(model):
    # FairFace's seven: white, black, latino, east asian, southeast asian, indian, middle eastern.
    weights = np.zeros((3, 7))
    weights[2] = np.array([3, 1, 2, 1, 2, 1, 0]) / 10
    seven = ["white", "black", "", "asian", "asian", "indian", ""]
    race = estimated(model(weights=weights), attribute="race", kind="probabilities", classes=seven, white=255, std=204)
    assert race == pytest.approx([3 / 8, 1 / 8, 3 / 8, 1 / 8], abs=1e-5)


def test_ages_are_a_weighted_mean_and_years_a_scaled_column(model):
    file = model()
    # Probabilities 1/7, 2/7, 4/7.
    assert OnnxEstimator(file, **TOLD, attribute="age", ages=[7, 14, 35]).output == "years"
    grouped = estimated(file, plain(1, 2, 4) / 7, attribute="age", ages=[7, 14, 35])
    assert grouped == pytest.approx(1 + 4 + 20, abs=1e-4)
    assert estimated(file, attribute="age", kind="years", columns=[1, 2], scale=100) == pytest.approx(40, abs=1e-4)
    assert estimated(file, attribute="age", kind="years", columns=[1, 2], scale=1000) == 120


def test_a_batch_of_one_and_half_precision_are_taken(model):
    assert matched(model(batch=1), plain(0.2, 0.4, 0.8, count=3)) == pytest.approx([0.2, 0.4, 0.8], abs=1e-6)
    half = matched(model(half=True))
    assert half.dtype == np.float32
    assert half == pytest.approx([0.2, 0.4, 0.8], abs=1e-3)


def test_a_face_whose_embedding_is_not_finite_is_not_acquired(model):
    file = model(weights=np.eye(3) * 1e38)
    images = np.concatenate([plain(1, 1, 1), COLOUR * 0])
    embedded = OnnxMatcher(file, **TOLD, white=255).embed(images)
    assert np.isnan(embedded[0]).all()
    assert np.isfinite(embedded[1]).all()
    with pytest.raises(ContractError, match=r"model.onnx: gave NaN or infinity: check white, mean and std"):
        estimated(file, plain(1, 1, 1), white=255, attribute="gender", columns=[0, 2], classes=["male", "female"])


def test_a_sidecar_file_serves_as_well_as_keywords_and_keywords_win(model, tmp_path):
    file = model()
    told = {**TOLD, "attribute": "gender", "kind": "logits", "columns": [0, 2], "classes": ["male", "female"]}
    (tmp_path / "model.json").write_text(json.dumps(told))
    estimator = registry().create("estimator", "onnx", model=file)
    assert (estimator.attribute, estimator.output) == ("gender", "probabilities")
    assert estimator.trained_on == TOLD["trained_on"]
    swapped = OnnxEstimator(file, classes=["female", "male"])
    assert np.array_equal(swapped.predict(COLOUR), estimator.predict(COLOUR)[:, ::-1])
    assert np.array_equal(pickle.loads(pickle.dumps(estimator)).predict(COLOUR), estimator.predict(COLOUR))  # noqa: S301


def test_conforms_as_estimator_and_as_matcher(model):
    file = model(weights=np.random.default_rng(0).normal(size=(3, 16)))
    estimator = {"attribute": "gender", "kind": "logits", "columns": [0, 2], "classes": ["male", "female"]}
    results = run_checks(lambda: OnnxEstimator(file, **TOLD, **estimator), "estimator")
    results += run_checks(lambda: OnnxMatcher(file, **TOLD), "matcher")
    assert [result for result in results if not result.passed] == []


@pytest.mark.parametrize(
    ("options", "fields", "text"),
    [
        ({}, {"size": 112}, r"takes \['N', 3, 8, 8\], size 112 and layout nchw give \[1, 3, 112, 112\]"),
        ({}, {"layout": "nhwc"}, r"takes \['N', 3, 8, 8\], size 8 and layout nhwc give \[1, 8, 8, 3\]"),
        ({"batch": 4}, {}, r"takes \[4, 3, 8, 8\]"),
        ({}, {}, "gives 3 numbers, classes names 2: choose them with columns"),
        ({}, {"columns": [0, 2], "kind": "probabilities"}, "no probabilities that sum to 1: set kind to logits"),
    ],
)
def test_settings_that_do_not_fit_the_model_are_refused(model, options, fields, text):
    told = {**TOLD, "attribute": "gender", "kind": "logits", "classes": ["male", "female"], **fields}
    with pytest.raises(UsageError, match=rf"model\.onnx: .*{text}"):
        OnnxEstimator(model(**options), **told).predict(COLOUR)


def test_a_missing_or_broken_model_is_one_line(tmp_path):
    with pytest.raises(WeightsError, match=r"gone\.onnx: no such file; give an ONNX model"):
        OnnxMatcher(tmp_path / "gone.onnx", **TOLD).embed(COLOUR)
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"not a model")
    with pytest.raises(WeightsError, match=r"broken\.onnx: no ONNX model that onnxruntime can load: ") as error:
        OnnxMatcher(broken, **TOLD).embed(COLOUR)
    assert "\n" not in str(error.value)


REAL = {
    "size": 112,
    "trained_on": "MS-Celeb-1M",
    "align": "arcface",
    "mean": [0.485, 0.456, 0.406],
    "std": [0.229, 0.224, 0.225],
}


def test_a_real_matcher_gives_what_its_torch_twin_gives(mobilefacenet_file, portrait_crops):
    embedded = OnnxMatcher(mobilefacenet_file, **REAL)
    twin = MobileFaceNetMatcher(mobilefacenet_file)
    assert (embedded.score(embedded.embed(portrait_crops), twin.embed(portrait_crops)) > 0.95).all()
    a, b = embedded.embed(portrait_crops)[:, None]
    mirrored = embedded.embed(portrait_crops[:1, :, ::-1].copy())
    assert embedded.score(a, mirrored)[0] > 0.6
    assert embedded.score(a, b)[0] < 0.3


def test_the_fixed_arcface_window_serves_a_real_matcher_on_lfw(mobilefacenet_file, lfw_scores):
    scores, same = lfw_scores(OnnxMatcher(mobilefacenet_file, **REAL), 30)
    assert same.sum() >= 25
    # All but a few pairs of one person score above 99.9 % of the pairs of two.
    assert (scores[same] > np.quantile(scores[~same], 0.999)).mean() >= 0.9
