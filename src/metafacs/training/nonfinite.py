"""When a loss or a parameter is no longer a finite number: the batch is kept, and the step left out if asked."""

from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from metafacs import __version__, distributed
from metafacs.errors import InputError
from metafacs.methods.base import Method
from metafacs.sample import Batch
from metafacs.tensorfile import write_tensors
from metafacs.training.checkpoint import all_finite

Batches = Mapping[Any, Batch]
"""By stream, in one step."""
Values = Mapping[str, Tensor]
"""What a method returned of one step: detached scalars."""


@dataclass(frozen=True)
class Taken:
    """A step that was taken.

    Attributes:
        step: its number, from 0.
        values: what the method returned.
        images: how many this process showed it.
    """

    step: int
    values: Values
    images: int


def first_broken(steps: Iterable[Taken]) -> Taken | None:
    """The first step of which this process has a value that is not a finite number; waits for the device."""
    return next((taken for taken in steps if not _finite(taken.values)), None)


def _finite(values: Values) -> bool:
    return not values or bool(torch.stack([value.double() for value in values.values()]).isfinite().all())


class Skipping:
    """Leaves out steps that would make a loss or a parameter something else than a finite number.

    A step that is left out changes nothing: parameters, running statistics and optimisers are as if it had not been.
    Steps are taken without looking; every so often all of them since the last look are looked at, together with the
    parameters. Where something is wrong, the method goes back to the last look and takes the same steps once more, one
    at a time. So no step waits for the device; what it costs is memory for one more copy of the networks and of the
    optimisers' state, made at every look. All processes decide together.

    Args:
        method: that trains.
        batches: gives the batches of some steps again.
        limit: how many steps in a row may be left out.
        skipped: is told about a step that was left out.
    """

    def __init__(
        self,
        method: Method,
        batches: Callable[[range], Iterable[Batches]],
        limit: int,
        skipped: Callable[[Taken], None],
    ) -> None:
        self.method, self.batches, self.limit, self.skipped = method, batches, limit, skipped
        self._in_a_row = 0
        self._sound = self._copy()

    def look(self, steps: list[Taken], take: Callable[[int, Batches], Taken]) -> list[Taken]:
        """Those of the steps since the last look that count.

        Args:
            steps: all since the last look, one after the other.
            take: takes a step.

        Raises:
            InputError: more than `limit` steps in a row had to be left out.
        """
        if steps and not self._agreed(steps):
            self._restore(self._sound)
            again = range(steps[0].step, steps[-1].step + 1)
            steps = [
                taken
                for step, batch in zip(again, self.batches(again), strict=True)
                for taken in self._try(step, batch, take)
            ]
        elif steps:
            self._in_a_row = 0
        self._sound = self._copy()
        return steps

    def _try(self, step: int, batch: Batches, take: Callable[[int, Batches], Taken]) -> list[Taken]:
        """The step, or nothing where it has to be left out."""
        before = self._copy()
        taken = take(step, batch)
        if self._agreed([taken]):
            self._in_a_row = 0
            return [taken]
        self._restore(before)
        self._in_a_row += 1
        self.skipped(taken)
        if self._in_a_row >= self.limit:
            raise InputError(
                f"training diverged: {self.limit} steps in a row, up to step {step + 1}, had to be left out because a "
                "loss or a parameter was not a finite number (--loop.nonfinite_limit). The last saved state is from "
                "before and intact; lower the learning rate (--optimiser.learning_rate)"
            )
        return []

    def _agreed(self, steps: list[Taken]) -> bool:
        """Whether all is finite in all processes."""
        sound = first_broken(steps) is None and all_finite(self.method.modules)
        device = next(self.method.network.parameters()).device
        return float(distributed.mean(torch.tensor(float(sound), device=device))) == 1.0

    def _copy(self) -> dict[str, Any]:
        return {
            "modules": {name: deepcopy(module.state_dict()) for name, module in self.method.modules.items()},
            "optimisers": {name: deepcopy(own.state_dict()) for name, own in self.method.optimisers.items()},
        }

    def _restore(self, copy: Mapping[str, Any]) -> None:
        for name, module in self.method.modules.items():
            module.load_state_dict(copy["modules"][name])
        for name, optimiser in self.method.optimisers.items():
            optimiser.load_state_dict(deepcopy(copy["optimisers"][name]))  # it would keep, and change, these tensors


def save_batch(
    path: Path, taken: Taken, batch: Batches, rows: Mapping[str, NDArray[np.int64]], about: Mapping[str, object]
) -> None:
    """Writes all that is needed to look into a step that went wrong, for `safetensors.torch.load_file`.

    The tensors are `STREAM.images` (n, 3, S, S) as the network was shown them, `STREAM.labels` and `STREAM.rows` (of
    the prepared dataset); the header (JSON, entry `metafacs` of the file's metadata) has the step, from 1, its losses
    as texts, and `about`.

    Args:
        path: the file.
        taken: the step.
        batch: of this process.
        rows: of every stream.
        about: what else there is to say.
    """
    tensors: dict[str, Tensor] = {}
    for name, part in batch.items():
        tensors[f"{name}.images"] = part.sample.images.detach().cpu().contiguous()
        tensors[f"{name}.labels"] = part.labels.detach().cpu().contiguous()
        tensors[f"{name}.rows"] = torch.from_numpy(np.ascontiguousarray(rows[name], np.int64))
    losses = {name: str(float(value)) for name, value in taken.values.items()}
    header = {"kind": "batch", "tool_version": __version__, "step": taken.step + 1, "losses": losses}
    write_tensors(path, tensors, {**header, **about})
