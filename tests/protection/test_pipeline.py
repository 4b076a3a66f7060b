"""The road of one photo: what methods are given, what comes of it, and what nothing may depend on."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from facepriv.contracts import Frame
from facepriv.errors import PluginError, UsageError, WeightsError
from facepriv.faces import crop_face, feather_mask
from facepriv.image.decode import read_image
from facepriv.protection.pipeline import build_pipeline
from facepriv.protection.request import PrivacyRequest
from facepriv.registry import Estimator, Registry, wanted_labels

BRIGHT = {name: f"bright-{name}" for name in ("gender", "race", "age")}
KEY = b"a secret for tests only"
GENDER = PrivacyRequest(("gender",))
TWO = PrivacyRequest(("gender", "age"))
OTHER = {"gender": "bright-age"}
NEUTRAL = PrivacyRequest((), targets={"gender": "neutral"})


@pytest.fixture
def build(tiny):
    """Return ``build(methods, request, **options)`` with the tiny plugin's methods and estimators."""

    def make(methods, request=GENDER, **options):
        options = {"key": KEY, "estimators": BRIGHT, **options}
        return build_pipeline(tiny, methods.split(), request, **options)

    return make


@pytest.fixture
def portraits(photos):
    """Five small portraits, from bright to dark."""
    return [read_image(path) for path in sorted(photos(5).iterdir())]


def painted(protected, face=0):
    """Read gender, race and age off a face that `paint` has painted; -1 is unknown."""
    middle = protected.crops[face].shape[0] // 2
    return tuple(int(v) for v in np.rint(protected.crops[face, middle, middle] / 0.2) - 1)


def test_the_face_changes_and_the_rest_stays(build, astronaut_file):
    photo = read_image(astronaut_file)
    before = photo.pixels.copy()
    protected = build("darken").protect(photo)
    assert np.array_equal(photo.pixels, before)
    (face,) = protected.prepared.faces
    left, top, right, bottom = (round(v) for v in face.box)
    assert protected.photo.pixels[top:bottom, left:right].mean() < 0.7 * before[top:bottom, left:right].mean()
    changed = (protected.photo.pixels != before).any(axis=2)
    margin = int(face.scale)
    outside = np.ones_like(changed)
    outside[max(0, top - margin) : bottom + margin, max(0, left - margin) : right + margin] = False
    assert not (changed & outside).any()
    assert changed.sum() < face.scale**2


def test_all_faces_of_a_photo_change(build, small_faces, tmp_path):
    canvas = np.full((110, 260, 3), 128, np.uint8)
    canvas[:, 10:110] = canvas[:, 150:250] = small_faces[0]
    Image.fromarray(canvas).save(tmp_path / "two.png")
    protected = build("darken").protect(read_image(tmp_path / "two.png"))
    assert len(protected.prepared.faces) == 2
    for face in protected.prepared.faces:
        x, y = face.points.mean(axis=0).astype(int)
        assert protected.photo.pixels[y, x].mean() < 0.7 * canvas[y, x].mean()


def test_without_a_face_the_photo_comes_back(build, tmp_path):
    Image.fromarray(np.zeros((90, 90, 3), np.uint8)).save(tmp_path / "black.png")
    photo = read_image(tmp_path / "black.png")
    for methods in ("darken", "dots", "paint"):
        protected = build(methods).protect(photo)
        assert protected.prepared.faces == []
        assert len(protected.crops) == 0
        assert np.array_equal(protected.photo.pixels, photo.pixels)


def test_strength_zero_leaves_the_photo_bit_identical(build, portraits):
    protected = build("darken", PrivacyRequest(("gender",), strength=0.0)).protect(portraits[0])
    assert np.array_equal(protected.photo.pixels, portraits[0].pixels)


def test_several_photos_at_once_give_what_each_gives_alone(build, portraits):
    request = PrivacyRequest(("gender", "race"), policy="random", seed=3)
    for methods in ("noise grey", "paint", "noise paint-age grey dots"):
        alone = [build(methods, request).protect(photo).photo.pixels for photo in portraits]
        for batch_size in (1, 2, 32):
            pipeline = build(methods, request, batch_size=batch_size)
            together = pipeline.finish([pipeline.prepare(photo) for photo in portraits])
            assert all(np.array_equal(r.photo.pixels, a) for r, a in zip(together, alone, strict=True))


class TestCrops:
    """Size, landmarks and the way back follow from the methods."""

    def test_the_largest_crop_of_the_chain_is_used(self, build):
        assert build("darken").crop_size == 64
        assert build("darken dots").crop_size == 96

    def test_a_method_of_any_size_gets_the_default(self, build):
        assert build("grey", PrivacyRequest(("race",))).crop_size == 224

    def test_landmarks_are_there_when_a_method_needs_them(self, build, portraits):
        protected = build("dots").protect(portraits[0])
        assert protected.prepared.batch.landmarks.shape == (1, 68, 2)
        assert (protected.crops == 1).all(axis=3).sum() > 30
        assert build("darken").protect(portraits[0]).prepared.batch.landmarks is None

    def test_a_chain_is_replaced_if_any_method_replaces(self, build):
        assert build("darken").paste_mode == "residual"
        assert build("paint darken").paste_mode == "replacement"

    def test_a_replacement_covers_the_middle_of_the_face(self, build, portraits):
        request = PrivacyRequest(targets={"gender": "female", "race": "indian", "age": "old"})
        protected = build("paint", request).protect(portraits[0])
        face = protected.prepared.faces[0]
        x, y = face.points.mean(axis=0).astype(int)
        assert protected.photo.pixels[y, x].tolist() == [round(255 * 0.2 * v) for v in (2, 4, 3)]
        assert feather_mask(64)[32, 32] == 1


class TestFrames:
    """A method may declare another frame; estimators keep the standard one."""

    WIDE = Frame(2.6, 0.7)

    def test_a_method_gets_its_own_frame_and_the_change_goes_back_there(self, build, portraits, monkeypatch):
        plain = build("darken").protect(portraits[0])
        pipeline = build("darken")
        monkeypatch.setattr(type(pipeline.methods[0].perturber), "frame", self.WIDE)
        wide = build("darken").protect(portraits[0])
        (face,) = wide.prepared.faces
        assert np.array_equal(wide.prepared.batch.images[0], crop_face(portraits[0].rgb8(), face.framed(self.WIDE), 64))
        assert wide.prepared.batch.labels == plain.prepared.batch.labels
        rows = [(r.photo.pixels != portraits[0].pixels).any(axis=(1, 2)).nonzero()[0] for r in (plain, wide)]
        assert rows[1].max() > rows[0].max()  # the wide frame reaches lower

    def test_methods_of_different_frames_are_not_chained(self, build, monkeypatch):
        monkeypatch.setattr(type(build("darken").methods[0].perturber), "frame", self.WIDE)
        with pytest.raises(UsageError, match="darken and dots need crops of different frames"):
            build("darken dots")


class TestLabels:
    """Own classes are estimated once, where a method needs them, before the chain."""

    def test_only_methods_that_need_labels_ask_for_estimators(self, build):
        assert wanted_labels(build("darken noise").methods) == ()
        assert wanted_labels(build("paint-age darken").methods) == ("age",)
        assert wanted_labels(build("paint").methods) == ("gender", "race", "age")

    def test_a_method_without_need_of_labels_runs_without_estimators(self, tiny, portraits):
        (plugin,) = tiny.plugins
        methods = tuple(d for d in plugin.components if d.kind == "method")
        bare = Registry([replace(plugin, components=methods)])
        assert not bare.descriptors("estimator")
        pipeline = build_pipeline(bare, ["darken"], GENDER, key=KEY)
        assert pipeline.protect(portraits[0]).prepared.batch.labels["gender"].tolist() == [-1]

    def test_estimators_are_asked_face_after_face(self, build, portraits, monkeypatch):
        """So that those that share a network need to run it once a face only."""
        first, second = (np.asarray(p.rgb8()) for p in portraits[:2])
        height = min(len(first), len(second))
        pair = replace(portraits[0], pixels=np.hstack([first[:height], second[:height]]))
        asked, classes = [], Estimator.classes

        def noted(self, crops):
            asked.append((self.model.attribute, crops.mean()))
            return classes(self, crops)

        monkeypatch.setattr(Estimator, "classes", noted)
        prepared = build("paint").prepare(pair)
        one, other = (crop.mean() for crop in prepared.batch.images)
        assert asked == [(name, mean) for mean in (one, other) for name in ("gender", "race", "age")]

    def test_a_missing_estimator_is_one_line_that_names_the_package(self, tiny):
        with pytest.raises(PluginError, match=r"'family-a-gender' is not installed: pip install facepriv-estimators"):
            build_pipeline(tiny, ["paint"], GENDER, key=KEY)

    def test_kept_attributes_keep_their_estimated_class(self, build, portraits):
        for photo in portraits:
            protected = build("paint").protect(photo)
            own = protected.prepared.source
            assert painted(protected) == (1 - own["gender"][0], own["race"][0], own["age"][0])

    def test_faces_of_other_brightness_are_of_another_class(self, build, portraits):
        found = {tuple(int(v[0]) for v in build("paint").prepare(p).source.values()) for p in portraits}
        assert len(found) > 1

    def test_the_second_method_of_a_chain_gets_the_original_labels(self, build, portraits):
        # `darken` changes what the estimator would say of the face; `paint` must not see that.
        dark, alone = build("darken paint"), build("paint")
        for photo in portraits:
            assert painted(dark.protect(photo)) == painted(alone.protect(photo))


class TestTargets:
    """Which class a hidden attribute is turned into."""

    def test_explicit_targets_are_met(self, build, portraits):
        request = PrivacyRequest(targets={"gender": "male", "age": "old"})
        for photo in portraits:
            assert painted(build("paint", request).protect(photo))[::2] == (0, 2)

    def test_in_a_chain_each_method_changes_what_it_can(self, build, portraits):
        request = PrivacyRequest(targets={"gender": "female", "age": "old"})
        protected = build("paint-gender paint-age", request).protect(portraits[0])
        red, _, blue = painted(protected)
        assert (red, blue) == (1, 2)

    def test_random_targets_depend_on_the_key_and_not_on_the_seed_alone(self, build, portraits):
        request = PrivacyRequest(("race", "gender", "age"), policy="random")

        def drawn(key):
            return [painted(build("paint", request, key=key).protect(p)) for p in portraits]

        assert drawn(KEY) == drawn(KEY)
        assert len({tuple(drawn(bytes([n]) * 16)) for n in range(5)}) == 5

    @pytest.mark.parametrize(
        "request_, known",
        [
            (PrivacyRequest(("gender",), policy="random"), {"race", "age"}),
            (PrivacyRequest(("gender",)), {"gender", "race", "age"}),
            (PrivacyRequest((), targets={"gender": "male"}, policy="random"), {"gender", "race", "age"}),
        ],
        ids=["drawn", "flipped", "named"],
    )
    def test_a_blind_method_does_not_get_the_own_class_of_a_drawn_attribute(
        self, build, portraits, monkeypatch, request_, known
    ):
        pipeline = build("paint", request_)
        method = type(pipeline.methods[0].perturber)
        monkeypatch.setattr(method, "blind", True)
        given = []

        def perturb(self, faces, source, target, strength, rngs):
            given.append({a: (int(source[a][0]), int(faces.labels[a][0]), int(target[a][0])) for a in source})
            return faces.images

        monkeypatch.setattr(method, "_perturb", perturb)
        prepared = pipeline.prepare(portraits[0])
        pipeline.finish([prepared])
        assert {a for a, (own, label, _) in given[0].items() if own >= 0 and label >= 0} == known
        assert all(target == prepared.target[a][0] >= 0 for a, (_, _, target) in given[0].items())
        assert (prepared.source["gender"] >= 0).all()  # the plan of a run and an audit keep it

    def test_noise_does_not_depend_on_the_key(self, build, portraits):
        one, other = (build("noise", key=key).protect(portraits[0]) for key in (KEY, b"another secret...."))
        assert np.array_equal(one.photo.pixels, other.photo.pixels)

    def test_noise_depends_on_the_seed_and_on_the_place_in_the_chain(self, build, portraits):
        once = build("noise").protect(portraits[0]).crops
        seeded = build("noise", PrivacyRequest(("gender",), seed=1)).protect(portraits[0]).crops
        assert not np.array_equal(once, seeded)
        before = portraits[0]
        twice = build("noise noise").protect(before).crops
        crop = build("noise").prepare(before).batch.images
        assert not np.allclose(twice - once, once - crop, atol=0.05)

    def test_an_unknown_own_class_is_drawn_for_a_method_without_labels(self, build, portraits):
        prepared = build("darken").prepare(portraits[0])
        assert prepared.source["gender"].tolist() == [-1]
        assert prepared.target["gender"][0] in (0, 1)
        assert prepared.target["race"].tolist() == [-1]


class TestErrors:
    """Every failure is one line that names what failed."""

    @pytest.mark.parametrize(
        ("methods", "options", "error", "text"),
        [
            ("darken grey", {"request": TWO}, UsageError, "can change 'age': darken changes gender; grey changes race"),
            ("darkn", {}, UsageError, r"unknown method 'darkn' .*'darken'"),
            ("unloadable", {}, PluginError, "'unloadable' cannot be loaded"),
            ("", {}, UsageError, "no method named"),
            ("darken", {"device": "cuda:77"}, UsageError, "device 'cuda:77' cannot be used"),
            ("darken", {"device": "nonsense"}, UsageError, "device 'nonsense' cannot be used"),
            ("paint-gender", {"estimators": {"gender": "brigth-gender"}}, UsageError, "did you mean 'bright-gender'"),
            ("paint-gender", {"estimators": OTHER}, UsageError, "estimator 'bright-age' estimates age, not gender"),
            ("paint", {"request": NEUTRAL}, UsageError, "'paint' cannot make gender neutral"),
            ("paint darken", {"request": NEUTRAL}, UsageError, "'paint' cannot make gender neutral"),
        ],
    )
    def test_what_cannot_be_built(self, build, methods, options, error, text):
        with pytest.raises(error, match=text):
            build(methods, **options)

    def test_a_method_that_raises_is_named_in_one_line(self, build, portraits, dark_face):
        dark = portraits[0].with_pixels(dark_face)
        pipeline = build("noise choosy")
        pipeline.protect(portraits[0])
        with pytest.raises(PluginError, match=r"^method 'choosy': ValueError: too dark for me$"):
            pipeline.protect(dark)

    def test_a_method_that_returns_another_shape_is_named(self, build, portraits):
        with pytest.raises(PluginError, match=r"method 'misshapen': Misshapen returned \(1, 223, 224, 3\), expected"):
            build("misshapen").protect(portraits[0])

    def test_a_method_that_returns_levels_of_an_8_bit_photo_is_named_and_nothing_is_clipped(
        self, build, portraits, monkeypatch
    ):
        pipeline = build("darken")
        method = pipeline.methods[0].perturber
        monkeypatch.setattr(method, "_perturb", lambda faces, *_: faces.images * np.float32(255))
        expected = r"^method 'darken': Darken returned values in \[\d.*, 2\d\d.*\], expected \[0, 1\]: scale them, or"
        with pytest.raises(PluginError, match=expected):
            pipeline.protect(portraits[0])

    def test_damaged_weights_stay_what_they_are(self, build, portraits):
        with pytest.raises(WeightsError, match="SHA-256 is wrong"):
            build("weightless").protect(portraits[0])


def test_a_methods_info_falls_back_on_its_distributions_version(build):
    expected = {"name": "darken", "version": "1.5", "weights": "", "seen": [], "dtype": ""}
    assert build("darken").methods[0].info() == expected
    assert build("paint").methods[0].info()["version"] == "7"


def test_the_key_is_in_no_representation(build):
    assert KEY.decode() not in repr(build("darken"))
