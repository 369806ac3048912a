"""The training loop: batches in, steps of a method, logs, validation, checkpoints. It names no method."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import isfinite

import torch
from torch import Tensor

from metafacs import distributed
from metafacs.config import Schedule
from metafacs.errors import InputError
from metafacs.methods.base import Method
from metafacs.training.checkpoint import all_finite
from metafacs.training.nonfinite import Batches, Taken, first_broken
from metafacs.training.schedule import learning_rate_factor

Values = dict[str, float]
_MOST_KEPT = 1000
"""Steps whose losses are kept one by one, to name the first that went wrong."""
_BETWEEN_RANKS = 2_654_435_761
"""Between the seeds of two processes. torch's CPU generator looks at the lowest 32 bits of a seed alone; modulo 2**32
the multiples of this number lie millions of steps apart for hundreds of processes."""


@dataclass(frozen=True)
class Plan:
    """How long a run is, how its learning rate moves, and how often the loop looks up from it.

    Attributes:
        steps: of the whole run.
        schedule: of the learning rate.
        warmup: share of the run in which it rises.
        seed: below 2**32, of everything random in a step.
        log_every: steps between logs.
        validate_every: steps between validations; there is always one at the end.
        save_every: steps between saves of the resumable state.
    """

    steps: int
    schedule: Schedule = "constant"
    warmup: float = 0.0
    seed: int = 0
    log_every: int = 20
    validate_every: int = 500
    save_every: int = 500


@dataclass
class Hooks:
    """What the loop calls; each is a function of the number of steps taken."""

    log: Callable[[int, Values], None]
    """Means of the training values since the last call."""
    validate: Callable[[int], None]
    save: Callable[[int], None]
    step: Callable[[int], None] = field(default=lambda taken: None)
    """After every step, for progress bars."""
    broken: Callable[[Taken], str] = field(default=lambda taken: "")
    """When training stops because something is not finite: the step, if it is known, whose batch may be the cause;
    returns a sentence, and a space, for the message."""


def train(method: Method, batches: Iterable[Batches], steps: range, plan: Plan, hooks: Hooks) -> None:
    """Takes the training steps `steps` of a run.

    Nothing waits for the device between two logs: losses are looked at when they are logged, and together with the
    parameters before they are validated or saved; only then the step is sought that went wrong.

    Args:
        method: is stepped; owns its updates.
        batches: images and labels of every stream for every step of `steps`.
        steps: which steps to take; starts above 0 when a run is resumed.
        plan: of the whole run. The random state is set before each step from seed, step and the process's rank:
            dropout masks must differ between the images of different processes too.
        hooks: logging, validation, saving.

    Raises:
        InputError: a loss or a parameter is no longer a finite number. What was saved before is untouched.
    """
    meter, recent = _Meter(), deque[Taken](maxlen=_MOST_KEPT)
    method.plan(plan.steps)
    base = method.optimisers["base"]
    full_rates = [group.setdefault("full_lr", group["lr"]) for group in base.param_groups]
    for step, batch in zip(steps, meter.awaited(batches), strict=True):
        factor = learning_rate_factor(step, plan.steps, plan.schedule, plan.warmup)
        for group, rate in zip(base.param_groups, full_rates, strict=True):
            group["lr"] = rate * factor
        torch.manual_seed(plan.seed * 1_000_003 + step + distributed.rank() * _BETWEEN_RANKS)
        values = method.training_step(batch)
        meter.add(values, sum(map(len, batch.values())))
        recent.append(Taken(step, values))

        taken, last = step + 1, step == steps[-1]
        every = (plan.log_every, plan.validate_every, plan.save_every)
        log, validate, save = (taken % steps_between == 0 or last for steps_between in every)
        if log or validate or save:
            means = meter.means()
            wrong = [f"{name} is {value}" for name, value in means.items() if not isfinite(value)]
            if (validate or save) and not all_finite(method.modules):
                wrong = ["a parameter is not a finite number"]
            if wrong:
                raise InputError(_diverged(wrong[0], taken, hooks.broken(_suspect(recent))))
        if log:
            hooks.log(taken, {**means, **meter.pace(), "learning_rate": full_rates[0] * factor})
            meter.reset()
            recent.clear()
        with meter.paused():
            if validate:
                hooks.validate(taken)
            if save:
                hooks.save(taken)
        hooks.step(taken)


class _Meter:
    """Sums of what a method returns, on its device, and the time that its steps take, since the last `reset`."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}
        self._steps = self._images = 0
        self._waited = 0.0
        self._since, self._worked_since = time.perf_counter(), time.process_time()

    def add(self, values: Mapping[str, Tensor], images: int) -> None:
        for name, value in values.items():
            self._sums[name] = self._sums[name] + value if name in self._sums else value
            self._counts[name] = self._counts.get(name, 0) + 1  # a step may leave a value out
        self._steps += 1
        self._images += images

    def awaited(self, batches: Iterable[Batches]) -> Iterator[Batches]:
        """`batches`, and how long each was waited for; the first one's time, the workers' start, does not count."""
        iterator = iter(batches)
        with self.paused():
            batch = next(iterator, None)
        while batch is not None:
            yield batch
            start = time.perf_counter()
            batch = next(iterator, None)
            self._waited += time.perf_counter() - start

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Time spent within does not count for images per second nor for the time of a step."""
        start, worked = time.perf_counter(), time.process_time()
        yield
        self._since += time.perf_counter() - start
        self._worked_since += time.process_time() - worked

    def means(self) -> Values:
        """Of every value, over the steps and over all processes."""
        if not self._sums:
            return {}
        means = torch.stack([value.double() / self._counts[name] for name, value in self._sums.items()])
        return dict(zip(self._sums, distributed.mean(means).tolist(), strict=True))

    def pace(self) -> Values:
        """How fast the steps were."""
        seconds = max(time.perf_counter() - self._since, 1e-9)
        return {
            "images_per_second": self._images * distributed.count() / seconds,
            "wait_share": self._waited / seconds,
            "seconds_per_step": seconds / self._steps,
            "processor_seconds_per_step": (time.process_time() - self._worked_since) / self._steps,
        }


def _suspect(recent: Sequence[Taken]) -> Taken:
    """The first step in any process that returned a number that is not finite; else the last."""
    own = first_broken(recent) or recent[-1]
    device = next(iter(own.values.values())).device if own.values else None
    first = int(distributed.gather(torch.tensor([own.step], device=device)).min())
    return next(taken for taken in recent if taken.step == first)


def _diverged(what: str, step: int, kept: str) -> str:
    return (
        f"training diverged before step {step}: {what}. {kept}The last saved state is from before and intact; lower "
        "the learning rate (--optimiser.learning_rate), or look for damaged images and labels with `metafacs inspect`"
    )
