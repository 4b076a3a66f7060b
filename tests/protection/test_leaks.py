"""Nothing that a photo, a person or a request said gets out: all is marked, and looked for in every byte written."""

import base64
import io
import json
import os
import re
import signal
import struct
import subprocess
import sys
import time
import zlib

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import ExifTags, Image, TiffImagePlugin
from PIL.PngImagePlugin import PngInfo

from facepriv.cli import console, main

#: Stands in every place of a photo that holds words.
MARK = "Zq7canary"
#: Stands where pictures or what nobody knows may be: no option lets it through.
NEVER = "Zq7picture"
#: What a PNG may hold afterwards.
PNG_CHUNKS = {b"IHDR", b"PLTE", b"IDAT", b"IEND", b"iCCP", b"pHYs", b"gAMA", b"cHRM", b"sRGB", b"tRNS"}
SEED, KEY = 770077123, b"Zq7 a secret, in plain letters"


def spellings(text):
    """Return the bytes that a text may stand as."""
    plain = text.encode()
    wide = [text.encode("utf-16-le"), text.encode("utf-16-be")]
    return [plain, plain.hex().encode(), base64.b64encode(plain)[:-4], *wide]


def leaks(data, *texts):
    """Return which texts stand somewhere in the bytes."""
    return [text for text in texts if any(form in data for form in spellings(text))]


def everything(*folders):
    """Return the names and the bytes of all below some folders, hidden files and all."""
    found = b""
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            found += str(path.relative_to(folder)).encode() + b"\n" + (path.read_bytes() if path.is_file() else b"")
    return found


def telling_exif(thumbnail):
    """Return EXIF with words, a place, a maker note, and a thumbnail of the face in its second directory."""
    exif = Image.Exif()
    exif[0x010E] = exif[0x013B] = exif[0x8298] = f"{MARK} words"
    exif[0x9C9B] = f"{MARK} title".encode("utf-16-le")
    details = exif.get_ifd(ExifTags.IFD.Exif)
    details[0x9286] = b"ASCII\0\0\0" + f"{MARK} comment".encode()
    details[0x927C] = f"{NEVER} maker note".encode()
    exif.get_ifd(ExifTags.IFD.GPSInfo).update({1: "N", 2: (52.0, 31.0, 12.0), 29: f"{MARK} place"})
    block = bytearray(exif.tobytes())
    order = "<" if block[6:8] == b"II" else ">"
    at = 6 + struct.unpack_from(order + "I", block, 10)[0]
    after = at + 2 + 12 * struct.unpack_from(order + "H", block, at)[0]
    second = len(block) - 6
    struct.pack_into(order + "I", block, after, second)
    start = second + 2 + 2 * 12 + 4
    block += struct.pack(order + "H HHII HHII I", 2, 0x201, 4, 1, start, 0x202, 4, 1, len(thumbnail), 0)
    return bytes(block + thumbnail)


def encoded(pixels, kind, **options):
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, kind, **options)
    return out.getvalue()


def jpeg(pixels, **options):
    return encoded(pixels, "JPEG", quality=95, **options)


def segment(number, data):
    return bytes([0xFF, number]) + struct.pack(">H", len(data) + 2) + data


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def planted_jpeg(pixels, exif, xmp):
    iptc = b"\x1c\x02\x78" + struct.pack(">H", len(MARK)) + MARK.encode()
    photoshop = b"Photoshop 3.0\0" + b"8BIM\x04\x04\0\0" + struct.pack(">I", len(iptc)) + iptc + b"\0" * (len(iptc) % 2)
    data = jpeg(pixels, exif=exif, xmp=xmp, comment=f"{MARK} comment")
    more = [
        segment(0xED, photoshop),
        segment(0xED, f"Photoshop 3.0\0 {NEVER}".encode()),
        segment(0xE1, b"http://ns.adobe.com/xmp/extension/\0" + NEVER.encode()),
        segment(0xE5, NEVER.encode()),
        segment(0xEC, f"Ducky {NEVER}".encode()),
    ]
    return data[:2] + b"".join(more) + data[2:] + f"{NEVER} after the end".encode() + jpeg(pixels)


def planted_png(pixels, exif, xmp):
    info = PngInfo()
    info.add_text("Comment", f"{MARK} text")
    info.add_text("Author", f"{MARK} compressed", zip=True)
    info.add_itxt("Title", f"{MARK} international", zip=True)
    info.add_itxt("XML:com.adobe.xmp", xmp.decode())
    info.add_text("Raw profile type iptc", f"\niptc\n {len(NEVER)}\n{NEVER.encode().hex()}", zip=True)
    data = encoded(pixels, "PNG", exif=exif, pnginfo=info)
    body, end = data[:-12], data[-12:]
    return body + chunk(b"caNa", NEVER.encode()) + chunk(b"tIME", bytes(7)) + end + NEVER.encode()


def planted_webp(pixels, exif, xmp):
    own = NEVER.encode() + b"\0" * (len(NEVER) % 2)
    plain = encoded(pixels, "WEBP", lossless=True, exif=exif, xmp=xmp)
    data = plain + b"CNRY" + struct.pack("<I", len(NEVER)) + own
    return data[:4] + struct.pack("<I", len(data) - 8) + data[8:]


def planted_tiff(pixels, exif, xmp):
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    for tag in (270, 271, 305, 315, 33432):
        tags[tag] = f"{MARK} words"
    for tag, text in ((700, xmp), (33723, NEVER.encode()), (34377, NEVER.encode()), (65000, NEVER.encode())):
        tags[tag], tags.tagtype[tag] = text, 7
    return encoded(pixels, "TIFF", tiffinfo=tags, compression="raw") + NEVER.encode()


def planted_bmp(pixels, exif, xmp):
    plain, gap = encoded(pixels, "BMP"), NEVER.encode().ljust(16)
    data = bytearray(plain[:54] + gap + plain[54:] + gap)
    struct.pack_into("<I", data, 2, len(data))
    struct.pack_into("<I", data, 10, 54 + len(gap))
    return bytes(data)


MAKERS = {"jpg": planted_jpeg, "png": planted_png, "webp": planted_webp, "tif": planted_tiff, "bmp": planted_bmp}


@pytest.fixture
def planted(small_faces):
    """Return ``planted(folder)``: writes a photo of each kind, marked in every place that holds more than pixels."""

    def write(folder):
        folder.mkdir(parents=True)
        pixels = small_faces[0]
        thumbnail = jpeg(pixels[::2, ::2], comment=f"{NEVER} thumbnail")
        xmp = f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf dc:title="{MARK}"/></x:xmpmeta>'.encode()
        for suffix, make in MAKERS.items():
            (folder / f"a.{suffix}").write_bytes(make(pixels, telling_exif(thumbnail), xmp))
        (folder / "nobody.jpg").write_bytes(planted_jpeg(np.zeros_like(pixels), telling_exif(thumbnail), xmp))
        return folder

    return write


@pytest.fixture
def call(tiny, tmp_path, monkeypatch, one_process):
    """Return ``call("options")``, run in ``tmp_path``."""
    monkeypatch.chdir(tmp_path)
    return lambda line: CliRunner().invoke(main, line.split())


def said(result):
    return result.stdout.encode() + result.stderr.encode()


class TestMetadata:
    """What a file holds beside its pixels."""

    RUN = "apply photos -o out --method darken --obfuscate gender --workers 1 --on-no-face copy --json"

    def test_the_photos_that_are_tried_hold_every_mark(self, planted, tmp_path):
        for path in planted(tmp_path / "photos").iterdir():
            data = path.read_bytes()
            assert leaks(data, NEVER), path
            assert path.suffix == ".bmp" or data.count(MARK.encode()) >= 5, path

    def test_none_of_it_is_in_any_output_or_word(self, call, planted, tmp_path):
        planted(tmp_path / "photos")
        result = call(self.RUN)
        assert result.exit_code == 0, result.output
        assert json.loads(result.stdout)["protected"] == 5
        assert json.loads(result.stdout)["copied"] == 1
        assert leaks(everything(tmp_path / "out") + said(result), MARK, NEVER, "xmpmeta", "Photoshop") == []
        png = (tmp_path / "out/a.png").read_bytes()
        assert set(png_chunks(png)) <= PNG_CHUNKS
        for path in (tmp_path / "out").glob("*.*"):
            with Image.open(path) as image:
                image.load()
                assert not {0x010E, 0x013B, 0x8298, 700, 33723, 34377, 65000}.intersection(image.getexif()), path
                assert not image.getexif().get_ifd(ExifTags.IFD.Exif)
                assert not image.getexif().get_ifd(ExifTags.IFD.GPSInfo)
                assert not {"comment", "xmp", "photoshop", "Comment", "Author", "Title"}.intersection(image.info), path

    def test_what_may_hold_a_picture_goes_even_where_metadata_is_kept(self, call, planted, tmp_path):
        planted(tmp_path / "photos")
        result = call(f"{self.RUN} --keep-metadata")
        assert result.exit_code == 0, result.output
        assert leaks(everything(tmp_path / "out"), NEVER) == []
        for suffix in ("jpg", "png", "webp", "tif"):
            assert leaks((tmp_path / f"out/a.{suffix}").read_bytes(), MARK)


def png_chunks(data):
    """Yield the names of a PNG's chunks; nothing stands after the last."""
    at = 8
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        yield data[at + 4 : at + 8]
        at += 12 + length


class TestRequest:
    """What was hidden, how, and from where it was drawn."""

    COMMON = (
        "--method paint --estimator gender=bright-gender,race=bright-race,age=bright-age --batch-size 1 --workers 1"
    )
    REQUESTS = (
        f"--target gender=female --seed {SEED} --key-file key",
        "--obfuscate race,age --policy random --strength 0.37",
    )

    @pytest.fixture
    def source(self, photos, tmp_path):
        (tmp_path / "key").write_bytes(KEY)
        folder = photos(3)
        (folder / "torn.png").write_bytes((folder / "000.png").read_bytes()[:700])
        Image.fromarray(np.zeros((90, 90, 3), np.uint8)).save(folder / "nobody.png")
        return folder

    def test_whatever_is_asked_for_all_but_the_pixels_reads_the_same(self, call, source, tmp_path, monkeypatch):
        plain = console._Lines.advance
        found = []
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
        for request in self.REQUESTS:
            seen, words = [], []

            def advance(self, count=1, seen=seen):
                plain(self, count)
                seen.append((sorted(names(tmp_path / "out")), everything(tmp_path / "out/facepriv-run")))

            monkeypatch.setattr(console._Lines, "advance", advance)
            for options in ("--dry-run", "--dry-run --json", "", "--resume --json"):
                result = call(f"apply photos -o out {self.COMMON} {request} {options}")
                closing, printed = closing_line(result.stderr)
                assert bool(closing) == (not options)  # the one exception: for the user's eyes, and never written
                words.append((result.exit_code, timeless(result.stdout), timeless(printed)))
            assert [code for code, *_ in words] == [0, 0, 1, 1]
            assert len(seen) == 5 + 2
            every = b"".join(data for _, data in seen) + everything(tmp_path / "out") + repr(words).encode()
            every += everything(tmp_path / "state")
            assert len(list((tmp_path / "state/facepriv/receipts").iterdir())) == 1
            assert leaks(every, str(SEED), "female", "flip", "random", "0.37", "policy", "target", "obfuscate") == []
            assert leaks(every, KEY.decode(), str(tmp_path / "key")) == []
            record = {p.name: hashless(p.read_text()) for p in (tmp_path / "out/facepriv-run").iterdir()}
            found.append(([files for files, _ in seen], words, record))
            (tmp_path / "out").rename(tmp_path / f"out{len(found)}")
        assert found[0] == found[1]
        assert everything(tmp_path / "out1") != everything(tmp_path / "out2")

    def test_the_marks_would_be_found(self, call, source, tmp_path):
        """An audit holds them all but the key, so that the search above is one."""
        call(f"apply photos -o out {self.COMMON} {self.REQUESTS[0]} --audit")
        assert len(leaks(everything(tmp_path / "out"), str(SEED), "female", "flip", "policy", "target")) == 5
        assert leaks(everything(tmp_path / "out"), KEY.decode()) == []


def closing_line(text):
    """Return the line that says what was asked for, or an empty text, and all others."""
    lines = text.splitlines(keepends=True)
    closing = [line for line in lines if " hides " in line]
    return "".join(closing), "".join(line for line in lines if line not in closing)


def names(folder):
    """Yield the names of all below a folder; what differs in every run is left out of those of staging."""
    for path in folder.rglob("*"):
        yield re.sub(r"(\.facepriv-(staging-)?)[0-9a-f]{16}", r"\1", str(path.relative_to(folder)))


def timeless(text):
    """Return a text without durations, and without the lines of progress that a slow machine prints."""
    text = re.sub(r"facepriv: \d+/\d+ files, .*\n", "", text)
    return re.sub(r'in (\d+ h )?\d+ (s|min)|"seconds": [0-9.]+', "in no time", text)


def hashless(text):
    return re.sub(r'"sha256": "[0-9a-f]{64}"', "", text)


@pytest.mark.skipif(os.name != "posix", reason="signals as on POSIX")
def test_what_a_killed_run_leaves_behind_tells_nothing(tiny, planted, photos, tmp_path):
    for n in range(3):
        planted(tmp_path / f"photos/{n}")
    (tmp_path / "temporary").mkdir()
    line = f"apply photos -o out --method slow --target gender=female --seed {SEED} --workers 1 --on-no-face copy"
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "facepriv", *line.split()],
            cwd=tmp_path,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env={**os.environ, "TMPDIR": str(tmp_path / "temporary")},
        )
        end = time.monotonic() + 300
        while not list(tmp_path.glob("out/[0-9]/*")):
            assert process.poll() is None and time.monotonic() < end
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    left = everything(tmp_path / "out", tmp_path / "temporary") + (tmp_path / "log").read_bytes()
    assert leaks(left, MARK, NEVER, str(SEED), "female", "target") == []
    (staging,) = (tmp_path / "out/facepriv-run").glob(".facepriv-staging-*")
    kinds = re.compile(r"\d{8}\.(jpg|png|webp|tif|bmp)|\.facepriv-[0-9a-f]{16}\.tmp")
    assert all(kinds.fullmatch(path.name) for path in staging.iterdir())
    assert list((tmp_path / "temporary").iterdir()) == []


class TestPeople:
    """Reports and tables hold figures over all; no photo, file name, person or single score of the data gets in."""

    JUDGES = "--estimator bright-gender --matcher tint --workers 1 --replicates 20 --fmr 0.4"
    TINT = """
        from facepriv.contracts import FaceMatcher
        from facepriv.hookspecs import Descriptor, hookimpl

        FACEPRIV_CONTRACT = 2

        class Tint(FaceMatcher):
            trained_on = "nothing"

            def embed(self, images):
                return images.mean(axis=(1, 2)).astype("float32")

        @hookimpl
        def facepriv_components():
            return [Descriptor("matcher", "tint", "leak_judges:Tint", "a test's")]
    """

    @pytest.fixture
    def data(self, tmp_path, small_faces, install_plugin):
        """Sixteen photos of eight people, green as no example is, in a folder and files of marked names."""
        install_plugin("leak-judges", self.TINT)
        folder = tmp_path / f"{MARK}-data"
        folder.mkdir()
        info, rows = PngInfo(), ["file,subject,gender"]
        info.add_text("Comment", NEVER)
        for n in range(16):
            light = 1 - 0.2 * (n // 2 % 2) - 0.01 * n
            green = small_faces[n // 2 % 2] * light * (0.35, 1, 0.35)
            Image.fromarray(green.astype(np.uint8)).save(folder / f"{MARK}-{n}.png", pnginfo=info)
            rows.append(f"{MARK}-{n}.png,{MARK}-person-{n // 2},{('male', 'female')[n // 2 % 2]}")
        (folder / "labels.csv").write_text("\n".join([*rows, ""]))
        return folder

    def test_a_report_with_adversaries(self, call, data, tmp_path):
        result = call(f"attack {data} -o report --work work --methods darken --attack detector {self.JUDGES}")
        assert result.exit_code == 0, result.output
        report = tmp_path / "report"
        assert {p.name for p in report.iterdir()} == {"report.html", "rows.csv", "result.json", "tables.tex"}
        assert leaks(everything(report) + said(result), MARK, NEVER, str(tmp_path)) == []
        page = (report / "report.html").read_text()
        pictures = re.findall(r"data:image/(?:png|jpeg|webp);base64,([A-Za-z0-9+/=]+)", page)
        assert len(pictures) >= 2
        for picture in pictures:
            shown = Image.open(io.BytesIO(base64.b64decode(picture))).convert("RGB")
            red, green, blue = np.asarray(shown).mean(axis=(0, 1))
            assert green < 1.5 * max(red, blue)

    def test_an_evaluation(self, call, data, tmp_path):
        call(f"apply {data} -o out --method darken --obfuscate gender --workers 1")
        (tmp_path / "out" / f"{MARK}-3.png").unlink()
        result = call(f"evaluate {data} out --labels {data}/labels.csv --json found.json --csv rows.csv {self.JUDGES}")
        assert result.exit_code == 0, result.output
        assert leaks((tmp_path / "rows.csv").read_bytes(), MARK, NEVER) == []
        found = json.loads((tmp_path / "found.json").read_text())
        assert len(found["problems"]) == 1  # only the missing one is named
        text = json.dumps({**found, "problems": []})
        assert leaks(text.encode(), *(f"{MARK}-{n}.png" for n in range(16)), f"{MARK}-person", NEVER) == []
