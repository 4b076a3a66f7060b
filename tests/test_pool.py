"""Workers that end with their parent."""

import os
import subprocess
import sys
import time
from pathlib import Path


def test_no_worker_outlives_a_parent_that_was_killed(tmp_path):
    script = tmp_path / "parent.py"
    script.write_text(
        "import os, time\n"
        "from pathlib import Path\n"
        "from facepriv.pool import spread\n"
        "def build():\n"
        "    return work\n"
        "def work(place):\n"
        "    (Path(place) / 'new').write_text(str(os.getpid()))\n"
        "    os.replace(Path(place) / 'new', Path(place) / 'pid')\n"
        "    time.sleep(600)\n"
        "if __name__ == '__main__':\n"
        f"    list(spread(build, [{str(tmp_path)!r}], 1))\n"
    )
    parent = subprocess.Popen([sys.executable, script], stderr=subprocess.DEVNULL)
    try:
        assert _comes(lambda: (tmp_path / "pid").exists())
    finally:
        parent.kill()
        parent.wait()
    worker = int((tmp_path / "pid").read_text())
    assert _comes(lambda: not _runs(worker))


def _comes(what):
    """Wait for it, a minute at most."""
    for _ in range(600):
        if what():
            return True
        time.sleep(0.1)
    return False


def _runs(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # Where the first process does not collect its children, the dead stay as zombies.
    status = Path(f"/proc/{pid}/status")
    return not (status.exists() and "\nState:\tZ" in status.read_text())
