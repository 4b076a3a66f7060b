"""The loop: what it updates, that it can stop and go on, that it learns on real faces."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from facepriv_privacynet.config import OURS, PAPER
from facepriv_privacynet.data import TYPICAL_YEARS, draw_faces, draw_targets, draw_work, seed_step
from facepriv_privacynet.networks import GeneratorShape, encode
from facepriv_privacynet.players import Execution
from facepriv_privacynet.training import Trainer
from facepriv_privacynet.validation import flipped
from torch import nn

from facepriv.errors import DataError
from facepriv.testing.training import TinyMatcher, four_views
from facepriv.training.judges import Judge, JudgeShape
from facepriv.training.loop import CHECKPOINT

SMALL = {"generator": GeneratorShape(32, 8, 1), "judges": (JudgeShape(16, 8), JudgeShape(16, 8, grey=True))}
NUMBERS = {"warm_up": 2, "warm_batch": 8, "judges_each_step": 2, "batch": 4, "cycle_every": 2, "penalty_every": 1}
TINY = replace(OURS, **SMALL, **NUMBERS, steps=4)


@pytest.fixture(scope="module")
def faces():
    return four_views()


def trainer(faces, recipe=TINY, **options):
    return Trainer(recipe, faces, [TinyMatcher()], Accelerator(cpu=True, mixed_precision="no"), **options)


def quiet(step, values):
    assert all(np.isfinite(list(values.values())))


def test_targets_differ_from_own_where_hidden_and_untouched_faces_keep_all():
    own = {"gender": torch.tensor([0, 1] * 500), "race": torch.arange(1000) % 4, "age": torch.full((1000,), -1)}
    own["years"] = torch.linspace(15, 80, 1000)
    targets, kept = draw_targets(own, hide=1.0, untouched=0.25)
    assert 180 < kept.sum() < 320
    for name in ("gender", "race"):
        assert torch.equal(targets[name][kept], own[name][kept])
        assert (targets[name][~kept] != own[name][~kept]).all()
    assert (targets["age"][kept] == -1).all() and set(targets["age"][~kept].tolist()) == {0, 1, 2}
    assert torch.equal(targets["years"][kept], own["years"][kept])
    assert torch.equal(targets["years"][~kept], torch.tensor(TYPICAL_YEARS)[targets["age"][~kept]])


def test_generator_step_moves_the_generator_alone(faces):
    t = trainer(faces)
    before = {name: [p.clone() for p in net.parameters()] for name, net in t.nets().items()}
    t.generator_step(draw_work(faces, t.recipe))
    for name, net in t.nets().items():
        moved = any(not torch.equal(a, b) for a, b in zip(before[name], net.parameters(), strict=True))
        assert moved == (name in ("g", "average")), name


def test_several_processes_draw_together_what_one_draws(faces):
    def drawn(process, processes, batch):
        seed_step(0, 7)
        recipe = replace(TINY, batch=batch, judges_batch=batch)
        return draw_faces(faces, batch, process, processes), draw_work(faces, recipe, process, processes)

    (x, own), work = drawn(0, 1, 4)
    parts = [drawn(process, 2, 2) for process in (0, 1)]
    assert torch.equal(x, torch.cat([part[0][0] for part in parts]))
    for name, values in own.items():
        assert torch.equal(values, torch.cat([part[0][1][name] for part in parts])) or values.isnan().any()
    for name in ("faces", "kept"):
        assert torch.equal(getattr(work, name), torch.cat([getattr(part[1], name) for part in parts]))
    assert torch.equal(work.targets["gender"], torch.cat([part[1].targets["gender"] for part in parts]))
    assert torch.equal(work.real[0], torch.cat([part[1].real[0] for part in parts]))
    assert all(part[1].judges == work.judges and part[1].kept_count == work.kept_count / 2 for part in parts)


def test_a_run_that_went_on_is_the_run_that_never_stopped(faces, tmp_path):
    whole, first, second = trainer(faces), trainer(faces), trainer(faces)
    whole.run(tmp_path, log=quiet)
    first.run(tmp_path, log=quiet, deadline=0)  # stops before its first step, saved
    assert first.step == first.warmed == 0
    first.warm_up()
    first.warm_up()
    first.train_step()
    first.save(tmp_path / CHECKPOINT)
    second.load(tmp_path / CHECKPOINT)
    second.run(tmp_path, log=quiet)
    assert second.step == whole.step == TINY.steps
    for name, net in whole.nets().items():
        for a, b in zip(net.parameters(), second.nets()[name].parameters(), strict=True):
            assert torch.allclose(a, b, atol=1e-6), name


def test_without_a_matcher_the_same_faces_targets_and_judges_are_drawn(faces):
    def seen(recipe):
        t, kept = trainer(faces, recipe), []
        t.warm_up()
        step, learn = t.generator_step, t.judges_step
        t.generator_step = lambda work: kept.append(work) or step(work)
        t.judges_step = lambda real, changed: kept.append(torch.rand(3)) or learn(real, changed)
        for _ in range(2):
            t.train_step()
        return kept

    for one, other in zip(seen(TINY), seen(TINY.unmatched()), strict=True):
        if isinstance(one, torch.Tensor):  # the chance that is left when the judges' turn comes
            assert torch.equal(one, other)
        else:
            assert torch.equal(one.faces, other.faces) and one.judges == other.judges
            assert all(torch.equal(one.targets[k], other.targets[k]) for k in ("gender", "race", "age"))


def test_terms_without_weight_are_left_out(faces):
    parts = trainer(faces, replace(TINY.unmatched(), w_cycle=0.0)).train_step()
    assert {"identity", "alike", "cycle"}.isdisjoint(parts) and "source" in parts
    assert {"identity", "alike", "cycle"} <= set(trainer(faces).train_step())


def test_the_mirrored_face_takes_part_at_every_so_many_steps(faces):
    t = trainer(faces, replace(TINY, mirror_every=2))
    assert ["mirror" in t.train_step() for _ in range(4)] == [False, True, False, True]
    off = trainer(faces, replace(TINY, mirror_every=1, w_mirror=0.0))
    assert "mirror" not in off.train_step()


def test_a_run_stops_and_goes_on_where_it_was(faces, tmp_path):
    first = trainer(faces, replace(TINY, steps=2))
    first.run(tmp_path, log=quiet, log_every=1)
    second = trainer(faces)
    second.load(tmp_path / CHECKPOINT)
    assert second.step == 2 and second.warmed == 2
    for a, b in zip(first.average.net.parameters(), second.average.net.parameters(), strict=True):
        assert torch.equal(a, b)
    second.run(tmp_path, log=quiet, log_every=1)
    assert second.step == 4


def classifier():
    torch.manual_seed(1)
    return Judge(JudgeShape(16, 8))


def copied(faces, **changes):
    """A trainer that was given one trained classifier."""
    return trainer(faces, replace(TINY, rate_copies=1e-2, **changes), fixed=[classifier()])


def same(a, b):
    return all(torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters(), strict=True))


def test_a_copy_of_a_trained_classifier_learns_and_the_classifier_stays(faces):
    t = copied(faces)
    parts = t.train_step()
    assert parts["copies"].isfinite()
    assert same(t.fixed[0], classifier()) and not same(t.copies[0], classifier())
    learnt = [p.clone() for p in t.copies[0].parameters()]
    assert "copies" not in t.train_step()  # at every second step only
    assert all(torch.equal(p, q) for p, q in zip(learnt, t.copies[0].parameters(), strict=True))


def test_the_copies_teach_the_generator_where_the_classifiers_do_not(faces):
    asked = []
    t = copied(faces, fixed_every=2, judges_every=10**6)
    for kind, net in (("fixed", t.fixed[0]), ("copy", t.copies[0])):
        net.register_forward_hook(lambda *_, kind=kind: asked.append(kind))
    for step in (1, 2):
        t.step = step
        t.generator_step(draw_work(faces, t.recipe))
    assert asked == ["copy", "fixed"]


def test_copies_go_on_from_a_checkpoint_and_one_without_them_is_refused(faces, tmp_path):
    first = copied(faces)
    first.train_step()
    first.save(tmp_path / "with.pt")
    second = copied(faces)
    second.load(tmp_path / "with.pt")
    assert same(first.copies[0], second.copies[0]) and second.opt_c.state_dict()["state"]
    copied(faces, copies=False).save(tmp_path / "without.pt")
    with pytest.raises(DataError, match=r"without\.pt: belongs to another recipe"):
        second.load(tmp_path / "without.pt")


def test_a_checkpoint_of_another_recipe_is_refused_by_name(faces, tmp_path):
    trainer(faces).save(tmp_path / CHECKPOINT)
    other = trainer(faces, replace(TINY, generator=GeneratorShape(32, 16, 1)))
    with pytest.raises(DataError, match="another recipe"):
        other.load(tmp_path / CHECKPOINT)


def test_a_run_may_begin_with_released_weights_of_its_own_shape(faces):
    t = trainer(faces)
    released = {name: torch.full_like(value, 0.125) for name, value in t.g.state_dict().items()}
    t.start_from(released)
    for net in (t.g, t.average.net):
        assert all(torch.equal(value, released[name]) for name, value in net.state_dict().items())
    with pytest.raises(DataError, match="another shape"):
        trainer(faces, replace(TINY, generator=GeneratorShape(32, 16, 1))).start_from(released)


def test_compiled_networks_train_as_plain_ones_do(faces):
    # aot_eager traces and differentiates as the GPU's backend does, without a compiler.
    def parts(backend):
        t = trainer(faces, execution=Execution(backend=backend))
        t.warm_up()
        return t.train_step()

    plain, compiled = parts(None), parts("aot_eager")
    assert "penalty" in plain and plain.keys() == compiled.keys()
    for name, value in plain.items():
        assert float(compiled[name]) == pytest.approx(float(value), rel=1e-3, abs=1e-4), name


def test_judges_learn_to_tell_the_faces_apart(faces):
    t = trainer(faces, replace(TINY, augment=None, rate_judges=3e-3))
    first = float(t.warm_up()["judges_real"])
    for _ in range(40):
        last = float(t.warm_up()["judges_real"])
    assert last < 0.7 * first


def test_generator_learns_to_please_a_judge(faces):
    none = dict.fromkeys(("w_identity", "w_source", "w_attribute", "w_kept", "own", "decay"), 0.0)
    rates = {"rate_judges": 3e-3, "rate_g": 3e-3, "judges_every": 10**6}
    recipe = replace(TINY, **none, **rates, augment=None, hide=1.0, steps=60, warm_up=60)
    t = trainer(faces, recipe)
    while t.warmed < recipe.warm_up:
        t.warm_up()
    x, own = faces.take(torch.arange(4))
    wanted = flipped(own, ("gender",))

    def missed() -> float:
        with torch.inference_mode():
            y = t.g(x, encode(wanted))
            views = [nn.functional.cross_entropy(judge(y)["gender"], wanted["gender"]) for judge in t.judges]
        return float(torch.stack(views).mean())

    before = missed()
    for _ in range(recipe.steps):
        t.train_step()
    assert missed() < 0.7 * before


def test_the_papers_preset_steps_without_judges(faces):
    recipe = replace(PAPER, generator=GeneratorShape(32, 8, 1, "channels", "image"), batch=4, steps=2)
    t = trainer(faces, recipe)
    parts = t.train_step()
    assert "judges" not in parts and {"source", "attribute", "identity", "cycle", "critic", "penalty"} <= set(parts)
    assert all(np.isfinite(float(v)) for v in parts.values())
