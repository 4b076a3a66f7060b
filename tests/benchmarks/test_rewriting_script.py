"""The benchmark of writing again: it measures what it says, and the table in the guide is what it measures."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

PAGE = Path(__file__).parents[2] / "docs/guide/apply.md"


def test_a_lossless_file_does_not_move(rewriting):
    rgb = np.random.default_rng(0).integers(0, 256, (200, 300, 3), dtype=np.uint8)
    change = rewriting.moved(rgb, (10, 10, 60, 60), "a.png", {})
    assert change.shape == (200 * 300 - 124 * 124,)
    assert not change.any()
    assert rewriting.moved(rgb, (10, 10, 60, 60), "a.jpg", {"quality": 80}).any()


def test_the_readme_says_what_is_measured(rewriting, tmp_path):
    path = tmp_path / "found.json"
    done = CliRunner().invoke(rewriting.main, ["--json", str(path)])
    assert done.exit_code == 0, done.output
    found = json.loads(path.read_text())["codings"]
    rows = re.findall(
        r"^\| ((?:JPEG|WebP), quality.*?) \| ([\d.]+) % \| ([\d.]+) % \| (\d+) \|$", PAGE.read_text(), re.M
    )
    assert [name for name, *_ in rows] == list(found)
    for name, moved, beyond, most in rows:
        # Another version of the codec may round otherwise.
        assert 100 * found[name]["moved"] == pytest.approx(float(moved), rel=0.1)
        assert 100 * found[name]["beyond_2"] == pytest.approx(float(beyond), rel=0.2, abs=0.05)
        assert found[name]["most"] == pytest.approx(int(most), abs=4)
