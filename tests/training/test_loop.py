"""Steps are repeated, logged, saved, and gone on with."""

import json

import pytest
import torch
from torch import nn

from facepriv.errors import DataError, UsageError
from facepriv.settings import with_numbers
from facepriv.training.loop import Loop, RunLog, load_checkpoint, save_checkpoint


class Counter:
    def __init__(self):
        self.count, self.logged, self.saved = 0, [], []

    def step(self):
        self.count += 1
        return {"loss": torch.tensor(float(self.count))}

    def loop(self, **options):
        return Loop(
            lambda step, values: self.logged.append((step, values)), lambda: self.saved.append(self.count), **options
        )


def test_a_loop_logs_means_and_saves_in_between():
    counter = Counter()
    counter.loop(log_every=2, save_every=3).run(counter.step, lambda: counter.count, 7, before=10)
    assert counter.count == 7 and counter.saved == [3, 6]
    assert counter.logged == [(-8, {"loss": 1.5}), (-6, {"loss": 3.5}), (-4, {"loss": 5.5})]


def test_a_loop_goes_on_from_where_it_is_and_ends_at_its_deadline():
    counter = Counter()
    counter.count = 5
    counter.loop().run(counter.step, lambda: counter.count, 6)
    assert counter.count == 6
    counter.loop(deadline=0.0).run(counter.step, lambda: counter.count, 100)
    assert counter.count == 6


def test_a_log_is_lines_of_json_and_other_processes_write_none(tmp_path):
    said = []
    for active in (True, False):
        with RunLog(tmp_path, said.append, active=active) as log:
            log(3, {"loss": 0.123456})
    (line,) = (tmp_path / "log.jsonl").read_text().splitlines()
    assert json.loads(line)["step"] == 3 and json.loads(line)["loss"] == 0.12346
    assert len(said) == 1 and "loss 0.123" in said[0]
    assert any((tmp_path / "tensorboard").iterdir())


def test_a_checkpoint_brings_networks_optimisers_and_numbers_back(tmp_path):
    def made():
        net = nn.Linear(2, 2)
        return {"net": net}, {"adam": torch.optim.Adam(net.parameters())}

    nets, optimisers = made()
    nets["net"](torch.ones(1, 2)).sum().backward()
    optimisers["adam"].step()
    save_checkpoint(tmp_path / "a.pt", nets, optimisers, {"step": 4})
    others, fresh = made()
    assert load_checkpoint(tmp_path / "a.pt", others, fresh, torch.device("cpu")) == {"step": 4}
    assert torch.equal(others["net"].weight, nets["net"].weight) and fresh["adam"].state_dict()["state"]
    assert [p.name for p in tmp_path.iterdir()] == ["a.pt"]


def test_a_checkpoint_of_other_networks_is_refused_by_name(tmp_path):
    save_checkpoint(tmp_path / "a.pt", {"net": nn.Linear(2, 2)}, {}, {})
    with pytest.raises(DataError, match=r"a\.pt: belongs to another recipe"):
        load_checkpoint(tmp_path / "a.pt", {"net": nn.Linear(3, 2)}, {}, torch.device("cpu"))


def test_a_checkpoint_runs_no_code(tmp_path, capsys):
    class Evil:
        def __reduce__(self):
            return print, ("run",)

    torch.save({"nets": Evil()}, tmp_path / "a.pt")
    with pytest.raises(DataError, match="is no checkpoint, or damaged"):
        load_checkpoint(tmp_path / "a.pt", {}, {}, torch.device("cpu"))
    assert "run" not in capsys.readouterr().out


def test_a_checkpoint_that_was_cut_short_is_named(tmp_path):
    save_checkpoint(tmp_path / "a.pt", {"net": nn.Linear(2, 2)}, {}, {})
    (tmp_path / "a.pt").write_bytes((tmp_path / "a.pt").read_bytes()[:200])
    with pytest.raises(DataError, match=r"a\.pt: is no checkpoint, or damaged"):
        load_checkpoint(tmp_path / "a.pt", {"net": nn.Linear(2, 2)}, {}, torch.device("cpu"))


def test_what_is_no_recipe_cannot_be_changed():
    with pytest.raises(UsageError, match="no number 'x'"):
        with_numbers(Loop(print, print), ["x=1"])
