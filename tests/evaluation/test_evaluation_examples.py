"""The scripts that show how: someone else's tool, and a matcher of one's own."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
LABELS = ["--labels", "labels.csv"]
QUICK = ["--fmr", "0.5", "--replicates", "20", "--workers", "1", "--json", "found.json"]


def run(script, *arguments, cwd):
    command = [sys.executable, EXAMPLES / script, *map(str, arguments)]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=600)
    return done, json.loads((cwd / "found.json").read_text()) if (cwd / "found.json").is_file() else None


def embedder(path):
    """Write a model whose embedding of a 112 x 112 face is its mean colour."""
    faces = helper.make_tensor_value_info("faces", TensorProto.FLOAT, ["N", 3, 112, 112])
    answer = helper.make_tensor_value_info("answer", TensorProto.FLOAT, ["N", 3])
    node = helper.make_node("ReduceMean", ["faces", "axes"], ["answer"], keepdims=0)
    axes = numpy_helper.from_array(np.array([2, 3], np.int64), "axes")
    graph = helper.make_graph([node], "colours", [faces], [answer], [axes])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)


def test_someone_elses_tool_is_evaluated(known, people, tmp_path):
    people()
    judges = ["--estimator", "light", "--matcher", "tint"]
    condition = ["--fail-if", "ssim < 0.99"]
    done, found = run("evaluate_other_tool.py", "photos", "blurred", *LABELS, *judges, *QUICK, *condition, cwd=tmp_path)
    assert done.returncode == 3, done.stderr
    assert found["photos"] == 20 and (tmp_path / "blurred/p0/0.png").is_file()
    similar = next(row for row in found["rows"] if row["figure"] == "ssim")["after"]["value"]
    assert 0.2 < similar < 0.99 and "--fail-if 'ssim < 0.99': holds" in done.stderr


def test_a_matcher_of_ones_own_judges_under_its_name(known, people, tmp_path):
    people()
    embedder(tmp_path / "own.onnx")
    photos = ["photos", "photos", *LABELS]
    done, found = run("own_matcher.py", "own.onnx", 'a "test"', *photos, "--estimator", "light", *QUICK, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    mine = found["judges"]["mine"]
    assert (mine["kind"], mine["component"], mine["trained_on"]) == ("matcher", "onnx", "a 'test'")
    assert any(row["evaluator"] == "mine" and row["figure"] == "tmr" and row["after"] for row in found["rows"])
    # Settings that do not fit the file end it before any photo is looked at.
    (tmp_path / "own.toml").write_text("size = 112\n")
    done, _ = run("own_matcher.py", "own.onnx", "x", *photos, *QUICK, cwd=tmp_path)
    assert done.returncode == 2 and "own.toml: missing trained_on" in done.stderr and "Traceback" not in done.stderr
