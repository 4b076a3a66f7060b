"""A run of `apply` from Python."""

import pytest

from facepriv.protection.options import Options
from facepriv.protection.run import make_plan, run_plan

BRIGHT = {name: f"bright-{name}" for name in ("gender", "race", "age")}
KEY = b"a secret for tests only"


@pytest.fixture
def run(tiny, tmp_path):
    """Return ``run(*inputs, **options)``: a whole run into ``tmp_path/out``; returns its summary."""

    def go(*inputs, out="out", report=None, **options):
        given = {"methods": ("darken",), "key": KEY, "estimators": BRIGHT, "workers": 0, **options}
        return run_plan(
            make_plan(Options(inputs=tuple(map(str, inputs)), out=str(tmp_path / out), **given), tiny), report
        )

    return go
