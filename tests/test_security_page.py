"""SECURITY.md names what checks each promise; whatever it names is there."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_what_checks_a_promise_is_there():
    page = (ROOT / "SECURITY.md").read_text()
    rows = re.search(r"\| promise \| checked by \|\n\|---\|---\|\n(.*?)\n\n", page, re.DOTALL)[1].splitlines()
    assert len(rows) >= 10
    targets = (ROOT / "Makefile").read_text()
    for row in rows:
        checks = re.findall(r"`(tests/[^`]+|make [a-z]+)`", row.split(" | ")[-1])
        assert checks, row
        for check in checks:
            if check.startswith("make "):
                assert f"\n{check.removeprefix('make ')}:" in targets, check
                continue
            file, _, name = check.partition("::")
            assert re.search(rf"^(class|def) {name or 'test_'}", (ROOT / file).read_text(), re.MULTILINE), check
