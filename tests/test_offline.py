"""No network: the block of the suite bites, and `apply` needs none."""

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from textwrap import dedent

import pytest

HERE = Path(__file__).parent
#: What may be done, and what may not; 192.0.2.1 is nobody's address, .invalid nobody's name.
TESTS = """
    import socket, subprocess, sys
    from contextlib import suppress
    import pytest

    ASKS = '''import socket
    try: socket.create_connection(("192.0.2.1", 80), timeout=0.1)
    except OSError: pass'''.replace("    ", "")

    def test_bad_connect():
        with suppress(OSError):
            socket.create_connection(("192.0.2.1", 80), timeout=0.1)

    def test_bad_name():
        with suppress(OSError):
            socket.gethostbyname("weights.invalid")

    def test_bad_bind():
        with suppress(OSError), socket.socket() as listener:
            listener.bind(("0.0.0.0", 0))

    def test_bad_datagram():
        with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"hello", ("192.0.2.1", 53))

    def test_bad_child():
        assert subprocess.run([sys.executable, "-c", ASKS]).returncode == 0

    @pytest.fixture(scope="module")
    def rash():
        with suppress(OSError):
            socket.gethostbyname("weights.invalid")

    def test_bad_fixture(rash):
        pass

    def test_good_loopback():
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            socket.create_connection(("localhost", listener.getsockname()[1])).close()

    def test_good_pair():
        one, other = socket.socketpair()
        one.send(b"x")
        assert other.recv(1) == b"x"
        one.close(), other.close()
"""


def test_the_block_bites_in_every_process_and_spares_loopback(tmp_path):
    (tmp_path / "tests").mkdir()
    shutil.copy(HERE.parent / "conftest.py", tmp_path)
    shutil.copytree(HERE / "offline", tmp_path / "tests/offline")
    (tmp_path / "tests/test_inner.py").write_text(dedent(TESTS))
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-rA",
        "-p",
        "no:cacheprovider",
        "--rootdir",
        str(tmp_path),
        "tests",
    ]
    said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300).stdout
    words = [line.split()[:2] for line in said.splitlines() if line.startswith(("PASSED", "FAILED", "ERROR"))]
    wrong = {test.split("::")[1] for outcome, test in words if outcome != "PASSED"}
    passed = {test.split("::")[1] for outcome, test in words if outcome == "PASSED"} - wrong
    assert wrong == {f"test_bad_{what}" for what in ("connect", "name", "bind", "datagram", "child", "fixture")}, said
    assert passed == {"test_good_loopback", "test_good_pair"}
    assert said.count("asked for the network") >= len(wrong)


#: Prints the address of every socket at which a cluster of our own listens, as the system notes it.
LISTENING = """
    import os
    from pathlib import Path
    from facepriv_ray.cluster import connected

    def below(pid):
        children = (Path("/proc", str(pid), "task", str(pid), "children").read_text()).split()
        return [pid, *(one for child in children for one in below(int(child)))]

    def sockets(pid):
        for link in Path("/proc", str(pid), "fd").iterdir():
            try:
                yield os.readlink(link)
            except OSError:
                pass

    if __name__ == "__main__":
        with connected("") as ray:
            ray.get(ray.remote(lambda: 1).remote())
            ours = {name for pid in below(os.getpid()) for name in sockets(pid)}
            for table in ("tcp", "tcp6"):
                for line in Path("/proc/net", table).read_text().splitlines()[1:]:
                    _, local, _, state, *_, inode = line.split()[:10]
                    if state == "0A" and f"socket:[{inode}]" in ours:
                        print(local.split(":")[0])
"""


@pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed (facepriv-ray)")
@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="what listens is read from /proc")
def test_a_ray_cluster_of_our_own_listens_on_loopback_only(tmp_path):
    (tmp_path / "listening.py").write_text(dedent(LISTENING))
    command = [sys.executable, "listening.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    loopback = {"0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000"}
    assert len(done.stdout.split()) >= 4
    assert set(done.stdout.split()) <= loopback


#: Begins the command with loopback up: in a new network namespace no interface is.
LOOPBACK_UP = """
    import fcntl, os, socket, struct, sys
    SIOCSIFFLAGS, IFF_UP = 0x8914, 1
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", IFF_UP))
    os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


@pytest.fixture
def applied_without_network(astronaut_file, tmp_path):
    """Return ``applied_without_network(words, *before)``: protects a portrait in a network namespace of its own."""
    without = ["unshare", "-n" if os.geteuid() == 0 else "-rn"]
    if shutil.which("unshare") is None or subprocess.run([*without, "true"], capture_output=True).returncode:
        pytest.skip("no network namespace can be made here (unshare -n)")

    def run(words, *before):
        line = f"-m facepriv apply {astronaut_file} -o out --obfuscate gender {words}"
        call = [*without, sys.executable, *before, *line.split()]
        done = subprocess.run(call, cwd=tmp_path, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        assert "1 protected (1 face)" in done.stderr
        assert (tmp_path / "out/astronaut.png").read_bytes() != astronaut_file.read_bytes()

    return run


@pytest.mark.skipif(find_spec("facepriv_privacynet") is None, reason="facepriv-privacynet is not installed")
def test_privacynet_is_applied_where_there_is_no_network_at_all(applied_without_network):
    """Not even loopback."""
    applied_without_network("--method privacynet")


@pytest.mark.skipif(find_spec("facepriv_pixelate") is None, reason="facepriv-pixelate is not installed")
@pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed (facepriv-ray)")
def test_a_ray_cluster_of_our_own_needs_loopback_only(applied_without_network):
    applied_without_network("--method pixelate --engine ray", "-c", dedent(LOOPBACK_UP))
