import numpy as np
import pytest

from facepriv.contracts import AttributeEstimator, FaceBatch, FaceMatcher, Perturber, resize_images, resized
from facepriv.contracts.arrays import ROUNDING, check_labels
from facepriv.errors import ContractError, UsageError
from facepriv.protection.request import face_rng
from facepriv.testing.faces import drawn_face


def images(count=2, size=16):
    return np.random.default_rng(0).random((count, size, size, 3), dtype=np.float32)


def labels(**values):
    return {name: np.array(own, dtype=np.int64) for name, own in values.items()}


def drawn_faces(size):
    """Three times a drawn face, each darker than the one before, with landmarks and labels."""
    face, points = drawn_face(size)
    shades = np.stack([face, face * np.float32(0.8), face * np.float32(0.5)])
    landmarks = np.stack([points, points + 1, points + 2])
    return FaceBatch(shades, landmarks, labels(gender=[0, 1, -1], race=[0, 1, 2]))


def rngs(count):
    return [face_rng("photo", face, "targets", 0, b"key") for face in range(count)]


class Shift(Perturber):
    """Adds `amount` as far as there is room; records what it was given."""

    attributes = ("gender",)

    def __init__(self, amount=0.1, crop_size=0, needs=()):
        self.amount, self.crop_size, self.needs = amount, crop_size, frozenset(needs)

    def _perturb(self, faces, source, target, strength, rngs):
        self.given = faces
        return np.clip(faces.images + np.float32(self.amount * strength), 0, 1)


def perturb(method, faces, count=None, **changed):
    own = labels(gender=[0] * len(faces))
    arguments = {"source": own, "target": labels(gender=[1] * len(faces)), "rngs": rngs(len(faces)), **changed}
    return method.perturb(faces, **arguments)


# FaceBatch


@pytest.mark.parametrize(
    ("bad", "text"),
    [
        ([[1.0]], "images: expected a NumPy array, got list"),
        (images()[0], r"images: expected shape \(N, S, S, 3\), got \(16, 16, 3\)"),
        (images()[:, :8], r"got \(2, 8, 16, 3\)"),
        (images()[..., :1], r"got \(2, 16, 16, 1\)"),
        (images().astype(np.float64), "images: expected float32, got float64"),
        ((images() * 255).astype(np.uint8), "images: expected float32, got uint8"),
        (np.full((1, 8, 8, 3), 2.5, np.float32), r"images: expected values in \[0, 1\], got \[2.5, 2.5\]"),
        (np.full((1, 8, 8, 3), -1, np.float32), r"images: expected values in \[0, 1\], got \[-1, -1\]"),
        (np.full((1, 8, 8, 3), np.nan, np.float32), "images: expected finite values, got NaN or infinity"),
        (np.full((1, 8, 8, 3), np.inf, np.float32), "images: expected finite values, got NaN or infinity"),
    ],
)
def test_bad_images_are_refused_with_what_was_got(bad, text):
    with pytest.raises(ContractError, match=text):
        FaceBatch(bad)


@pytest.mark.parametrize(
    ("bad", "text"),
    [
        (np.zeros((2, 5, 2), np.float32), r"landmarks: expected float32 \(2, 68, 2\), got float32 \(2, 5, 2\)"),
        (np.zeros((1, 68, 2), np.float32), r"got float32 \(1, 68, 2\)"),
        (np.zeros((2, 68, 2)), "got float64"),
        (np.full((2, 68, 2), np.inf, np.float32), "landmarks: expected finite values, got NaN or infinity"),
    ],
)
def test_bad_landmarks_are_refused_with_what_was_got(bad, text):
    with pytest.raises(ContractError, match=text):
        FaceBatch(images(), bad)


@pytest.mark.parametrize(
    ("name", "bad", "text"),
    [
        ("gender", [0, 1], r"labels of gender: expected int64 \(2,\), got list"),
        ("gender", np.zeros(3, np.int64), r"labels of gender: expected int64 \(2,\), got int64 \(3,\)"),
        ("gender", np.zeros(2), r"got float64 \(2,\)"),
        ("gender", np.zeros(2, np.int32), r"got int32 \(2,\)"),
        ("gender", np.array([0, 2]), "labels of gender: expected -1 to 1, got 0 to 2"),
        ("race", np.array([-2, 3]), "labels of race: expected -1 to 3, got -2 to 3"),
    ],
)
def test_bad_labels_are_refused_with_what_was_got(name, bad, text):
    with pytest.raises(ContractError, match=text):
        FaceBatch(images(), labels={name: bad})


def test_labels_of_an_unknown_attribute_are_refused():
    with pytest.raises(UsageError, match="unknown attribute 'hair'"):
        FaceBatch(images(), labels={"hair": np.zeros(2, np.int64)})


def test_an_empty_batch_is_valid():
    batch = FaceBatch(images(0), np.zeros((0, 68, 2), np.float32), labels(gender=[]))
    assert len(batch) == 0


def test_take_selects_faces_with_their_landmarks_and_labels():
    batch = drawn_faces(32)
    taken = batch.take([2, 0])
    assert np.array_equal(taken.images, batch.images[[2, 0]])
    assert np.array_equal(taken.landmarks, batch.landmarks[[2, 0]])
    assert taken.labels["race"].tolist() == [2, 0]
    assert batch.take(slice(1, 2)).landmarks.shape == (1, 68, 2)
    assert FaceBatch(images()).take([0]).landmarks is None


# Perturber


def test_perturb_hands_on_the_strength():
    faces = FaceBatch(images())
    assert np.array_equal(perturb(Shift(0.5), faces, strength=0.5), np.clip(faces.images + np.float32(0.25), 0, 1))


def test_a_method_with_a_crop_size_sees_that_size_and_only_its_change_is_scaled_back():
    batch = drawn_faces(96)
    method = Shift(0.05, crop_size=48)
    out = perturb(method, batch)
    assert method.given.images.shape == (3, 48, 48, 3)
    # A constant change leaves the crop's own detail as it is, which scaling down and up would blur.
    assert np.allclose(out, np.clip(batch.images + 0.05, 0, 1), atol=1e-6)


class Returns(Shift):
    def __init__(self, *returned):
        super().__init__()
        self.returned = returned

    def _perturb(self, faces, *_):
        return np.resize(np.array(self.returned, np.float32), faces.images.shape)


@pytest.mark.parametrize("outside", [-ROUNDING / 2, 1 + ROUNDING / 2])
def test_what_rounding_puts_outside_is_clipped(outside):
    out = perturb(Returns(0, outside, 1), FaceBatch(images()))
    assert out.min() == 0 and out.max() == 1


@pytest.mark.parametrize(
    ("returned", "said"),
    [((0, 1.01), "0, 1.01"), ((-0.01, 1), "-0.01, 1"), ((0, 255), "0, 255"), ((2, 3), "2, 3"), ((-1, 1), "-1, 1")],
)
def test_what_lies_further_outside_is_the_methods_error_and_not_clipped(returned, said):
    with pytest.raises(ContractError, match=rf"Returns returned values in \[{said}\], expected \[0, 1\]: scale"):
        perturb(Returns(*returned), FaceBatch(images()))


def test_a_step_of_bfloat16_is_within_the_tolerance():
    torch = pytest.importorskip("torch")
    assert torch.finfo(torch.bfloat16).eps <= ROUNDING


def test_a_change_that_overshoots_when_it_is_enlarged_is_clipped():
    class Edge(Shift):
        def _perturb(self, faces, *_):
            out = np.zeros_like(faces.images)
            out[:, :, ::2] = 1
            return out

    out = perturb(Edge(crop_size=8), FaceBatch(images(size=32)))
    assert out.min() == 0 and out.max() == 1


def test_landmarks_are_scaled_with_the_crop():
    batch = drawn_faces(96)
    half = resized(batch, 48)
    # The centre of the first pixel lies at 0 in both, half a pixel from the edge.
    assert np.allclose((half.landmarks + 0.5) * 2, batch.landmarks + 0.5, atol=1e-4)
    assert resized(batch, 96) is batch


@pytest.mark.parametrize("size", [8, 16, 40])
def test_resizing_keeps_flat_colour_of_any_range_and_channel_order(size):
    flat = np.broadcast_to(np.array([-2.0, 0.25, 3.0], np.float32), (1, 16, 16, 3))
    out = resize_images(flat, size)
    assert out.shape == (1, size, size, 3)
    assert np.allclose(out, flat[:, :1, :1], atol=1e-5)


@pytest.mark.parametrize(
    ("returned", "text"),
    [
        (None, r"Returns returned NoneType, expected \(2, 16, 16, 3\)"),
        (np.zeros((1, 16, 16, 3)), r"Returns returned \(1, 16, 16, 3\), expected \(2, 16, 16, 3\)"),
        (np.zeros((2, 16, 16, 3), np.uint8), r"Returns returned uint8, expected floats in \[0, 1\]"),
        (np.full((2, 16, 16, 3), np.nan), "Returns returned NaN or infinity"),
    ],
)
def test_what_a_method_returns_is_checked_and_the_method_named(returned, text):
    class Returns(Shift):
        def _perturb(self, *_):
            return returned

    with pytest.raises(ContractError, match=text):
        perturb(Returns(), FaceBatch(images()))


@pytest.mark.parametrize(
    ("changed", "error", "text"),
    [
        ({"strength": 1.2}, ContractError, "strength: expected 0 to 1, got 1.2"),
        ({"rngs": rngs(1)}, ContractError, "rngs: expected 2 generators, got 1"),
        ({"rngs": [0, 1]}, ContractError, "rngs: expected numpy.random.Generator, got int"),
        ({"source": {}}, ContractError, "target names 'gender' but source does not"),
        ({"source": labels(gender=[0])}, ContractError, r"labels of gender: expected int64 \(2,\), got int64 \(1,\)"),
        ({"target": labels(gender=[0, 9])}, ContractError, "labels of gender: expected -1 to 1, got 0 to 9"),
        (
            {"source": labels(race=[0, 0]), "target": labels(race=[0, 1])},
            UsageError,
            "Shift cannot change 'race': it changes gender",
        ),
        ({"target": labels(hair=[0, 0])}, UsageError, "unknown attribute 'hair'"),
    ],
)
def test_a_bad_call_is_refused_with_what_was_got(changed, error, text):
    with pytest.raises(error, match=text):
        perturb(Shift(), FaceBatch(images()), **changed)


def test_what_is_no_face_batch_is_refused():
    with pytest.raises(ContractError, match="faces: expected a FaceBatch, got ndarray"):
        perturb(Shift(), images())


def test_images_that_were_spoilt_after_the_batch_was_made_are_refused():
    faces = FaceBatch(images())
    faces.images[0] = np.nan
    with pytest.raises(ContractError, match="images: expected finite values"):
        perturb(Shift(), faces)


def test_a_method_that_needs_landmarks_is_not_run_without():
    with pytest.raises(ContractError, match="Shift needs landmarks, got none"):
        perturb(Shift(needs=["landmarks"]), FaceBatch(images()))


def test_a_kept_attribute_that_the_method_cannot_change_may_be_named():
    race = labels(race=[0, 3])
    assert perturb(Shift(), FaceBatch(images()), source=race, target=race).shape == (2, 16, 16, 3)


def test_check_labels_takes_unknown_ones():
    check_labels("gender", np.array([-1, 0, 1]), 3)


# Evaluators


def test_an_estimators_classes_are_the_likeliest_or_the_age_group():
    class Gender(AttributeEstimator):
        attribute = "gender"

        def predict(self, images):
            return np.array([[0.2, 0.8], [0.9, 0.1]], np.float32)

    class Age(AttributeEstimator):
        attribute, output = "age", "years"

        def predict(self, images):
            return np.array([30.0, 30.5, 70.0], np.float32)

    assert Gender().classes(images()).tolist() == [1, 0]
    assert Age().classes(images(3)).tolist() == [0, 1, 2]
    assert Age().torch_module() is None


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_an_estimate_that_is_no_number_is_an_unknown_class(bad):
    class Gender(AttributeEstimator):
        attribute = "gender"

        def predict(self, images):
            return np.array([[0.2, 0.8], [bad, 0.1]], np.float32)

    class Age(AttributeEstimator):
        attribute, output = "age", "years"

        def predict(self, images):
            return np.array([bad, 70.0], np.float32)

    assert Gender().classes(images()).tolist() == [1, -1]
    assert Age().classes(images()).tolist() == [-1, 2]


def test_a_matchers_score_is_the_cosine_higher_for_the_more_alike():
    class Matcher(FaceMatcher):
        def embed(self, images):
            return images.reshape(len(images), -1)

    a = np.array([[1, 0], [1, 0], [1, 0], [0, 0], [np.nan, np.nan]], np.float32)
    b = np.array([[2, 0], [0, 5], [-1, 0], [1, 0], [1, 0]], np.float32)
    scores = Matcher().score(a, b)
    assert scores[:4].tolist() == [1, 0, -1, 0]
    assert np.isnan(scores[4])
    assert scores.dtype == np.float32


def test_all_scores_at_once_are_those_of_the_pairs_also_where_a_matcher_has_its_own():
    class Matcher(FaceMatcher):
        def embed(self, images):
            return images.reshape(len(images), -1)

    class Closeness(Matcher):
        def score(self, a, b):
            return -np.linalg.norm(a - b, axis=1)

    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(4, 3)).astype(np.float32), rng.normal(size=(5, 3)).astype(np.float32)
    a[1], b[2] = 0, np.nan
    for matcher in (Matcher(), Closeness()):
        every = matcher.score_all(a, b)
        assert every.shape == (4, 5) and every.dtype == np.float32
        pairs = matcher.score(np.repeat(a, 5, axis=0), np.tile(b, (4, 1))).reshape(4, 5)
        np.testing.assert_allclose(every, pairs, atol=1e-6)
        assert matcher.score_all(a[:0], b).shape == (0, 5)
