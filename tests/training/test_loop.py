import itertools
import time
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from metafacs import distributed
from metafacs.errors import InputError
from metafacs.methods import Method, Setup
from metafacs.models.network import Network
from metafacs.sample import Batch, Sample
from metafacs.training import loop
from tests.methods.networks import TinyBackbone


class Counting(Method):
    """Its loss is the number of the step, from 1; it notes random numbers and learning rates."""

    streams = ("primary",)

    def __init__(self, spoilt: int = 0, loss: float = 0.0) -> None:
        super().__init__(Setup(Network(TinyBackbone(), 16, 2, 2), lambda p: torch.optim.SGD(p, lr=0.5)))
        self.taken, self.spoilt, self.loss = 0, spoilt, loss
        self.random: list[float] = []
        self.rates: list[float] = []

    def training_step(self, batch) -> dict[str, Tensor]:
        self.taken += 1
        self.random.append(torch.rand(1).item())
        self.rates.append(self.optimisers["base"].param_groups[0]["lr"])
        if self.taken == self.spoilt and not self.loss:
            nn.init.constant_(self.network.au_head.bias, float("inf"))
        return {"loss_primary": torch.tensor(self.loss if self.taken == self.spoilt else float(self.taken))}


class Recorder(loop.Hooks):
    def __init__(self) -> None:
        self.logged: dict[int, dict[str, float]] = {}
        self.validated: list[int] = []
        self.saved: list[int] = []
        self.stepped: list[int] = []
        super().__init__(self.logged.__setitem__, self.validated.append, self.saved.append, self.stepped.append)


def train(method: Method, steps: range, total: int = 10, every=(3, 4, 5), schedule="cosine", seed: int = 1) -> Recorder:
    hooks, sample = Recorder(), Sample(torch.zeros(4, 3, 8, 8))
    batches = ({"primary": Batch(sample, torch.zeros(4, 2))} for _ in steps)
    loop.train(method, batches, steps, loop.Plan(total, schedule, 0.0, seed, *every), hooks)
    return hooks


def test_hooks_are_called_at_their_steps_and_at_the_end() -> None:
    hooks = train(Counting(), range(10))
    assert list(hooks.logged) == [3, 6, 9, 10]
    assert hooks.validated == [4, 8, 10]
    assert hooks.saved == [5, 10]
    assert hooks.stepped == list(range(1, 11))


def test_means_are_since_the_last_log() -> None:
    hooks = train(Counting(), range(10))
    assert [values["loss_primary"] for values in hooks.logged.values()] == [2, 5, 8, 10]
    assert all(values["images_per_second"] > 0 for values in hooks.logged.values())


def test_random_numbers_and_rates_depend_on_seed_and_step_alone() -> None:
    whole, first, second, other = (Counting() for _ in range(4))
    train(whole, range(10))
    train(first, range(4))
    second.optimisers["base"].load_state_dict(first.optimisers["base"].state_dict())
    torch.manual_seed(99)
    train(second, range(4, 10), every=(1, 1, 1))
    assert first.random + second.random == whole.random and len(set(whole.random)) == 10
    assert first.rates + second.rates == whole.rates and whole.rates[0] == 0.5 and whole.rates[-1] < 0.02
    train(other, range(10), seed=2)
    assert not set(other.random) & set(whole.random)


def test_the_logged_rate_is_the_one_that_was_used() -> None:
    method = Counting()
    hooks = train(method, range(10), every=(1, 9, 9))
    assert [values["learning_rate"] for values in hooks.logged.values()] == pytest.approx(method.rates)


@pytest.mark.parametrize("spoilt, seen", [(1, 4), (4, 4), (5, 5), (6, 8), (10, 10)])
def test_a_parameter_that_is_not_finite_stops_before_it_is_saved(spoilt: int, seen: int) -> None:
    hooks = Recorder()
    batches = ({"primary": Batch(Sample(torch.zeros(4, 3, 8, 8)), torch.zeros(4, 2))} for _ in itertools.repeat(0, 10))
    with pytest.raises(InputError, match=f"diverged before step {seen}: a parameter is not a finite number"):
        loop.train(Counting(spoilt), batches, range(10), loop.Plan(10, "constant", 0.0, 0, 3, 4, 5), hooks)
    assert all(step < spoilt for step in hooks.saved + hooks.validated)


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_stops(loss: float) -> None:
    with pytest.raises(InputError, match=f"before step 5: loss_primary is {loss}"):
        train(Counting(5, loss), range(10))  # a save is due


def test_no_step_left_is_no_error() -> None:
    hooks = train(Counting(), range(10, 10))
    assert not hooks.logged and not hooks.saved


def test_a_value_that_some_steps_leave_out_is_averaged_over_the_others() -> None:
    class Late(Counting):
        def training_step(self, batch) -> dict[str, Tensor]:
            values = super().training_step(batch)
            return values if self.taken > 2 else {"loss_auxiliary": torch.tensor(1.0)}

    hooks = train(Late(), range(3))
    assert hooks.logged[3]["loss_primary"] == 3.0 and hooks.logged[3]["loss_auxiliary"] == 1.0


def test_the_method_is_told_how_long_the_run_is_also_when_it_goes_on() -> None:
    class Planning(Counting):
        def plan(self, steps: int) -> None:
            assert self.taken == 0
            self.planned = steps

    method = Planning()
    train(method, range(4, 6), total=10)
    assert method.planned == 10


def test_the_time_waited_for_batches_is_told_without_the_first() -> None:
    class Slow(Counting):
        def training_step(self, batch) -> dict[str, Tensor]:
            time.sleep(0.02)
            return super().training_step(batch)

    def batches(seconds: float) -> Iterator[loop.Batches]:
        for step in range(6):
            time.sleep(0.3 if step == 0 else seconds)
            yield {"primary": Batch(Sample(torch.zeros(4, 3, 8, 8)), torch.zeros(4, 2))}

    def share(seconds: float) -> float:
        hooks = Recorder()
        loop.train(Slow(), batches(seconds), range(6), loop.Plan(6, "constant", 0.0, 0, 6, 6, 6), hooks)
        return hooks.logged[6]["wait_share"]

    quick, slow = share(0.0), share(0.08)
    assert 0 <= quick < 0.3 < slow < 1


def test_processes_draw_different_random_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    alone, first, second = (Counting() for _ in range(3))
    train(alone, range(4), seed=2**32 - 1)
    monkeypatch.setattr(distributed, "rank", lambda: 0)
    train(first, range(4), seed=2**32 - 1)
    monkeypatch.setattr(distributed, "rank", lambda: 300)
    train(second, range(4), seed=2**32 - 1)
    assert first.random == alone.random and not set(second.random) & set(first.random)


def test_what_is_logged_is_the_mean_over_the_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distributed, "count", lambda: 2)
    monkeypatch.setattr(distributed, "rank", lambda: 0)
    monkeypatch.setattr(distributed, "total", lambda tensors: [tensor + 4 for tensor in tensors])
    logged = train(Counting(), range(3), every=(3, 3, 3)).logged[3]
    assert logged["loss_primary"] == (2 + 4) / 2
