"""The sheet as a page and as an image: what it shows of each photo, and what it must not hold."""

import re
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facepriv.evaluation.inspection import InspectedPhoto, Inspection, inspect_folders
from facepriv.report.sheet import COLUMNS, MOST_ON_IMAGE, pictures_of, sheet_image, sheet_page
from facepriv.report.sheet_image import AMPLIFIED, amplified_change, draw_sheet

HOSTILE = '<b onmouseover="x">&\udcff\x1b[1m.png'


@pytest.fixture(scope="module")
def folders(tmp_path_factory, small_faces):
    """Photos that changed, did not change, lost their file, and whose file is damaged."""
    originals, protected = (tmp_path_factory.mktemp("sheet") / name for name in ("originals", "protected"))
    for folder in (originals, protected):
        folder.mkdir()
    for n, name in enumerate(("changed.png", "same.png", "gone.png", "torn.png")):
        Image.fromarray(small_faces[n % 2]).save(originals / name)
    Image.fromarray((small_faces[0] * 0.8).astype(np.uint8)).save(protected / "changed.png")
    Image.fromarray(small_faces[1]).save(protected / "same.png")
    (protected / "torn.png").write_text("no image")
    return originals, protected


@pytest.fixture(scope="module")
def found(folders):
    return inspect_folders(*folders, workers=0)


@pytest.fixture(scope="module")
def page(found):
    return sheet_page(found, 200, workers=0)


def tags(page):
    """Return the tags of a page with their attributes."""
    seen = []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, attributes: seen.append((tag, dict(attributes)))
    parser.feed(page)
    return seen


def test_the_page_has_all_pictures_with_alt_texts_and_needs_no_script_and_no_request(page):
    pictures = [attributes for tag, attributes in tags(page) if tag == "img"]
    # All four pictures of two photos; of the other two the whole photo and the original.
    assert len(pictures) == 4 + 4 + 2 + 2
    assert all(picture["src"].startswith("data:image/webp;base64,") for picture in pictures)
    assert {picture["alt"] for picture in pictures} >= {f"changed.png: {column}" for column in COLUMNS}
    assert all(int(picture["width"]) <= 240 and int(picture["height"]) <= 240 for picture in pictures)
    assert not {"script", "link", "iframe", "object", "form"} & {tag for tag, _ in tags(page)}
    assert "script-src" not in page and "default-src 'none'" in page
    assert not re.findall(r"https?:|url\(", page)
    order = [page.index(f"<h2>{name}</h2>") for name in ("gone.png", "same.png", "torn.png", "changed.png")]
    assert order == sorted(order)
    assert f"The change is amplified {AMPLIFIED} times" in page and "has no protected file" in page


def test_a_limit_keeps_the_worst_and_says_how_many_are_left(found):
    page = sheet_page(found, 1, workers=0)
    assert "<h2>gone.png</h2>" in page and "<h2>changed.png</h2>" not in page
    assert "Shown: 1 of 4, the worst first; --limit N shows more" in page


def test_a_hostile_name_is_text(tmp_path):
    photo = InspectedPhoto(HOSTILE, tmp_path / "none", None, "missing", f"{HOSTILE} is missing")
    found = Inspection((photo,), (f"{HOSTILE}: what a name",))
    page = sheet_page(found, 10, workers=0)
    page.encode()
    assert "<b " not in page and "\x1b" not in page and page.count("&lt;b onmouseover=&#34;x&#34;&gt;&amp;?") == 2 + 1
    assert sheet_image(found, 10, workers=0).startswith(b"\x89PNG")


def test_the_change_is_amplified_about_grey(found):
    before, after = (Image.fromarray(np.full((2, 2, 3), value, np.uint8)) for value in (100, 90))
    assert np.unique(np.asarray(amplified_change(before, after))).tolist() == [128 - 10 * AMPLIFIED]
    assert np.unique(np.asarray(amplified_change(after, before))).tolist() == [128 + 10 * AMPLIFIED]
    pictures = {photo.name: pictures_of(photo, side=200) for photo in found.photos}
    assert np.unique(np.asarray(pictures["same.png"][3])).tolist() == [128]
    assert pictures["gone.png"][2:] == ["no protected file", "no change to show"]
    assert pictures["torn.png"][2:] == ["no whole image", "no change to show"]


def test_a_frame_tells_a_changed_face_from_another(found):
    pictures = {photo.name: np.asarray(pictures_of(photo, side=200)[0]) for photo in found.photos}
    green, red = (0, 200, 144), (255, 59, 32)
    for name, colour in {"changed.png": green, "same.png": red, "gone.png": red}.items():
        assert (pictures[name] == colour).all(2).sum() > 100, name
    assert not (pictures["changed.png"] == red).all(2).any()


def test_far_faces_are_not_shown_together_but_the_worst(tmp_path, small_faces):
    wide = np.full((110, 900, 3), 90, np.uint8)
    wide[:, :100], wide[:, 800:] = small_faces
    changed = wide.copy()
    changed[:, :100] //= 2
    for folder, pixels in (("originals", wide), ("protected", changed)):
        (tmp_path / folder).mkdir()
        Image.fromarray(pixels).save(tmp_path / folder / "wide.png")
    (photo,) = inspect_folders(tmp_path / "originals", tmp_path / "protected", workers=0).photos
    assert len(photo.faces) == 2
    whole, before, _, change = pictures_of(photo, side=200)
    assert whole.size == (200, 24)
    assert min(before.size) > 100 and np.unique(np.asarray(change)).tolist() == [128]  # the unchanged face


def test_the_image_is_bounded_and_has_a_row_for_each_photo(found):
    one, all_of_them = (Image.open(BytesIO(sheet_image(found, limit, workers=0))) for limit in (1, 20))
    assert one.size[0] == all_of_them.size[0] < 1000 and one.size[1] < all_of_them.size[1]
    many = Inspection(found.photos * 15, ())
    with Image.open(BytesIO(sheet_image(many, MOST_ON_IMAGE, workers=0))) as image:
        assert 200 * MOST_ON_IMAGE < image.size[1] <= 16384


def test_long_lines_are_wrapped_within_the_image():
    line = "a-name-without-any-space" * 20 + " and words" * 40
    sizes = []
    for text in ("short", line):
        row = ([Image.new("RGB", (50, 50)), "words instead"], [text])
        sizes.append(Image.open(BytesIO(draw_sheet([text], ["one", "two"], [row], [text], side=100))).size)
    assert sizes[0][0] == sizes[1][0] and sizes[1][1] > sizes[0][1] + 400


def test_the_page_of_a_thousand_photos_is_small(found):
    one, two = (len(sheet_page(Inspection(found.photos[-1:] * n, ()), 10, workers=0)) for n in (1, 2))
    assert 1000 * (two - one) < 50_000_000


def test_nothing_of_the_style_is_from_elsewhere():
    here = Path(__file__).parents[2] / "facepriv/report"
    assert "@import" not in (here / "page.css").read_text() and "http" not in (here / "sheet.html.j2").read_text()
