"""What the methods do with a face, whatever their networks have learnt."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from facepriv_san import family, prototypes
from facepriv_san.method import EnsembleSan, FlowSan, San
from facepriv_san.network import San as Network
from facepriv_san.prototypes import Prototypes

from facepriv.contracts import STANDARD, FaceBatch, Frame
from facepriv.errors import UsageError, WeightsError
from facepriv.testing import checks, specimens
from facepriv.weights import Provenance

LUMA = np.array([0.299, 0.587, 0.114], np.float32)
KINDS = {
    "san": (San, 1, {}),
    "published": (San, 1, {"output": "published"}),
    "ensemble-san": (EnsembleSan, 3, {}),
    "flow-san": (FlowSan, 3, {}),
}


@pytest.fixture(scope="module")
def file(weights_of):
    return weights_of(3)


@pytest.fixture(scope="module")
def faces():
    return specimens(32, landmarks=False)


def run(method, faces, gender, rngs, own=(1, 1, 0), strength=1.0):
    source = {"gender": np.array(own)}
    return method.perturb(faces, source, {"gender": np.array(gender)}, strength=strength, rngs=rngs(len(faces)))


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("check", checks(San), ids=str)
def test_conforms(name, check, weights_of):
    kind, count, form = KINDS[name]
    path = weights_of(count, **form)
    (same,) = (c for c in checks(lambda **options: kind(**{"weights": path, **options})) if c.name == check.name)
    same()


def test_colours_stay_and_light_alone_changes(file, faces, rngs):
    middle = FaceBatch(0.3 + 0.4 * faces.images)  # no value is cut off at black or white
    change = run(San(file, None), middle, (0, 0, 1), rngs) - middle.images
    assert np.abs(change).max() > 0.01
    np.testing.assert_allclose(change, np.repeat((change @ LUMA)[..., None], 3, 3), atol=1e-5)


def test_same_opposite_and_neutral_are_three_faces_and_unknown_own_classes_work(file, faces, rngs):
    outputs = [run(San(file), faces, gender, rngs) for gender in ((1, 1, 0), (0, 0, 1), (-1, -1, -1))]
    for a, b in ((0, 1), (0, 2), (1, 2)):
        assert np.abs(outputs[a] - outputs[b]).max() > 1e-3
    assert np.isfinite(run(San(file), faces, (1, 0, -1), rngs, own=(-1, -1, -1))).all()


@pytest.mark.parametrize("kind", [San, EnsembleSan, FlowSan])
def test_the_own_class_shows_in_a_drawing_and_is_withheld_where_a_class_is_drawn(kind, file, faces, rngs):
    of_men, of_women = (run(kind(file), faces, (1, 1, 1), rngs, own=own) for own in ((0, 0, 0), (1, 1, 1)))
    assert kind.blind and not np.array_equal(of_men, of_women)


def test_the_published_form_replaces_the_face_by_a_grey_drawing(file, saved_again, faces, rngs):
    published = saved_again(file, output="published")
    method = San(published)
    assert (method.paste, San(file).paste) == ("replacement", "residual")
    drawn = run(method, faces, (0, 0, 1), rngs)
    assert (drawn == drawn[..., :1]).all()
    # Colours make no difference: the network gets the grey face.
    grey = FaceBatch(np.repeat((faces.images @ LUMA)[..., None], 3, 3))
    np.testing.assert_allclose(run(method, grey, (0, 0, 1), rngs), drawn, atol=1e-5)
    # A network of random weights draws hardly anything: the face's detail is gone in the one, and there in the other.
    detail = run(San(file), faces, (0, 0, 1), rngs) @ LUMA
    fine = [
        np.abs(np.diff(light - light.mean(), axis=2)).mean() for light in (faces.images @ LUMA, drawn[..., 0], detail)
    ]
    assert fine[1] < 0.7 * fine[0] < fine[2]


def test_part_of_the_strength_mixes_light_and_leaves_no_colour(file, saved_again, faces, rngs):
    method = San(saved_again(file, output="published"))
    whole, half = (run(method, faces, (0, 0, 1), rngs, strength=strength) for strength in (1.0, 0.5))
    grey = np.repeat((faces.images @ LUMA)[..., None], 3, 3)
    np.testing.assert_allclose(half, (whole + grey) / 2, atol=1e-5)
    np.testing.assert_array_equal(run(method, faces, (0, 0, 1), rngs, strength=0.0), faces.images)


def test_the_output_of_a_file_can_be_chosen(file, saved_again, faces, rngs):
    published = saved_again(file, output="published")
    for one, other in ((San(published, output="residual"), San(file)), (San(file, output="published"), San(published))):
        np.testing.assert_array_equal(run(one, faces, (0, 0, 1), rngs), run(other, faces, (0, 0, 1), rngs))
    for kind, name in ((San, "san"), (FlowSan, "flow-san")):
        with pytest.raises(UsageError, match=rf"^{name}\.output: expected published or residual, got colour$"):
            kind(file, output="colour").to("cpu")


def test_the_frame_is_that_of_the_networks_and_prototypes_of_another_are_refused(weights_of, averages, tmp_path):
    path = weights_of(1, side=2.2, centre=0.6)
    for frame, refusal in ((STANDARD, "averages of another frame"), (Frame(2.2, 0.6), "trained with other prototypes")):
        other = tmp_path / f"{frame.side}.safetensors"
        prototypes.save(other, replace(averages, frame=frame), Provenance("a", "b", "c"))
        with pytest.raises(WeightsError, match=refusal):
            San(path, other).loaded()
    assert San(weights_of(1)).frame == STANDARD


def test_weights_from_before_the_choice_are_residual(file, saved_again, faces, rngs):
    old = saved_again(file, output="detail")
    np.testing.assert_array_equal(run(San(old), faces, (0, 0, 1), rngs), run(San(file), faces, (0, 0, 1), rngs))
    assert [San(output=name).loaded().form.output for name in (None, "residual")] == ["published", "residual"]


def test_a_gain_scales_the_change(file, saved_again, faces, rngs):
    middle = FaceBatch(0.4 + 0.2 * faces.images)
    whole, part = (
        run(San(path), middle, (0, 0, 1), rngs) - middle.images for path in (file, saved_again(file, gain=0.25))
    )
    np.testing.assert_allclose(part, 0.25 * whole, atol=1e-5)


def test_the_average_of_an_ensemble_is_the_mean_of_its_members(file, faces, rngs):
    members = [run(EnsembleSan(file, member=k), faces, (0, 0, 1), rngs) for k in (1, 2, 3)]
    assert np.abs(members[0] - members[1]).max() > 1e-3
    np.testing.assert_allclose(run(EnsembleSan(file), faces, (0, 0, 1), rngs), np.mean(members, 0), atol=1e-6)


def test_a_random_member_is_drawn_for_each_face_from_its_generator(file, faces, rngs):
    many = faces.take([0] * 24)
    members = [run(EnsembleSan(file, member=k), many.take([0]), [0], rngs, own=[1])[0] for k in (1, 2, 3)]
    method = EnsembleSan(file, member="random")
    assert method.stochastic and not EnsembleSan(file).stochastic
    drawn = run(method, many, [0] * 24, rngs, own=[1] * 24)
    which = [next(k for k, m in enumerate(members) if np.array_equal(face, m)) for face in drawn]
    assert set(which) == {0, 1, 2}


def test_a_random_member_conforms(weights_of):
    path = weights_of(3)
    for check in checks(lambda **options: EnsembleSan(**{"weights": path, "member": "random", **options})):
        if check.name in ("stochastic_as_declared", "batch_equals_single", "order_does_not_matter"):
            check()


def test_depth_one_is_the_first_network_alone_and_more_goes_on_from_there(file, faces, rngs):
    outputs = [run(FlowSan(file, depth=depth), faces, (0, 0, 1), rngs) for depth in (1, 2, 3)]
    np.testing.assert_array_equal(outputs[0], run(San(file), faces, (0, 0, 1), rngs))
    np.testing.assert_array_equal(outputs[2], run(FlowSan(file), faces, (0, 0, 1), rngs))
    assert np.abs(outputs[0] - outputs[1]).max() > 1e-3 and np.abs(outputs[1] - outputs[2]).max() > 1e-3


@pytest.mark.parametrize("member", [0, 4, "best"])
def test_a_member_that_is_none_is_refused_before_any_photo(file, member):
    with pytest.raises(UsageError, match="expected average, random or 1 to 3"):
        EnsembleSan(file, member=member).to("cpu")


@pytest.mark.parametrize("depth", [0, 4])
def test_a_depth_that_there_is_not_is_refused_before_any_photo(file, depth):
    with pytest.raises(UsageError, match="expected 1 to 3"):
        FlowSan(file, depth=depth).to("cpu")


def test_networks_trained_with_other_prototypes_are_refused(file, averages, tmp_path, faces, rngs):
    other = tmp_path / "other.safetensors"
    darker = {group: image // 2 for group, image in averages.images.items()}
    prototypes.save(other, Prototypes(darker, averages.people), Provenance("a", "b", "c"))
    with pytest.raises(WeightsError, match=r"made\.safetensors: was trained with other prototypes"):
        run(San(file, other), faces, (0, 0, 1), rngs)


def test_eight_bits_hardly_change_what_is_drawn():
    torch.manual_seed(0)
    net, rounded = Network(), Network()
    tensors = {name: torch.as_tensor(value) for name, value in family.small(net.state_dict()).items()}
    rounded.load_state_dict({name: value.float() for name, value in family.large(tensors).items()})
    x, p = torch.rand(2, 1, 32, 32), torch.rand(2, 3, 32, 32)
    assert (net(x, p, p)[0] - rounded(x, p, p)[0]).abs().max() < 1 / 255
    assert sum(t.numel() * t.element_size() for t in tensors.values()) < 350_000
