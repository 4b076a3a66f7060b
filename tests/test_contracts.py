import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facepriv.contracts import (
    AttributeEstimator,
    FaceBatch,
    FaceMatcher,
    Perturber,
    check_labels,
    resize_images,
    resized,
)
from facepriv.errors import ContractError, UsageError
from facepriv.protection.request import PrivacyRequest, face_rng
from facepriv.schema import ATTRIBUTES, RACE_PAIRS
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
    """Adds `amount`; records what it was given."""

    attributes = ("gender",)

    def __init__(self, amount=0.1, crop_size=0, needs=()):
        self.amount, self.crop_size, self.needs = amount, crop_size, frozenset(needs)

    def _perturb(self, faces, source, target, strength, rngs):
        self.given = faces
        return faces.images + np.float32(self.amount * strength)


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


# PrivacyRequest: what it refuses


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"obfuscate": ("gendre",)}, r"unknown attribute 'gendre' \(did you mean 'gender'\?\)"),
        ({"targets": {"agee": "old"}}, "unknown attribute 'agee'"),
        (
            {"targets": {"age": "ancient"}},
            "unknown target 'age=ancient': one of young, middle, old, same, opposite, neutral",
        ),
        ({"policy": "hide"}, "unknown policy 'hide': one of flip, random"),
        ({"strength": 1.5}, "strength must be between 0 and 1, got 1.5"),
        ({"strength": -0.1}, "got -0.1"),
        ({"strength": float("nan")}, "got nan"),
        ({"pairs": {"hair": {}}}, "unknown attribute 'hair'"),
        ({"pairs": {"race": {"white": "green"}}}, "unknown race class 'green'"),
        ({"pairs": {"race": {"white": "white"}}}, "pairs of race turn 'white' into itself"),
    ],
)
def test_a_bad_request_is_refused_with_what_was_got(arguments, text):
    with pytest.raises(UsageError, match=text):
        PrivacyRequest(**arguments)


def test_hidden_is_in_the_schemas_order_and_includes_explicit_targets():
    assert PrivacyRequest(("age", "gender"), targets={"race": "black"}).hidden == ("gender", "race", "age")
    assert PrivacyRequest(()).hidden == ()


def test_resolve_refuses_a_hidden_attribute_without_labels():
    with pytest.raises(ContractError, match="no labels for 'gender', which is to be hidden"):
        PrivacyRequest().resolve(labels(age=[0]), rngs(1))


def test_resolve_refuses_another_number_of_generators_than_faces():
    # Or the faces beyond the last generator would stay as they are, unseen.
    with pytest.raises(ContractError, match=r"labels of gender: expected int64 \(1,\), got int64 \(2,\)"):
        PrivacyRequest().resolve(labels(gender=[0, 1]), rngs(1))


def test_resolve_refuses_labels_that_are_no_class():
    with pytest.raises(ContractError, match="labels of gender: expected -1 to 1, got 0 to 5"):
        PrivacyRequest().resolve(labels(gender=[0, 5]), rngs(2))


# PrivacyRequest: what it chooses

own_classes = st.fixed_dictionaries(
    {name: st.lists(st.integers(-1, len(a.classes) - 1), min_size=8, max_size=8) for name, a in ATTRIBUTES.items()}
)


@given(own_classes, st.sets(st.sampled_from(list(ATTRIBUTES))))
def test_flip_never_gives_the_own_class_and_kept_attributes_stay(own, hidden):
    source, target = PrivacyRequest(tuple(hidden)).resolve(labels(**own), rngs(8))
    for name, spec in ATTRIBUTES.items():
        assert source[name].tolist() == own[name]
        if name in hidden:
            assert (target[name] != source[name]).all()
            assert ((target[name] >= 0) & (target[name] < len(spec.classes))).all()
        else:
            assert target[name].tolist() == own[name]


def drawn(name, own, policy, count=3000):
    """Return how often each class is the target of `count` faces of class `own`, as shares."""
    request = PrivacyRequest((name,), policy=policy)
    _, target = request.resolve(labels(**{name: [own] * count}), rngs(count))
    return np.bincount(target[name], minlength=len(ATTRIBUTES[name].classes)) / count


@pytest.mark.parametrize("own", range(4))
def test_random_draws_every_class_alike_the_own_one_too(own):
    assert drawn("race", own, "random") == pytest.approx([0.25] * 4, abs=0.04)  # 5 standard deviations


@pytest.mark.parametrize("own", range(3))
def test_flip_draws_every_other_class_alike(own):
    wanted = [0.0 if group == own else 0.5 for group in range(3)]
    assert drawn("age", own, "flip") == pytest.approx(wanted, abs=0.05)


@pytest.mark.parametrize("policy", ["flip", "random"])
def test_an_unknown_class_is_drawn_from_all(policy):
    assert drawn("gender", -1, policy) == pytest.approx([0.5, 0.5], abs=0.05)


def test_pairs_fix_what_flip_turns_a_class_into_and_an_unknown_one_is_drawn():
    request = PrivacyRequest(("race",), pairs={"race": RACE_PAIRS})
    _, target = request.resolve(labels(race=[0, 1, 2, 3, -1]), rngs(5))
    assert target["race"][:4].tolist() == [1, 0, 3, 2]
    assert target["race"][4] >= 0


def test_pairs_do_not_bind_the_random_policy():
    request = PrivacyRequest(("race",), policy="random", pairs={"race": RACE_PAIRS})
    _, target = request.resolve(labels(race=[0] * 200), rngs(200))
    assert set(target["race"].tolist()) == {0, 1, 2, 3}


@pytest.mark.parametrize("policy", ["flip", "random"])
def test_an_explicit_target_is_given_to_all_faces_those_that_are_it_already_too(policy):
    request = PrivacyRequest((), targets={"age": "old"}, policy=policy)
    source, target = request.resolve(labels(age=[0, 2, -1], gender=[0, 1, -1]), rngs(3))
    assert target["age"].tolist() == [2, 2, 2]
    assert target["gender"].tolist() == source["gender"].tolist()


@pytest.mark.parametrize("policy", ["flip", "random"])
@pytest.mark.parametrize(
    ("word", "expected"), [("same", [0, 1, -1]), ("opposite", [1, 0, None]), ("neutral", [-1, -1, -1])]
)
def test_a_relative_target_hangs_on_the_faces_own_class_and_not_on_the_policy(word, expected, policy):
    request = PrivacyRequest((), targets={"gender": word}, policy=policy)
    assert request.hidden == ("gender",)
    source, target = request.resolve(labels(gender=[0, 1, -1], age=[0, 1, 2]), rngs(3))
    assert [e is None or e == t for e, t in zip(expected, target["gender"].tolist(), strict=True)] == [True] * 3
    assert source["gender"].tolist() == [0, 1, -1] and target["age"].tolist() == [0, 1, 2]


def test_the_opposite_of_one_class_among_several_is_as_flip_finds_it():
    own, request = labels(race=[0, 1, 2, 3] * 20), PrivacyRequest((), targets={"race": "opposite"})
    drawn = request.resolve(own, rngs(80))[1]["race"]
    assert drawn.tolist() == PrivacyRequest(("race",)).resolve(own, rngs(80))[1]["race"].tolist()
    paired = PrivacyRequest((), targets={"race": "opposite"}, pairs={"race": RACE_PAIRS}).resolve(own, rngs(80))[1]
    assert paired["race"].tolist() == [1, 0, 3, 2] * 20


@pytest.mark.parametrize("policy", ["flip", "random"])
def test_one_attributes_draw_is_not_shifted_by_hiding_another(policy):
    own = labels(gender=[0, 1] * 20, race=[0, 1, 2, 3] * 10, age=[0, 1, 2, -1] * 10)
    alone = PrivacyRequest(("age",), policy=policy).resolve(own, rngs(40))[1]["age"]
    for other in (
        PrivacyRequest(("gender", "race", "age"), policy=policy),
        PrivacyRequest(("age",), targets={"gender": "male"}, policy=policy),
    ):
        assert other.resolve(own, rngs(40))[1]["age"].tolist() == alone.tolist()


def test_the_draws_of_two_attributes_are_independent():
    count = 4000
    own = labels(gender=[-1] * count, race=[-1] * count)
    _, target = PrivacyRequest(("gender", "race"), policy="random").resolve(own, rngs(count))
    joint = np.histogram2d(target["gender"], target["race"], bins=(2, 4))[0] / count
    assert joint == pytest.approx(np.full((2, 4), 1 / 8), abs=0.027)  # 5 standard deviations


def test_a_face_draws_the_same_alone_and_among_others():
    own = labels(race=[0, 1, 2, 3])
    together = PrivacyRequest(("race",)).resolve(own, rngs(4))[1]["race"]
    alone = PrivacyRequest(("race",)).resolve(labels(race=[2]), [rngs(4)[2]])[1]["race"]
    assert alone[0] == together[2]


def test_resolve_writes_to_no_labels():
    own = labels(gender=[0, 1])
    PrivacyRequest().resolve(own, rngs(2))
    assert own["gender"].tolist() == [0, 1]


# Perturber


def test_perturb_clips_and_hands_on_the_strength():
    faces = FaceBatch(images())
    assert np.array_equal(perturb(Shift(0.5), faces, strength=0.5), np.clip(faces.images + np.float32(0.25), 0, 1))


def test_a_method_with_a_crop_size_sees_that_size_and_only_its_change_is_scaled_back():
    batch = drawn_faces(96)
    method = Shift(0.05, crop_size=48)
    out = perturb(method, batch)
    assert method.given.images.shape == (3, 48, 48, 3)
    # A constant change leaves the crop's own detail as it is, which scaling down and up would blur.
    assert np.allclose(out, np.clip(batch.images + 0.05, 0, 1), atol=1e-6)


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
