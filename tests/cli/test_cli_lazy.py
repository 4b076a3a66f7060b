"""Help and listings import nothing heavy: seen on `sys.modules` of a fresh process."""

import subprocess
import sys

import pytest

HEAVY = ("torch", "scipy", "skimage", "dlib", "onnxruntime")
_CODE = """
import sys
from facepriv.cli import main
try:
    main(sys.argv[1:])
except SystemExit as end:
    assert not end.code, end.code
print("HEAVY:", *(m for m in {heavy!r} if m in sys.modules), file=sys.stderr)
"""


_HELP = (
    "",
    "apply",
    "train",
    "export",
    "train privacynet",
    "export privacynet",
    "check",
    "doctor",
    "evaluate",
    "serve",
    "sheet",
)


@pytest.mark.parametrize(
    "arguments",
    [
        *("--version", "methods", "methods --json", "plugins", "plugins --json", "weights"),
        *(f"{command} --help" for command in (*_HELP, "compare", "attack", "methods", "weights", "new-plugin")),
    ],
)
def test_listing_and_help_import_nothing_heavy(arguments):
    code = _CODE.format(heavy=HEAVY)
    run = subprocess.run([sys.executable, "-c", code, *arguments.split()], capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    assert run.stderr.splitlines()[-1].split() == ["HEAVY:"]
    assert run.stdout
