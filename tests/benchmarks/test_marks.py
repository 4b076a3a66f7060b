"""The benchmark of marks beside the head: heads are cut out and composed, marked pixels are counted."""

import numpy as np
import pytest
from skimage.data import astronaut


def head_of(shape):
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    return (rows - shape[0] / 2) ** 2 + (columns - shape[1] / 2) ** 2 < 30**2


def test_only_large_changes_far_from_the_head_are_marks(marks):
    before = np.full((200, 160, 3), 128, np.uint8)
    head, after = head_of(before.shape), before.copy()
    after[100, 80] = 0  # on the head
    after[100, 80 + 30 + 11] = 0  # beside it, within the distance
    after[10, 10] += 6  # small enough
    assert not marks.marks(before, after, head).any()
    after[10, 10, 2] += 1
    after[190, 150] = 0
    assert np.argwhere(marks.marks(before, after, head)).tolist() == [[10, 10], [190, 150]]


def test_a_composed_photo_is_plain_around_the_head(marks):
    rgb = astronaut()[:256, 96:352]
    photo, head = marks.composed(rgb, head_of(rgb.shape), 255)
    far = ~marks.ndimage.binary_dilation(head, iterations=8)
    assert photo.shape[:2] == head.shape and (photo[far] == 255).all()
    assert np.array_equal(photo[head.shape[0] // 2, head.shape[1] // 2], rgb[128, 128])


def test_a_summary_counts_photos_without_and_with_many_marks(marks):
    assert marks.summary([0, 0, 3, 501]) == {"photos": 4, "clean": 0.5, "many": 0.25, "mean": 126.0}


def test_the_head_of_a_portrait_is_cut_out(marks):
    pytest.importorskip("cv2", reason="heads are cut out with OpenCV: pip install opencv-python-headless")
    rgb = astronaut()
    _, head = marks.cut_head(rgb)
    face = marks.find_faces(rgb, dense=True)[0].dense.astype(int)
    assert head[face[:, 1], face[:, 0]].all()
    assert not head[:, :60].any() and not head[:, 400:].any() and not head[300:].any()
