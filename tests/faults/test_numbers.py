"""Losses and parameters that are no longer numbers: training stops with the batch saved, or leaves the step out."""

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from metafacs.data.prepared import PreparedDataset
from metafacs.errors import InputError
from metafacs.methods import METHODS, Method
from metafacs.runs import DETECTOR, STATE
from metafacs.tensorfile import read_tensors
from metafacs.training import loop
from metafacs.training.nonfinite import Skipping, Taken
from tests.commands.test_train_together import PROCESSES, together
from tests.launcher import Launcher
from tests.methods.test_registry_wide import build
from tests.methods.test_registry_wide import state as state_of
from tests.toy_runs import flags, leftovers, logged_steps, metafacs, same_parameters

Toy = tuple[Path, Path]


@pytest.fixture(scope="module")
def toy(au_dataset: PreparedDataset, fe_dataset: PreparedDataset) -> Toy:
    return au_dataset.folder, fe_dataset.folder


# The loop


class Sum(Method):
    """Its parameter is the sum of the numbers of the steps it took, from 1; it spoils what it is told to."""

    streams = ("primary",)

    def __init__(self, loss: Mapping[int, float] = {}, parameter: Mapping[int, float] = {}) -> None:
        network = nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 1, 1))
        nn.init.zeros_(network[1].bias)
        super().__init__(network, lambda parameters: torch.optim.SGD(parameters, lr=1.0, momentum=0.5))  # type: ignore[arg-type]
        self.loss, self.parameter = loss, parameter
        self.seen: list[int] = []

    @property
    def sum(self) -> float:
        return float(self.network[1].bias.detach())  # type: ignore[index]

    def training_step(self, batch: Mapping[Any, Any]) -> dict[str, Tensor]:
        step = int(batch["primary"].labels[0, 0])
        self.seen.append(step)
        self.network.train()(batch["primary"].sample.images + step)
        with torch.no_grad():
            self.network[1].bias += self.parameter.get(step, step)  # type: ignore[index]
        return {"loss_primary": torch.tensor(self.loss.get(step, 1.0 + step))}


def batches(steps: range) -> list[loop.Batches]:
    return [{"primary": (torch.rand(2, 3, 4, 4), torch.full((2, 1), float(step + 1)))} for step in steps]


class Hooks(loop.Hooks):
    def __init__(self) -> None:
        self.logged: dict[int, dict[str, float]] = {}
        self.saved: list[int] = []
        self.suspects: list[Taken] = []
        super().__init__(self.logged.__setitem__, lambda step: None, self.saved.append, broken=self.keep)

    def keep(self, taken: Taken) -> str:
        self.suspects.append(taken)
        return "Kept. "


def train(method: Method, steps: int = 12, limit: int | None = None, every: tuple[int, ...] = (3, 4, 5)) -> Any:
    hooks, left = Hooks(), list[int]()
    skipping = Skipping(method, batches, limit, lambda taken: left.append(taken.step + 1)) if limit else None
    steps_ = range(steps)
    try:
        loop.train(method, batches(steps_), steps_, steps, "constant", 0.0, 0, hooks, *every, skipping)
    except InputError as error:
        return hooks, left, str(error)
    return hooks, left, ""


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("step", [1, 5, 6, 7, 12])
def test_the_step_whose_loss_was_no_number_is_found(value: float, step: int) -> None:
    hooks, _, message = train(Sum({step: value, step + 1: math.nan}))
    assert [taken.step + 1 for taken in hooks.suspects] == [step]
    seen = next(later for later in range(step, 13) if not (later % 3 and later % 4 and later % 5))
    assert f"before step {seen}: loss_primary is" in message and "Kept. The last saved state" in message
    assert all(saved < step for saved in hooks.saved)


@pytest.mark.parametrize("step, seen", [(1, 4), (4, 4), (5, 5), (9, 10), (12, 12)])
def test_a_parameter_that_is_no_number_is_not_saved(step: int, seen: int) -> None:
    hooks, _, message = train(Sum(parameter={step: math.inf}))
    assert f"before step {seen}: a parameter is not a finite number" in message
    assert len(hooks.suspects) == 1 and all(saved < step for saved in hooks.saved)


@pytest.mark.parametrize("every", [(3, 4, 5), (1, 1, 1), (12, 12, 12), (5, 3, 2)])
def test_steps_that_are_left_out_leave_no_trace(every: tuple[int, ...]) -> None:
    spoilt = Sum({2: math.nan, 6: math.inf, 7: math.nan}, {3: math.inf, 9: math.nan, 12: -math.inf})
    hooks, left, message = train(spoilt, limit=3, every=every)
    assert message == "" and left == [2, 3, 6, 7, 9, 12]
    assert spoilt.sum == sum({*range(1, 13)} - set(left))
    plain = Sum()
    plain.network.load_state_dict(Sum().network.state_dict())
    kept = [batch for step, batch in enumerate(batches(range(12))) if step + 1 not in left]
    assert int(spoilt.network[0].num_batches_tracked) == len(kept)  # type: ignore[index]
    assert all(torch.isfinite(value).all() for value in spoilt.network.state_dict().values())
    assert all(math.isfinite(number) for values in hooks.logged.values() for number in values.values())


def test_nothing_is_taken_twice_while_all_is_well() -> None:
    method = Sum()
    hooks, left, _ = train(method, limit=1)
    assert left == [] and method.seen == list(range(1, 13))
    assert hooks.logged[3]["loss_primary"] == 3.0 and hooks.logged[12]["loss_primary"] == 12.0


@pytest.mark.parametrize("limit, ends", [(3, 7), (2, 6), (4, None)])
def test_too_many_in_a_row_end_the_training(limit: int, ends: int | None) -> None:
    hooks, left, message = train(Sum(dict.fromkeys([2, 5, 6, 7, 10], math.nan)), limit=limit)
    if ends is None:
        assert message == "" and left == [2, 5, 6, 7, 10]
    else:
        assert f"{limit} steps in a row, up to step {ends}, had to be left out" in message
        assert all(saved < ends for saved in hooks.saved)


def test_a_window_of_nothing_but_such_steps() -> None:
    hooks, left, message = train(Sum(dict.fromkeys([4, 5, 6], math.nan)), limit=9, every=(3, 12, 12))
    assert left == [4, 5, 6] and message == "" and "loss_primary" not in hooks.logged[6]


@pytest.mark.parametrize("name", ["stl", pytest.param("mal", marks=pytest.mark.slow)])
def test_optimisers_go_back_too(name: str) -> None:
    """The moments of AdamW and MAL's own optimiser: as if only the other steps had been."""
    method, other = build(name), build(name)
    for step in (0, 2):
        torch.manual_seed(step)
        other.training_step(step_batch(other, step))
    original = method.training_step

    def take(step: int, batch: object) -> Taken:
        torch.manual_seed(step)
        values = original(step_batch(method, step))
        return Taken(step, {**values, "loss_primary": torch.tensor(math.nan)} if step == 1 else values, 6)

    skipping = Skipping(method, lambda steps: [{} for _ in steps], 3, lambda taken: None)
    steps = skipping.look([take(step, {}) for step in range(3)], take)
    assert [taken.step for taken in steps] == [0, 2]
    expected = state_of(other)
    assert all(torch.equal(value, expected[key]) for key, value in state_of(method).items())
    for key, optimiser in other.optimisers.items():
        ours = method.optimisers[key].state_dict()["state"]
        for place, entries in optimiser.state_dict()["state"].items():
            assert all(torch.equal(torch.as_tensor(v), torch.as_tensor(ours[place][k])) for k, v in entries.items())


def step_batch(method: Method, step: int) -> Any:
    from tests.methods.test_registry_wide import batch

    return batch(method, step)


# The command


def spoiling(patched: pytest.MonkeyPatch, name: str, wrong: set[int], what: str = "loss") -> None:
    """Makes steps (by number, from 1, of the step and not of the call) return NaN, or spoil a parameter."""
    method, train_step = METHODS[name], METHODS[name].training_step
    now: list[int] = []
    taken = loop.learning_rate_factor

    def noted(step: int, *others: Any) -> float:
        now[:] = [step + 1]
        return taken(step, *others)

    def training_step(self: Method, batch: Mapping[Any, Any]) -> dict[str, Tensor]:
        values = train_step(self, batch)
        if now[0] in wrong and what == "parameter":
            with torch.no_grad():
                self.network.au_head.bias.fill_(math.nan)
        return {**values, "loss_primary": torch.tensor(math.nan)} if now[0] in wrong and what == "loss" else values

    patched.setattr(loop, "learning_rate_factor", noted)
    patched.setattr(method, "training_step", training_step)


@pytest.fixture
def said(capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    def run(*arguments: object) -> tuple[int, str]:
        capfd.readouterr()
        status = metafacs(*arguments)
        printed = capfd.readouterr().err
        assert "Traceback" not in printed
        return status, printed

    return run


@pytest.mark.parametrize(
    "name, what",
    [
        ("stl", "loss"),
        pytest.param("stl", "parameter", marks=pytest.mark.slow),
        pytest.param("mal", "loss", marks=pytest.mark.slow),
    ],
)
def test_training_stops_with_the_batch_saved(
    name: str, what: str, toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: Any
) -> None:
    run, whole = tmp_path / "run", tmp_path / "whole"
    own: dict[str, Any] = {"method": name, "data__cache_gib": 0, "data__workers": 0}
    with monkeypatch.context() as patched:
        spoiling(patched, name, {8}, what)
        status, printed = said(*flags(run, *toy, **own))
    assert status == 2 and "training diverged before step" in printed
    saved = run / "nonfinite_step8.safetensors"
    assert f"The batch of step 8 (rows, images, labels, losses) is in {saved}" in printed
    header, tensors = read_tensors(saved)
    assert header["step"] == 8 and header["state"] == STATE
    assert (header["losses"]["loss_primary"] == "nan") == (what == "loss")
    streams = ["primary", "auxiliary", "meta"] if name == "mal" else ["primary"]
    assert {key.split(".")[0] for key in tensors} == set(streams) == set(header["datasets"])
    rows = tensors["primary.rows"]
    assert tensors["primary.images"].shape == (len(rows), 3, 32, 32) and len(rows) == 6
    dataset = PreparedDataset.open(header["datasets"]["primary"])
    assert np.array_equal(tensors["primary.labels"], dataset.au_labels(dataset.aus)[rows.numpy()], equal_nan=True)
    assert all(tensor.isfinite().all() for tensor in load_file(run / STATE).values())
    assert not (run / DETECTOR).exists() and not leftovers(run)
    assert metafacs(*flags(run, *toy, **own), "--resume") == 0
    assert metafacs(*flags(whole, *toy, **own)) == 0
    assert same_parameters(run, whole)


def test_a_learning_rate_beyond_all_measure(toy: Toy, tmp_path: Path, said: Any) -> None:
    own: dict[str, Any] = {"method": "stl", "optimiser__name": "sgd", "optimiser__learning_rate": 1e30}
    status, printed = said(*flags(tmp_path / "a", toy[0], None, **own))
    assert status == 2 and "training diverged" in printed and "The batch of step" in printed
    status, printed = said(*flags(tmp_path / "b", toy[0], None, **own, loop__nonfinite="skip", loop__nonfinite_limit=2))
    assert status == 2 and "2 steps in a row, up to step" in printed
    for run in (tmp_path / "a", tmp_path / "b"):
        assert not (run / DETECTOR).exists() and not (run / "done").exists()


def test_steps_are_left_out_when_asked(
    toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: Any, caplog: pytest.LogCaptureFixture
) -> None:
    own: dict[str, Any] = {"method": "stl", "loop__nonfinite": "skip"}
    with monkeypatch.context() as patched:
        spoiling(patched, "stl", {2, 3, 7}, "loss")
        status, _ = said(*flags(tmp_path / "run", toy[0], None, **own))
    assert status == 0 and "step 7 left out: a number was not finite" in caplog.text
    assert logged_steps(tmp_path / "run", "skipped") == [2, 3, 7]
    assert logged_steps(tmp_path / "run", "train") == [3, 6, 9, 12]
    assert json.loads((tmp_path / "run" / "done").read_text())["steps_left_out"] == 3
    assert len(list((tmp_path / "run").glob("nonfinite_step*.safetensors"))) == 3
    assert all(tensor.isfinite().all() for tensor in load_file(tmp_path / "run" / DETECTOR).values())
    with monkeypatch.context() as patched:
        spoiling(patched, "stl", {2, 3, 7}, "parameter")
        assert said(*flags(tmp_path / "other", toy[0], None, **own))[0] == 0
    assert same_parameters(tmp_path / "run", tmp_path / "other")
    assert said(*flags(tmp_path / "plain", toy[0], None, method="stl"))[0] == 0
    assert said(*flags(tmp_path / "asked", toy[0], None, **own))[0] == 0
    assert same_parameters(tmp_path / "plain", tmp_path / "asked")
    assert not same_parameters(tmp_path / "plain", tmp_path / "run")


SPOILT_STEP = """
import math, torch, metafacs.training.loop as loop
from metafacs.methods.stl import STL
now, factor, original = [], loop.learning_rate_factor, STL.training_step
def noted(step, *others):
    now[:] = [step + 1]
    return factor(step, *others)
def training_step(self, batch):
    values = original(self, batch)
    return {**values, "loss_primary": torch.tensor(math.nan)} if now[0] in (6, 7) else values
loop.learning_rate_factor, STL.training_step = noted, training_step
"""
"""In one of the processes only."""


@pytest.mark.slow
@pytest.mark.parametrize("nonfinite", ["stop", "skip"])
def test_processes_stop_or_go_on_together(nonfinite: str, toy: Toy, launcher: Launcher, tmp_path: Path) -> None:
    run = tmp_path / "run"
    arguments = flags(run, toy[0], None, method="stl", loop__nonfinite=nonfinite)
    ended = together(launcher, [arguments] * PROCESSES, tmp_path / "log", SPOILT_STEP)
    assert all("Traceback" not in printed for _, printed in ended), ended
    if nonfinite == "skip":
        assert [status for status, _ in ended] == [0, 0], ended
        assert logged_steps(run, "skipped") == [6, 7]
        return
    assert [status for status, _ in ended] == [2, 2], ended
    assert all("training diverged before step 6: loss_primary is nan" in printed for _, printed in ended)
    rows = [load_file(run / f"nonfinite_step6_process{rank}.safetensors")["primary.rows"] for rank in range(PROCESSES)]
    assert not set(rows[0].tolist()) & set(rows[1].tolist())
    again = together(launcher, [[*arguments, "--resume"]] * PROCESSES, tmp_path / "log")
    assert [status for status, _ in again] == [0, 0], again


def test_a_full_disk_does_not_hide_why_it_stopped(
    toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: Any
) -> None:
    import errno

    from metafacs.commands import train as command

    def full(*given: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    spoiling(monkeypatch, "stl", {2}, "loss")
    monkeypatch.setattr(command, "save_batch", full)
    status, printed = said(*flags(tmp_path / "run", toy[0], None, method="stl"))
    assert status == 2 and "Its batch (of step 2) could not be saved (No space left on device)" in printed
    assert "training diverged before step 3: loss_primary is nan" in printed
