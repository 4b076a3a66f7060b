"""Every face is found in photos of all sizes, and nothing is found where there is none."""

from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from facepriv.errors import PluginError
from facepriv.faces import detect, detect_boxes, find_faces, models
from facepriv.faces.align import TEMPLATE, invert
from facepriv.faces.boxes import overlap


@pytest.fixture(scope="module")
def astronaut(astronaut_file):
    with Image.open(astronaut_file) as image:
        return image.convert("RGB")


@pytest.fixture(scope="module")
def hopper(hopper_file):
    with Image.open(hopper_file) as image:
        return image.convert("RGB")


# Between the eyes, in pixels of the files.
ASTRONAUT_EYES = (225, 104)
HOPPER_EYES = (266, 192)


def holds(box, point):
    return box[0] < point[0] < box[2] and box[1] < point[1] < box[3]


def eyes(face):
    """The point between the eyes."""
    return face.points[:4].mean(axis=0)


def test_the_astronaut_is_found(astronaut):
    faces = find_faces(np.asarray(astronaut))
    assert len(faces) == 1
    assert holds(faces[0].box, ASTRONAUT_EYES)
    assert np.abs(eyes(faces[0]) - ASTRONAUT_EYES).max() < 5
    assert faces[0].dense is None


def test_grace_hopper_is_found(hopper):
    faces = find_faces(np.asarray(hopper))
    assert len(faces) == 1
    assert np.abs(eyes(faces[0]) - HOPPER_EYES).max() < 10


def test_a_photo_of_twelve_megapixels_is_searched_and_landmarks_are_those_of_the_small_one(hopper):
    big = np.asarray(hopper.resize((3200, 3750), Image.Resampling.BICUBIC))
    assert big.size / 3 == 12e6
    found = find_faces(big)[0]
    small = find_faces(np.asarray(hopper))[0]
    assert np.abs(found.points / 6.25 - small.points).max() < 8
    assert found.scale / 6.25 == pytest.approx(small.scale, rel=0.08)


def test_a_tight_crop_of_200_pixels_is_found(astronaut):
    tight = np.asarray(astronaut.crop((168, 60, 278, 170)).resize((200, 200), Image.Resampling.BICUBIC))
    faces = find_faces(tight)
    assert len(faces) == 1
    assert np.abs(eyes(faces[0]) - (104, 80)).max() < 5


def test_a_thumbnail_of_89_by_109_is_found(astronaut):
    thumbnail = np.asarray(astronaut.crop((130, 10, 320, 243)).resize((89, 109), Image.Resampling.BOX))
    faces = find_faces(thumbnail)
    assert len(faces) == 1
    expected = (np.array(ASTRONAUT_EYES) - (130, 10)) * (89 / 190)
    assert np.abs(eyes(faces[0]) - expected).max() < 5


def test_a_face_below_the_detectors_size_is_found_on_a_second_look(astronaut):
    # The face is some 40 pixels wide; HOG alone needs 60.
    photo = np.full((240, 240, 3), 128, np.uint8)
    photo[60:180, 60:180] = astronaut.crop((90, 0, 340, 250)).resize((120, 120), Image.Resampling.BOX)
    assert not models.detector()(photo, 0)
    faces = find_faces(photo)
    assert len(faces) == 1
    expected = 60 + (np.array(ASTRONAUT_EYES) - (90, 0)) * (120 / 250)
    assert np.abs(eyes(faces[0]) - expected).max() < 5


def test_all_faces_are_found_largest_first(astronaut, hopper):
    montage = Image.new("RGB", (1100, 620), (90, 90, 90))
    montage.paste(astronaut.crop((0, 0, 512, 300)), (0, 60))
    montage.paste(hopper, (550, 0))
    faces = find_faces(np.asarray(montage))
    assert len(faces) == 2
    assert holds(faces[0].box, np.add(HOPPER_EYES, (550, 0)))
    assert holds(faces[1].box, np.add(ASTRONAUT_EYES, (0, 60)))


def test_small_faces_of_a_large_group_photo_are_found(astronaut):
    # Twelve faces of 110 pixels in a photo of 3600: 3 % of its width.
    person = astronaut.crop((100, 0, 350, 250)).resize((310, 310), Image.Resampling.BICUBIC)
    group = Image.new("RGB", (3600, 1400), (90, 90, 90))
    for n in range(12):
        group.paste(person, (60 + n % 6 * 590, 60 + n // 6 * 700))
    assert len(find_faces(np.asarray(group))) == 12


def test_a_large_photo_gives_the_faces_of_a_search_of_the_whole(astronaut, hopper):
    photo = Image.new("RGB", (1350, 1013), (90, 90, 90))
    photo.paste(hopper.resize((820, 960), Image.Resampling.BICUBIC), (520, 20))
    photo.paste(astronaut.crop((0, 0, 512, 400)), (0, 0))
    photo.paste(astronaut.crop((100, 0, 350, 250)).rotate(10, Image.Resampling.BICUBIC), (30, 600))
    rgb = np.asarray(photo)
    boxes, whole = detect_boxes(rgb), detect.search_whole(rgb)
    assert len(boxes) == len(whole) == 3
    for box, other in zip(boxes, whole, strict=True):
        assert overlap(np.array(box), np.array([other]))[0] > 0.65
        points, others = (detect.locate(rgb, b).points for b in (box, other))
        assert np.linalg.norm(points - others, axis=1).mean() < 0.02 * (other[2] - other[0])


def test_in_a_large_photo_the_detector_sees_only_a_part(astronaut, monkeypatch):
    monkeypatch.setattr(detect, "_search_all", lambda rgb: pytest.fail("the whole photo was searched"))
    assert len(detect_boxes(np.asarray(astronaut.resize((1024, 1024), Image.Resampling.BICUBIC)))) == 1


def test_a_crowd_is_searched_whole(astronaut, monkeypatch):
    """So much is proposed that looking at every proposal would be more than looking at all."""
    rgb = np.asarray(astronaut.resize((1024, 1024), Image.Resampling.BICUBIC))
    corners = np.random.default_rng(0).uniform(0, 900, (50, 2))
    monkeypatch.setattr(detect, "propose", lambda rgb: np.concatenate((corners, corners + 100), 1))
    monkeypatch.setattr(detect, "_search_around", lambda *_: pytest.fail("a part of the photo was searched"))
    assert detect_boxes(rgb) == detect.search_whole(rgb)


def test_a_thorough_search_sees_the_whole_of_a_large_photo(astronaut):
    rgb = np.asarray(astronaut.resize((1024, 1024), Image.Resampling.BICUBIC))
    assert [face.box for face in find_faces(rgb, thorough=True)] == detect.search_whole(rgb)
    assert [face.box for face in find_faces(rgb)] == detect_boxes(rgb) != detect.search_whole(rgb)


@pytest.fixture(scope="module")
def panorama(astronaut, hopper):
    """A photo of 9,000 x 1,400 pixels, and the points between the eyes of its nine faces."""
    photo = Image.new("RGB", (9000, 1400), (120, 130, 140))
    points = []
    for n in range(9):
        face, (x, y) = ((astronaut, ASTRONAUT_EYES), (hopper, HOPPER_EYES))[n % 2]
        left, top = 1000 * n + 200, 300 + 150 * (n % 3)
        photo.paste(face, (left, top))
        points.append((left + x, top + y))
    return np.asarray(photo), points


@pytest.mark.parametrize("turned", [False, True])
def test_every_face_of_a_panorama_is_found_and_those_of_the_whole_stay_as_they_are(panorama, turned):
    rgb, points = panorama
    if turned:  # stacked, not rotated: the faces stay upright
        rgb = np.concatenate([rgb[:, 1000 * n : 1000 * (n + 1)] for n in range(9)])
        points = [(x - 1000 * n, y + 1400 * n) for n, (x, y) in enumerate(points)]
    boxes = detect_boxes(rgb)
    assert [sum(holds(box, point) for box in boxes) for point in points] == [1] * 9
    assert len(boxes) == 9
    assert set(detect._search_bounded(rgb, detect._search_fast)) <= set(boxes)
    assert boxes == sorted(boxes, key=lambda b: -(b[2] - b[0]))


def test_a_thorough_search_finds_every_face_of_a_panorama_too(panorama):
    rgb, points = panorama
    boxes = [face.box for face in find_faces(rgb, thorough=True)]
    assert [sum(holds(box, point) for box in boxes) for point in points] == [1] * 9


@pytest.mark.parametrize("size", [(9000, 1400), (2401, 100), (2401, 960), (20_000, 3), (8000, 3100)])
def test_the_parts_of_a_long_photo_cover_it_and_share_a_quarter(size):
    parts = detect._parts(*size)
    assert parts[0][0] == 0 and parts[-1][1] == size[0] and {stop - start for start, stop in parts} == {2 * size[1]}
    assert all(one[1] - other[0] >= size[1] / 2 - 1 for one, other in pairwise(parts))


@pytest.mark.parametrize("size", [(2400, 10), (9000, 3600), (1400, 9000)])
def test_other_photos_have_no_parts(size):
    assert detect._parts(*size) == []


def test_an_overexposed_photo_is_searched_whole(astronaut):
    photo = np.asarray(astronaut.resize((1024, 1024), Image.Resampling.BICUBIC).point(lambda v: min(255, 1.4 * v)))
    assert (photo == 255).all(axis=2).mean() > 0.1
    assert detect_boxes(photo) == detect.search_whole(photo) != []


def test_a_photo_of_800_pixels_is_searched_whole(astronaut, monkeypatch):
    monkeypatch.setattr(detect, "propose", lambda rgb: pytest.fail("a part of the photo was searched"))
    assert (
        len(detect_boxes(np.asarray(astronaut.crop((0, 0, 512, 300)).resize((800, 469), Image.Resampling.BICUBIC))))
        == 1
    )


@pytest.mark.parametrize("side", [300, 700, 3000])
def test_where_no_proposal_holds_a_face_the_whole_photo_is_searched(astronaut, monkeypatch, side):
    empty = np.array([(900.0 - side, 900.0, 900.0, 900.0 + side)])  # reaches over the border
    monkeypatch.setattr(detect, "propose", lambda rgb: empty)
    photo = np.full((1000, 1000, 3), 128, np.uint8)
    photo[:300, :512] = astronaut.crop((0, 0, 512, 300))
    assert len(detect_boxes(photo)) == 1
    assert holds(detect_boxes(photo)[0], ASTRONAUT_EYES)


@pytest.mark.parametrize("at", [(-400, -400), (-90, 40), (995, 995), (1400, 20)])
def test_a_proposal_beyond_the_border_is_no_error(astronaut, monkeypatch, at):
    beyond = np.array([(*at, *np.add(at, 100))], float)
    monkeypatch.setattr(detect, "propose", lambda rgb: beyond)
    photo = np.full((1000, 1000, 3), 128, np.uint8)
    photo[:300, :512] = astronaut.crop((0, 0, 512, 300))
    assert len(detect_boxes(photo)) == 1


def test_dense_landmarks_frame_the_sparse_ones(hopper):
    face = find_faces(np.asarray(hopper), dense=True)[0]
    assert face.dense.shape == (68, 2)
    low, high = face.dense.min(0), face.dense.max(0)
    assert (face.points > low).all()
    assert (face.points < high).all()


def test_a_grey_photo_as_rgb_is_found(astronaut):
    grey = np.asarray(astronaut.convert("L").convert("RGB"))
    assert len(find_faces(grey)) == 1


def test_a_turned_head_is_found_and_the_crop_stands_upright(astronaut):
    turned = np.asarray(astronaut.rotate(20, resample=Image.Resampling.BICUBIC))
    face = find_faces(turned)[0]
    direction = np.rad2deg(np.arctan2(face.to_photo[1, 0], face.to_photo[0, 0]))
    assert direction == pytest.approx(-20, abs=6)
    inside = face.points @ invert(face.to_photo)[:, :2].T + invert(face.to_photo)[:, 2]
    assert np.abs(inside - TEMPLATE).max() < 0.03


@pytest.mark.parametrize("shape", [(1, 1), (1, 3000), (3000, 1), (7, 5), (60, 60), (300, 500), (900, 700)])
def test_nothing_is_found_where_nothing_is(shape):
    flat = np.full((*shape, 3), 128, np.uint8)
    noise = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    assert find_faces(flat) == []
    assert find_faces(noise) == []


def test_read_only_and_strided_photos_are_taken_and_left_alone(astronaut):
    photo = np.asarray(astronaut).copy()
    kept = photo.copy()
    photo.setflags(write=False)
    mirrored = photo[:, ::-1]
    assert len(find_faces(photo)) == 1
    assert holds(detect_boxes(mirrored)[0], (511 - ASTRONAUT_EYES[0], ASTRONAUT_EYES[1]))
    assert np.array_equal(photo, kept)


def test_the_same_photo_gives_the_same_faces(hopper):
    photo = np.asarray(hopper)
    first, second = find_faces(photo)[0], find_faces(photo)[0]
    assert first.box == second.box
    assert np.array_equal(first.points, second.points)


def test_a_missing_model_file_is_named_with_the_fix():
    with pytest.raises(PluginError, match=r"nothing\.dat: missing, pip install"):
        models.model_file("nothing.dat")


def test_a_missing_model_package_is_named_with_the_fix(monkeypatch):
    monkeypatch.setattr(models, "find_spec", lambda name: None)
    with pytest.raises(PluginError, match="pip install face-recognition-models"):
        models.model_file(models.LANDMARKS_5)
