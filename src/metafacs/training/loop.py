"""The training loop: batches in, steps of a method, logs, validation, checkpoints. It names no method."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor

from metafacs import distributed
from metafacs.errors import InputError
from metafacs.methods.base import Method
from metafacs.training.checkpoint import all_finite
from metafacs.training.nonfinite import Batches, Skipping, Taken, first_broken
from metafacs.training.schedule import Schedule, learning_rate_factor

Values = dict[str, float]
_MOST_KEPT = 1000
"""Steps whose losses are kept one by one, to name the first that went wrong."""
_BETWEEN_RANKS = 2_654_435_761
"""Between the seeds of two processes. torch's CPU generator looks at the lowest 32 bits of a seed alone; modulo 2**32
the multiples of this number lie millions of steps apart for hundreds of processes."""


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


def train(
    method: Method,
    batches: Iterable[Batches],
    steps: range,
    total_steps: int,
    schedule: Schedule,
    warmup: float,
    seed: int,
    hooks: Hooks,
    log_every: int = 20,
    validate_every: int = 500,
    save_every: int = 500,
    skipping: Skipping | None = None,
) -> None:
    """Takes the training steps `steps` of `total_steps`.

    Nothing waits for the device between two logs: losses are looked at when they are logged, parameters before they
    are validated or saved, and only then the step is sought that went wrong.

    Args:
        method: is stepped; owns its updates.
        batches: images and labels of every stream for every step of `steps`.
        steps: which steps to take; starts above 0 when a run is resumed.
        total_steps: of the whole run, for the schedule.
        schedule: of the learning rate.
        warmup: share of the run in which it rises.
        seed: below 2**32, of everything random in a step; the random state is set before each one from seed, step and
            the process's rank: dropout masks must differ between the images of different processes too.
        hooks: logging, validation, saving.
        log_every: steps between logs.
        validate_every: steps between validations; there is always one at the end.
        save_every: steps between saves of the resumable state.
        skipping: leaves out steps with numbers that are not finite; None: such a number ends the training.

    Raises:
        InputError: a loss or a parameter is no longer a finite number. What was saved before is untouched.
    """
    sums, recent = _Means(), deque[Taken](maxlen=_MOST_KEPT)
    method.plan(total_steps)
    base = method.optimisers["base"]
    full_rates = [group.setdefault("full_lr", group["lr"]) for group in base.param_groups]

    def take(step: int, batch: Batches) -> Taken:
        factor = learning_rate_factor(step, total_steps, schedule, warmup)
        for group, rate in zip(base.param_groups, full_rates, strict=True):
            group["lr"] = rate * factor
        torch.manual_seed(seed * 1_000_003 + step + distributed.rank() * _BETWEEN_RANKS)
        images = sum(map(len, batch.values()))
        return Taken(
            step,
            method.training_step(batch),
            images,
        )

    for step, batch in zip(steps, sums.awaited(batches), strict=True):
        done = take(step, batch)
        recent.append(done)
        if skipping is None:
            sums.add(done.values, done.images)
        taken, last = step + 1, step == steps[-1]
        log, validate, save = (taken % every == 0 or last for every in (log_every, validate_every, save_every))
        if skipping and (log or validate or save or len(recent) == _MOST_KEPT):
            for each in skipping.look(list(recent), take):
                sums.add(each.values, each.images)
            recent.clear()
        if log:
            means = sums.take()
            if skipping is None:
                _check_finite(means, recent, hooks)
            rate = full_rates[0] * learning_rate_factor(step, total_steps, schedule, warmup)
            hooks.log(taken, {**means, "learning_rate": rate})
        if (validate or save) and skipping is None:
            _check_state(method, recent, log, hooks)
        if log:
            recent.clear()
        with sums.paused():
            if validate:
                hooks.validate(taken)
            if save:
                hooks.save(taken)
        hooks.step(taken)


class _Means:
    """Running sums of what a method returns, on its device: nothing waits for the GPU between logs."""

    def __init__(self) -> None:
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

    def take(self) -> Values:
        """Means over the steps since the last call, and over all processes."""
        own = [value.double() / self._counts[name] for name, value in self._sums.items()]
        means = dict(zip(self._sums, distributed.mean(torch.stack(own)).tolist(), strict=True)) if own else {}
        seconds = max(time.perf_counter() - self._since, 1e-9)
        means["images_per_second"] = self._images * distributed.count() / seconds
        means["wait_share"] = self._waited / seconds
        means["seconds_per_step"] = seconds / max(self._steps, 1)
        means["processor_seconds_per_step"] = (time.process_time() - self._worked_since) / max(self._steps, 1)
        self.__init__()  # type: ignore[misc]
        return means


def _check_finite(means: Values, recent: Sequence[Taken], hooks: Hooks) -> None:
    wrong = [name for name, value in means.items() if value != value or abs(value) == float("inf")]
    if wrong:
        what = f"{wrong[0]} is {means[wrong[0]]}"
        raise InputError(_diverged(what, recent[-1].step + 1, hooks.broken(_suspect(recent))))


def _check_state(method: Method, recent: Sequence[Taken], logged: bool, hooks: Hooks) -> None:
    """Before it is saved or scored: what would be saved must not come from a step that is complained of later."""
    step = recent[-1].step + 1
    if not all_finite(method.modules):
        raise InputError(_diverged("a parameter is not a finite number", step, hooks.broken(_suspect(recent))))
    if logged:
        return
    broken = first_broken(recent)
    device = next(method.network.parameters()).device
    if float(distributed.mean(torch.tensor(float(broken is not None), device=device))):
        names = [name for name, value in broken.values.items() if not value.isfinite()] if broken else []
        what = f"{names[0]} is {float(broken.values[names[0]])}" if broken else "a loss of another process is no number"
        raise InputError(_diverged(what, step, hooks.broken(_suspect(recent))))


def _suspect(recent: Sequence[Taken]) -> Taken:
    """The first step in any process that returned a number that is not finite; else the last."""
    own = first_broken(recent) or recent[-1]
    device = next(iter(own.values.values())).device if own.values else None
    first = int(distributed.gather(torch.tensor([own.step], device=device)).min())
    return next(taken for taken in recent if taken.step == first)


def _diverged(what: str, step: int, kept: str) -> str:
    return (
        f"training diverged before step {step}: {what}. {kept}The last saved state is from before and "
        "intact; lower the learning rate (--optimiser.learning_rate), look for damaged images and labels with "
        "`metafacs inspect`, or leave such steps out with --loop.nonfinite skip"
    )
