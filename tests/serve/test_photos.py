"""A photo on the page: bytes as `apply` writes them, figures, caps, and what stays in memory."""

import io
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from facepriv.cli import main
from facepriv.serve import photos as photos_module

ASK = {"method": "pixelate", "hide": ["gender"]}
KEY = b"a secret for tests only, of 32 b"

REACH = {"method": "sim-zhang", "hide": ["gender"]}
#: What the page asks for -> the same for `apply`.
SAME_BYTES = {
    "plain": (ASK, "--method pixelate --obfuscate gender"),
    "settings": (
        {"method": "sim-zhang", "hide": ["gender"], "settings": {"reach": "0.8"}, "strength": 0.5},
        "--method sim-zhang --obfuscate gender --set sim-zhang.reach=0.8 --strength 0.5",
    ),
    "drawn": (
        {"method": "privacynet", "hide": ["gender", "race"], "policy": "random"},
        "--method privacynet --obfuscate gender,race --policy random",
    ),
    "target": (
        {"method": "sim-zhang", "targets": {"age": "old"}, "detector": "dlib", "min_face": 20},
        "--method sim-zhang --target age=old --detector dlib --min-face 20",
    ),
    "metadata": (ASK | {"keep_metadata": True}, "--method pixelate --obfuscate gender --keep-metadata"),
}


@pytest.fixture
def opened(upload, face_files):
    """The id of a small portrait that is open."""
    return upload(face_files[0].read_bytes()).json()["id"]


def jpeg(pixels, quality=90):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    return file.getvalue()


class TestDownload:
    @pytest.mark.parametrize("suffix", [".png", ".jpg"])
    @pytest.mark.parametrize("case", SAME_BYTES)
    def test_its_bytes_are_those_of_apply(self, client, upload, small_faces, tmp_path, case, suffix):
        ask, words = SAME_BYTES[case]
        source = tmp_path / f"photo{suffix}"
        Image.fromarray(small_faces[0]).save(source, **({"exif": _exif()} if suffix == ".jpg" else {}))
        (tmp_path / "key").write_bytes(KEY)
        photo = upload(source.read_bytes(), source.name).json()["id"]
        made = client.post(f"api/photos/{photo}/download", json=ask)
        line = f"apply {source} -o {tmp_path / 'out'} --workers 1 --key-file {tmp_path / 'key'} {words}"
        with pytest.MonkeyPatch.context() as patch:
            _in_this_process(patch)
            done = CliRunner().invoke(main, line.split())
        assert done.exit_code == 0, done.output
        assert made.content == (tmp_path / "out" / source.name).read_bytes()
        assert made.content != source.read_bytes()

    def test_without_a_face_there_is_none(self, client, upload):
        photo = upload(jpeg(np.zeros((90, 90, 3), np.uint8)), "blank.jpg").json()["id"]
        answer = client.post(f"api/photos/{photo}/download", json=ASK)
        assert (answer.status_code, answer.json()["error"].split(":")[0]) == (400, "blank.jpg")

    def test_a_name_whose_suffix_is_no_image_is_refused_as_by_apply(self, client, upload, face_files):
        photo = upload(face_files[0].read_bytes(), "photo.pict").json()["id"]
        answer = client.post(f"api/photos/{photo}/download", json=ASK)
        assert answer.status_code == 400 and "unknown output suffix" in answer.json()["error"]


def _exif():
    exif = Image.Exif()
    exif[0x010E] = "a word that is kept"
    return exif


def _in_this_process(patch):
    from facepriv.protection import local

    patch.setattr(local, "LocalEngine", lambda setup, count: local.InlineEngine(setup))


class TestShow:
    def test_faces_figures_and_pictures(self, client, opened):
        found = client.post(f"api/photos/{opened}/faces", json=ASK).json()
        assert len(found["boxes"]) == len(found["faces"]) == 1 and found["whole"].startswith("data:image/jpeg")
        shown = client.post(f"api/photos/{opened}/show", json=ASK).json()
        (face,) = shown["faces"]
        assert not face["unchanged"]
        assert {e["attribute"] for e in face["estimates"]} == {"gender", "race", "age"}
        assert not any(e["seen"] for e in face["estimates"])
        (match,) = [m for m in face["matches"] if m["judge"] == "dlib"]
        assert 0 < match["own"] < 1 and match["threshold"] == pytest.approx(0.4)
        assert match["mirror"] <= 1 and match["mirror_before"] <= 1

    def test_the_view_shows_all_of_a_change_in_a_larger_frame(self, face_files, monkeypatch):
        """A method's frame may reach beyond the standard one."""
        from facepriv.contracts import Frame
        from facepriv.registry import load_target, registry
        from facepriv.serve import pictures
        from facepriv.serve.asked import Ask
        from facepriv.serve.models import Models

        known = registry()
        monkeypatch.setattr(load_target(known.find("method", "pixelate")), "frame", Frame(3.4, 0.6))
        photos, views = photos_module.Photos(Models(known, KEY)), []
        monkeypatch.setattr(pictures, "jpeg_uri", lambda view: views.append(view) or "")
        photos.open("one", "one.png", face_files[0].read_bytes())
        photos.show("one", Ask.read(ASK))
        protected = photos._protected(photos._get("one"), Ask.read(ASK))[1].photo.rgb8()
        whole = next(np.asarray(view) for view in views if view.size == protected.shape[1::-1])
        assert np.array_equal(whole, protected)

    def test_the_view_is_the_protected_photo_at_the_size_of_a_screen(self, small_faces):
        from facepriv.faces import find_faces
        from facepriv.serve import pictures

        rgb = np.asarray(Image.fromarray(small_faces[0]).resize((2100, 2310)))
        faces = find_faces(rgb)
        after = rgb.copy()
        left, top, right, bottom = (round(v) for v in faces[0].box)
        after[top:bottom, left:right] = 255 - after[top:bottom, left:right]
        made = np.asarray(pictures.repainted(pictures.whole(rgb), after, faces), int)
        assert np.abs(made - np.asarray(pictures.whole(after), int)).max() <= 2
        assert max(made.shape) == pictures.WHOLE_SIDE

    def test_strength_0_is_told_as_unchanged(self, client, opened):
        shown = client.post(f"api/photos/{opened}/show", json=ASK | {"strength": 0}).json()
        assert shown["faces"][0]["unchanged"]
        assert shown["faces"][0]["matches"][0]["own"] == pytest.approx(1)

    def test_the_class_that_was_estimated_and_the_target_are_told(self, client, opened):
        ask = {"method": "privacynet", "targets": {"gender": "male"}}
        classes = client.post(f"api/photos/{opened}/show", json=ask).json()["faces"][0]["classes"]
        assert classes["gender"]["target"] == "male" and classes["race"]["own"] == classes["race"]["target"]

    @pytest.mark.parametrize(
        ("ask", "word"),
        [
            (ASK | {"method": "privacynt"}, "unknown method 'privacynt' (did you mean"),
            ({"method": "san", "hide": ["age"]}, "no method here can change 'age'"),
            ({"method": "pixelate", "targets": {"gender": "neutral"}}, "cannot make gender neutral"),
            (REACH | {"settings": {"reach": "far"}}, "expected a number"),
            (REACH | {"settings": {"reach": "-1"}}, "reach"),
            (ASK | {"settings": {"cells": "8"}}, "no such setting"),
            ({"method": "san", "hide": ["gender"], "settings": {"weights": "/etc/passwd"}}, "sets no files"),
            ({"method": "k-attribute", "hide": ["gender"], "settings": {"matcher": "x"}}, "sets no files"),
            (ASK | {"detector": "nix"}, "unknown detector"),
            (ASK | {"strength": 2}, "strength"),
            (ASK | {"strength": "1"}, "wrong type"),
            (ASK | {"seed": True}, "wrong type"),
            (ASK | {"policy": "x"}, "unknown policy"),
            (ASK | {"out": "/tmp/x"}, "no such field"),
            ({"method": "pixelate"}, "nothing to hide"),
        ],
    )
    def test_what_cannot_be_done_is_one_line(self, client, opened, ask, word):
        answer = client.post(f"api/photos/{opened}/show", json=ask)
        assert answer.status_code == 400 and word in answer.json()["error"]
        assert "\n" not in answer.json()["error"]

    @pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff", b'{"strength": NaN}', b"[" * 60_000])
    def test_nonsense_is_refused(self, client, opened, body):
        answer = client.post(f"api/photos/{opened}/show", content=body)
        assert answer.status_code == 400 and answer.json()["error"]


class TestCaps:
    def test_more_than_200_megapixels_are_refused_before_they_are_decoded(self, upload, bomb):
        answer = upload(bomb(20_000, 10_001))
        assert answer.status_code == 400 and "over the limit of 200,000,000" in answer.json()["error"]

    def test_a_text_named_jpg_is_refused_with_what_to_do(self, upload):
        answer = upload(b"not a photo at all", "photo.jpg")
        assert answer.status_code == 400
        assert answer.json()["error"].startswith("photo.jpg: is not an image that facepriv knows: convert it")

    @pytest.mark.parametrize("data", [b"", b"\xff\xd8\xff", b"GIF89a", b"\x89PNG\r\n\x1a\n"])
    def test_empty_and_damaged_files_are_one_line(self, upload, data):
        answer = upload(data, "torn.jpg")
        assert answer.status_code == 400 and answer.json()["error"].startswith("torn.jpg: ")

    def test_more_bytes_than_any_photo_has_are_refused_unread(self, client):
        answer = client.post("api/photos", content=b"x", headers={"Content-Length": str(2 * 10**9)})
        assert answer.status_code == 400 and "1,667,108,864 bytes" in answer.json()["error"]

    def test_a_request_that_is_no_photo_is_small(self, client, opened):
        answer = client.post(f"api/photos/{opened}/show", content=b" " * 70_000)
        assert answer.status_code == 400 and "65,536" in answer.json()["error"]

    @pytest.mark.parametrize("name", ["../../etc/passwd.png", "C:\\x\\a.png", "a\nb.png", "<script>.png", "", "é.png"])
    def test_a_name_is_only_a_name(self, upload, face_files, name):
        answer = upload(face_files[0].read_bytes(), name)
        assert answer.status_code == 200
        assert "/" not in answer.json()["name"] and "\\" not in answer.json()["name"]


linux = pytest.mark.skipif(not Path("/proc/self/fdinfo").is_dir(), reason="read from /proc")


def resident(pid):
    """Return how many bytes of memory a process has."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def written_by(pid):
    """Return the files that a process has open for writing."""
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            flags = int(Path(f"/proc/{pid}/fdinfo/{link.name}").read_text().split("flags:")[1].split()[0], 8)
            place = os.readlink(link)
        except OSError:
            continue
        if flags & (os.O_WRONLY | os.O_RDWR) and place.startswith("/") and not place.startswith("/dev/"):
            yield place


class TestMemory:
    @linux
    def test_no_file_is_open_for_writing(self, client, opened, upload, face_files, photo_client):
        before = set(written_by(photo_client.pid)) | set(written_by(os.getpid()))
        photo = upload(face_files[0].read_bytes()).json()["id"]
        client.post(f"api/photos/{photo}/show", json=ASK)
        assert not {*written_by(photo_client.pid), *written_by(os.getpid())} - before

    def test_the_oldest_is_forgotten_and_the_page_is_told_so(self, client, upload, face_files):
        ids = [upload(face_files[0].read_bytes()).json()["id"] for _ in range(photos_module.MOST_OPEN + 1)]
        statuses = [client.post(f"api/photos/{photo}/faces", json=ASK).status_code for photo in (ids[0], ids[-1])]
        assert statuses == [410, 200]
        assert client.post(f"api/photos/{ids[-1]}/close").status_code == 200
        assert client.post(f"api/photos/{ids[-1]}/show", json=ASK).status_code == 410

    @linux
    def test_ten_at_once_and_a_hundred_in_turn_leave_the_memory_as_it_was(self, client, upload, photo_client):
        noise = np.random.default_rng(0).integers(0, 256, (600, 800, 3), dtype=np.uint8)
        data = jpeg(noise)

        def send(n):
            answer = upload(data, f"{n}.jpg")
            assert answer.status_code == 200
            return answer.json()["id"]

        def memory():
            return sum(resident(pid) for pid in (os.getpid(), photo_client.pid))

        for n in range(12):  # as many as stay open, and the allocator's first blocks
            send(n)
        before = memory()
        with ThreadPoolExecutor(10) as pool:
            ids = list(pool.map(send, range(10)))
        assert len(set(ids)) == 10
        for n in range(100):
            send(n)
        assert memory() < 1.1 * before


class TestProcess:
    def test_one_that_is_killed_is_replaced_and_the_photo_is_gone(self, client, upload, face_files, photo_client):
        photo = upload(face_files[0].read_bytes()).json()["id"]
        os.kill(photo_client.pid, signal.SIGKILL)
        answers = [client.post(f"api/photos/{photo}/faces", json=ASK) for _ in range(2)]
        assert answers[-1].status_code == 410
        assert upload(face_files[0].read_bytes()).status_code == 200

    def test_a_method_that_hangs_is_ended(self, tiny, tmp_path, face_files):
        import asyncio

        from facepriv.errors import FaceprivError
        from facepriv.serve.asked import Ask
        from facepriv.serve.photo_client import PhotoClient
        from facepriv.serve.photo_process import PhotoSetup

        client = PhotoClient(PhotoSetup(KEY))

        async def use():
            await client.do("open", photo="a", name="a.png", data=face_files[0].read_bytes())
            await client.do("faces", photo="a", ask=Ask.read({"method": "slow", "hide": ["gender"]}))
            client.timeout = 0.1
            with pytest.raises(FaceprivError, match="nothing happened"):
                await client.do("show", photo="a", ask=Ask.read({"method": "slow", "hide": ["gender"]}))

        try:
            asyncio.run(use())
        finally:
            client.close()
        assert client.pid is None


def test_the_modules_lie_in_the_package():
    static = Path(photos_module.__file__).parent / "static"
    page = (static / "page.html").read_text()
    assert "://" not in "".join(path.read_text() for path in static.iterdir())
    assert "style=" not in page and "onclick=" not in page
