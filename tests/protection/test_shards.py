"""Tar shards: the same bytes as from a folder, nothing but photos, and no trust in what a tar says of itself."""

import io
import json
import os
import tarfile
from functools import partial
from pathlib import Path

import pytest
from PIL import Image

from facepriv.errors import ImageError, UsageError
from facepriv.protection.manifest import ManifestRow, read_run
from facepriv.protection.shards import members_of

BRIGHT = {"gender": "bright-gender"}


@pytest.fixture
def run(run):
    return partial(run, methods=("noise",), key=b"k" * 16, estimators=BRIGHT)


@pytest.fixture
def faces(photos):
    """Four small portraits: name in a shard -> bytes."""
    return {f"people/{path.name}": path.read_bytes() for path in sorted(photos(4).iterdir())}


def unpacked(path):
    """Return name -> bytes of a tar, in its order."""
    with tarfile.open(path) as tar:
        return {info.name: tar.extractfile(info).read() for info in tar}


def rows_of(out, name="000.tar"):
    """Return what the run recorded of a shard's photos: (name, status) in their order."""
    lines = (out / "facepriv-run" / "shards" / f"{name}.jsonl").read_text().splitlines()
    rows = [ManifestRow(**json.loads(line)) for line in lines]
    return {row.file: row for row in rows}


@pytest.mark.parametrize("workers", [0, 2])
def test_a_shard_comes_out_as_its_photos_would(run, shard, faces, tmp_path, workers):
    shard(faces)
    shard(dict(reversed(faces.items())), "001.tar")
    run(tmp_path / "photos", out="folder")
    summary = run(tmp_path / "in", workers=workers)
    assert (summary.done, summary.faces, summary.errors) == (8, 8, [])
    expected = {name: (tmp_path / "folder" / Path(name).name).read_bytes() for name in faces}
    assert list(unpacked(tmp_path / "out/000.tar").items()) == list(expected.items())
    assert list(unpacked(tmp_path / "out/001.tar").items()) == list(reversed(expected.items()))


def test_photos_beside_shards_are_done_too(run, shard, faces, photos, tmp_path):
    shard(faces)
    photos(1, "in")
    assert run(tmp_path / "in").done == 5
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["000.png", "000.tar", "facepriv-run"]


def test_only_photos_go_out_and_nothing_of_who_packed_them_and_when(run, shard, faces, tmp_path):
    labels = {"people/000.json": b'{"gender": "female"}', "people/000.cls": b"1", "people/._000.png": b"AppleDouble"}
    shard({**faces, **labels})
    assert run(tmp_path / "in").exit_code == 0
    with tarfile.open(tmp_path / "out/000.tar") as tar:
        assert [info.name for info in tar] == list(faces)
        assert {(info.mtime, info.uid, info.uname, info.gname) for info in tar} == {(0, 0, "", "")}
    assert b"custodian" not in (tmp_path / "out/000.tar").read_bytes()


def test_each_photo_of_a_shard_has_its_row_and_the_shard_has_one(run, shard, faces, tmp_path):
    shard(faces)
    run(tmp_path / "in")
    [row] = read_run(tmp_path / "out").rows.values()
    assert (row.file, row.status, row.faces) == ("000.tar", "ok", 4)
    rows = rows_of(tmp_path / "out")
    assert list(rows) == list(faces)
    assert {row.status for row in rows.values()} == {"ok"}
    assert all(row.audit is None for row in rows.values())


def test_an_audit_says_of_each_photo_where_it_came_from(run, shard, faces, tmp_path):
    path = shard(faces)
    run(tmp_path / "in", audit=True)
    assert [row.audit["input"] for row in rows_of(tmp_path / "out").values()] == [f"{path}: {name}" for name in faces]


class TestFailures:
    """What fails within a shard is named, and the rest is packed."""

    def test_a_photo_that_fails_is_missing_and_named_and_tried_again(self, run, shard, faces, blank, tmp_path):
        path = shard({"cut.jpg": b"\xff\xd8no", **faces, "blank.png": blank})
        summary = run(tmp_path / "in")
        assert (summary.done, summary.exit_code) == (4, 1)
        assert [text.split(": ")[:2] for text in summary.errors] == [[str(path), "cut.jpg"], [str(path), "blank.png"]]
        assert list(unpacked(tmp_path / "out/000.tar")) == list(faces)
        assert read_run(tmp_path / "out").rows["000.tar"].status == "partial"
        shard({"cut.jpg": next(iter(faces.values())), **faces, "blank.png": blank})
        again = run(tmp_path / "in", existing="resume", on_no_face="skip")
        assert (again.done, again.no_face, again.exit_code) == (5, 1, 0)
        assert list(unpacked(tmp_path / "out/000.tar")) == ["cut.jpg", *faces]

    @pytest.mark.parametrize("name", ["a.heic", "people/a.GIF", "a.avif", "a.dng", "a.HIF", "more.tar", "more.tar.gz"])
    def test_a_photo_that_cannot_be_read_is_named_as_in_a_folder(self, run, shard, faces, tmp_path, name):
        path = shard({name: b"any", **faces, "people/._a.heic": b"AppleDouble", "film.mp4": b"any"})
        summary = run(tmp_path / "in")
        [error] = summary.errors
        assert error.startswith(f"{path}: {name}: not a kind of file that facepriv reads (.bmp, ")
        assert (summary.done, summary.exit_code) == (4, 1)
        assert list(unpacked(tmp_path / "out/000.tar")) == list(faces)
        assert rows_of(tmp_path / "out")[name].status == "failed"
        assert read_run(tmp_path / "out").rows["000.tar"].status == "partial"

    def test_a_shard_of_nothing_but_such_photos_names_each(self, run, shard, tmp_path):
        shard({"a.heic": b"any", "b.avif": b"any"})
        said = "not a kind of file that facepriv reads (.bmp, .jpeg, .jpg, .png, .tif, .tiff, .webp); convert it first"
        errors = [": ".join(text.split(": ")[1:3]) for text in run(tmp_path / "in").errors]
        assert errors == [f"{name}: {said}" for name in ("a.heic", "b.avif")]

    def test_a_photo_that_kills_its_worker_fails_alone(self, run, shard, faces, dark_face, tmp_path):
        file = io.BytesIO()
        Image.fromarray(dark_face).save(file, "PNG")
        path = shard({**faces, "dark.png": file.getvalue()})
        summary = run(tmp_path / "in", methods=("deadly",), workers=1)
        assert summary.done == 4
        assert len(summary.errors) == 1
        assert summary.errors[0].startswith(f"{path}: dark.png: the worker process ")

    def test_where_all_fail_no_shard_is_written(self, run, shard, blank, tmp_path):
        shard({"a.png": blank, "b.png": blank})
        assert len(run(tmp_path / "in").errors) == 2
        assert not (tmp_path / "out/000.tar").exists()
        assert read_run(tmp_path / "out").rows["000.tar"].status == "failed"

    def test_a_shard_that_cannot_be_written_leaves_nothing(self, run, shard, faces, tmp_path, monkeypatch):
        shard(faces)
        monkeypatch.setattr("facepriv.protection.shards._add", lambda *given: os.stat(tmp_path / "gone"))
        summary = run(tmp_path / "in")
        assert summary.errors == [f"{tmp_path}/in/000.tar: No such file or directory"]
        left = [path.name for path in (tmp_path / "out").rglob("*")]
        assert sorted(left) == ["facepriv-run", "manifest.jsonl", "run.json"]


class TestResume:
    """A shard is done when it is whole and recorded."""

    def test_a_finished_shard_is_not_made_again(self, run, shard, faces, tmp_path):
        shard(faces)
        run(tmp_path / "in")
        before = (tmp_path / "out/000.tar").stat().st_mtime_ns
        shard(faces, "001.tar")
        summary = run(tmp_path / "in", existing="resume")
        assert (summary.already, summary.done) == (1, 4)
        assert (tmp_path / "out/000.tar").stat().st_mtime_ns == before

    def test_a_kill_in_the_middle_leaves_no_original_and_no_shard(self, run, shard, faces, tmp_path, monkeypatch):
        class Killed(BaseException):
            pass

        def die(*given):
            raise Killed

        shard(faces)
        with monkeypatch.context() as patch:
            patch.setattr("facepriv.protection.shards._outcome", die)
            patch.setattr("shutil.rmtree", lambda *given, **options: None)  # a killed process tidies nothing up
            with pytest.raises(Killed):
                run(tmp_path / "in")
        left = list((tmp_path / "out").rglob("*.png"))
        assert len(left) == 4
        assert not {path.read_bytes() for path in left} & set(faces.values())
        assert run(tmp_path / "in", existing="resume").done == 4
        assert list((tmp_path / "out").rglob("*.png")) == []


class TestHostileShards:
    """What a tar says of itself is not believed."""

    @pytest.mark.parametrize("name", ["../up.png", "/etc/up.png", "a/../../up.png"])
    def test_names_that_lead_out_are_refused(self, run, shard, faces, tmp_path, name):
        shard({**faces, name: next(iter(faces.values()))})
        [error] = run(tmp_path / "in").errors
        assert "leads out" in error
        assert list(unpacked(tmp_path / "out/000.tar")) == list(faces)

    def test_a_second_member_of_a_name_is_refused(self, shard, faces, tmp_path):
        path = shard(faces)
        with tarfile.open(path, "a") as tar:
            tar.add(tmp_path / "photos/000.png", "people/000.png")
        refusals = [member.refusal.split(":")[0] for member in members_of(path)]
        assert refusals[3:] == ["", "a member before it has the same name"]

    def test_folders_and_devices_are_passed_over(self, shard, faces):
        path = shard(faces)
        with tarfile.open(path, "a") as tar:
            for kind in (tarfile.DIRTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE):
                info = tarfile.TarInfo("link.png")
                info.type, info.linkname = kind, "/etc/passwd"
                tar.addfile(info)
        assert [member.name for member in members_of(path)] == list(faces)

    @pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE])
    def test_a_link_that_stands_for_a_photo_is_never_followed_and_named(self, run, shard, faces, tmp_path, kind):
        path = shard(faces)
        with tarfile.open(path, "a") as tar:
            for name in ("link.png", "link.txt"):
                info = tarfile.TarInfo(name)
                info.type, info.linkname = kind, "/etc/passwd"
                tar.addfile(info)
        summary = run(tmp_path / "in")
        [error] = summary.errors
        assert error.startswith(f"{path}: link.png: is a link: pack the photos themselves") and summary.done == 4
        assert list(unpacked(tmp_path / "out/000.tar")) == list(faces)

    @pytest.mark.parametrize("at", [0, 512 * 5, -1200])
    def test_damage_anywhere_in_the_headers_is_found(self, shard, faces, at):
        path = shard(faces)
        with tarfile.open(path) as tar:
            offsets = [info.offset for info in tar]
        data = bytearray(path.read_bytes())
        start = offsets[at // 512 % len(offsets)]
        data[start : start + 512] = os.urandom(512)
        path.write_bytes(data)
        with pytest.raises(ImageError, match=r"000\.tar: is no whole tar file"):
            members_of(path)

    @pytest.mark.parametrize("length", [0, 100, 512, 3000, 20_000])
    def test_a_shard_cut_short_is_found(self, shard, faces, length):
        path = shard(faces)
        path.write_bytes(path.read_bytes()[:length])
        with pytest.raises(ImageError, match=r"000\.tar: is no whole tar file"):
            members_of(path)

    def test_a_negative_size_leads_in_no_circle(self, shard, faces):
        path = shard(faces)
        data = bytearray(path.read_bytes())
        data[124:136] = b"\xff" * 10 + (-1024 & 0xFFFF).to_bytes(2, "big")  # GNU's binary numbers have a sign
        total = sum(data[:148]) + 8 * 32 + sum(data[156:512])
        data[148:156] = f"{total:06o}\0 ".encode()
        path.write_bytes(data)
        with pytest.raises(ImageError, match="is no whole tar file"):
            members_of(path)

    def test_a_member_stored_with_holes_is_refused(self, tmp_path):
        info = tarfile.TarInfo("holes.png")
        info.pax_headers = {"GNU.sparse.map": "0,1", "GNU.sparse.size": "1000000000000"}
        info.size = 1
        path = tmp_path / "holes.tar"
        with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
            tar.addfile(info, io.BytesIO(b"x"))
        [member] = members_of(path)
        assert "stored with holes" in member.refusal

    def test_a_tar_without_photos_and_a_gzipped_one_are_named(self, run, shard, tmp_path):
        path = shard({"labels.csv": b"a,b"})
        assert run(path).errors == [f"{path}: no photo in it (read are .bmp, .jpeg, .jpg, .png, .tif, .tiff, .webp)"]
        zipped = path.with_name("x.tar.gz")
        zipped.write_bytes(b"\x1f\x8b")
        with pytest.raises(UsageError, match=r"x\.tar\.gz: not a kind of file"):
            run(zipped)


@pytest.mark.parametrize("out", ["photo.png", "new.tar"])
def test_shards_go_into_a_folder(run, shard, faces, out):
    with pytest.raises(UsageError, match="name the folder for them"):
        run(shard(faces), out=out)


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # webdataset leaves its file to the collector
def test_webdataset_reads_what_is_written(run, shard, faces, tmp_path):
    import webdataset  # brings torch in

    shard(faces)
    run(tmp_path / "in")
    read = list(webdataset.WebDataset(str(tmp_path / "out/000.tar"), shardshuffle=False))
    assert [f"{one['__key__']}.png" for one in read] == list(faces)
    assert [one["png"] for one in read] == list(unpacked(tmp_path / "out/000.tar").values())
