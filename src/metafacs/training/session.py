"""A training run: a configuration in, a run folder out."""

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from rich.console import Console
from torch import nn
from torch.optim import Optimizer
from torch.utils.tensorboard import SummaryWriter

from metafacs import distributed
from metafacs.config import NetworkConfig, OptimiserConfig, TrainConfig
from metafacs.data.streams import mixed_seed, training_batches
from metafacs.errors import InputError
from metafacs.evaluation.costs import logged_costs
from metafacs.evaluation.metrics import au_scores, average_scores
from metafacs.files import naming
from metafacs.methods import METHODS, Method, Setup
from metafacs.methods.mtl import MTLOptions
from metafacs.models.network import Network, build_network, check_side
from metafacs.models.synchronised import synchronise
from metafacs.progress import duration, progress_bar
from metafacs.runs import (
    DETECTOR,
    METRICS,
    SAMPLE_WEIGHTS,
    STATE,
    TENSORBOARD,
    RunFolder,
    check_run,
    peak_memory,
    weight_history,
)
from metafacs.training import loop
from metafacs.training.checkpoint import DetectorCard, load_state, save_detector, save_state
from metafacs.training.compiling import compiled
from metafacs.training.data import TrainingData, open_data
from metafacs.training.nonfinite import Batches, Taken, save_batch
from metafacs.training.predicting import over_faces
from metafacs.training.together import check_together
from metafacs.training.weight_table import by_dataset, write_sample_weights

_SHOWN = {
    "loss_primary": "AU loss",
    "loss_auxiliary": "FE loss",
    "weight_primary": "AU weight",
    "weight_auxiliary": "FE weight",
}
logger = logging.getLogger(__name__)


def train(config: TrainConfig, resume: bool = False) -> Path:
    """Trains a detector, or what is left of its training; returns the run folder, `config.out`.

    Under `torchrun` all processes call it and train together; the first one writes.

    Args:
        config: what to train, on what, and how.
        resume: go on with the unfinished run in that folder, if there is one, or with a finished one for more steps,
            where its learning rate does not depend on its length.

    Raises:
        InputError: a dataset or a setting cannot be used, the folder holds another run, or training diverged.
    """
    with distributed.joined(config.loop.device) as device, _threads(config.loop.threads):
        first = distributed.rank() == 0
        kind = METHODS[config.method]
        fixed = _fixed(config, kind)
        console = Console(stderr=True, soft_wrap=True, highlight=False, quiet=not first)
        if first:  # again when the folder is made, but nothing has been waited for yet
            check_run(config.out, config.values(), resume, fixed, config.defaults())
        data = open_data(config.data, kind.streams, config.seed, console, device)
        torch.manual_seed(config.seed)
        network = base_network(config.network, data)
        check_side(network, config.data.side)
        setup = Setup(
            network.to(device).to(memory_format=torch.channels_last),
            optimiser_factory(config.optimiser),
            data.class_weights(device),
            distributed.autocast(device, config.loop.precision),
            data.facts(config.data.side, kind.uses_landmarks),
        )
        if isinstance(config.options, MTLOptions):
            setup = _controlled(setup, config.options, data)
        method = kind(setup, config.options)
        if distributed.count() > 1 and config.loop.synchronise:
            for module in method.modules.values():
                synchronise(module)
        folder = RunFolder(config.out, config.values(), resume, fixed, config.defaults()) if first else None
        distributed.wait_for_all()
        with naming(config.out), compiled(method.network) if config.loop.compile else nullcontext():
            _Session(config, method, data, device, folder, console).run()
    return config.out


def _controlled(setup: Setup, options: MTLOptions, data: TrainingData) -> Setup:
    """Gives MTL's controls what they know: the truth of the images, another run's weights.

    Raises:
        InputError: they cannot have it.
    """
    if options.truth:
        dataset, faces = data.rows["auxiliary"]
        values = dataset.column(options.truth)[faces.rows].tolist()
        texts = np.array([f"{value:g}" if isinstance(value, float) else str(value) for value in values])
        bad = np.isin(texts, options.bad.split(","))
        if bad.all() or not bad.any():
            raise InputError(
                f"{bad.sum()} of {len(bad)} images of {dataset.folder} have {options.bad} in {options.truth}, a column "
                f"whose values are {', '.join(sorted(set(texts))[:8])}; name those of bad images, and not of all"
            )
        data.streams["auxiliary"].truth = torch.from_numpy(~bad).float()
    return replace(setup, history=weight_history(Path(options.replay))) if options.replay else setup


def _fixed(config: TrainConfig, kind: type[Method]) -> str:
    """Why the run would have gone another way if it had been longer; "" where it would not."""
    rate = config.optimiser
    if rate.schedule != "constant" or rate.warmup:
        return (
            f"its learning rate depends on its length (--optimiser.schedule {rate.schedule}, --optimiser.warmup "
            f"{rate.warmup:g}; with constant and 0 it does not)"
        )
    if kind.plan is Method.plan or (isinstance(config.options, MTLOptions) and not config.options.replay):
        return ""
    return f"the method {config.method} plans by its length"


def base_network(config: NetworkConfig, data: TrainingData) -> Network:
    """The network that a run on `data` starts from, on the CPU."""
    return build_network(config.backbone, len(data.aus), len(data.expressions), config.weights, config.options)


def optimiser_factory(config: OptimiserConfig) -> Callable[[Iterable[nn.Parameter]], Optimizer]:
    """Makes the base optimiser from parameters."""

    def make(parameters: Iterable[nn.Parameter]) -> Optimizer:
        rate, decay = config.learning_rate, config.weight_decay
        if config.name == "sgd":
            return torch.optim.SGD(parameters, lr=rate, momentum=config.momentum, weight_decay=decay)
        return torch.optim.AdamW(parameters, lr=rate, weight_decay=decay)

    return make


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """So many threads in torch within; 0 leaves them as they are."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class _Session:
    """One run: a method, its data and its folder, wired to the loop. Only the first process has a folder."""

    def __init__(
        self,
        config: TrainConfig,
        method: Method,
        data: TrainingData,
        device: torch.device,
        folder: RunFolder | None,
        console: Console,
    ) -> None:
        self.config, self.method, self.data = config, method, data
        self.device, self.folder, self.console = device, folder, console
        self.state = config.out / STATE
        self.warned, self.reserve_f1 = False, ""
        self.streams = {str(name): data.streams[name] for name in method.streams}
        primary = data.streams["primary"]
        self.per_epoch = len(primary.faces) / primary.order.batch
        self.steps = config.loop.steps or max(1, round(config.loop.epochs * self.per_epoch))

    def run(self) -> None:
        """Trains from where the folder stands to the end."""
        self._card().check()  # what loading would refuse is refused before hours of training
        start = 0
        if self.state.exists():
            start = load_state(self.state, self.method.modules, self.method.optimisers)
            self.console.print(f"going on after step {start} of {self.steps}")
        check_together(self.config, self.method, self.data, start, self.device)
        if self.folder:
            self.folder.start_metrics(start)
        self.board = SummaryWriter(self.config.out / TENSORBOARD, purge_step=start + 1) if self.folder else None
        split, fold = self.data.split, self.config.data.test_fold
        self.console.print(
            f"{len(split.train):,} AU images train, {len(split.reserve):,} are reserved, fold {fold} "
            f"({len(split.test_subjects)} people) is kept for the test; log: {self.config.out / METRICS}",
            markup=False,
        )
        before, began = peak_memory(self.device), time.monotonic()
        try:
            self._loop(range(start, self.steps))
            memory = {"memory_before_mib": before, "memory_peak_mib": peak_memory(self.device)}
            if self.folder:
                self._write_results()
                self.folder.finish({"steps": self.steps, **memory})
                took = float(np.median([line["seconds_per_step"] for line in logged_costs(self.config.out)]))
                taken = f"{self.steps - start:,} steps in {duration(time.monotonic() - began)}"
                said = "; ".join(filter(None, [f"{taken}, {1000 * took:.1f} ms a step", self.reserve_f1]))
                advice = f"`metafacs evaluate {self.config.out}` scores it on fold {fold}"
                self.console.print(f"{self.config.out}: {said}; {advice}", markup=False)
        finally:
            if self.board:
                self.board.close()
            if self.folder:
                self.folder.close()

    def _loop(self, steps: range) -> None:
        config, tenth = self.config, max(1, self.steps // 10)
        plan = loop.Plan(
            self.steps,
            config.optimiser.schedule,
            config.optimiser.warmup,
            mixed_seed(config.seed, 2) % 2**32,
            config.loop.log_every,
            config.loop.validate_every or tenth,
            config.loop.save_every or tenth,
        )
        with progress_bar(f"training {config.method}", self.console) as (update, note):
            self.note = note
            update(steps.start, self.steps)
            hooks = loop.Hooks(
                self._log, self._validate, self._save, lambda taken: update(taken, self.steps), self._keep_batch
            )
            loop.train(self.method, self._batches(steps, config.data.workers), steps, plan, hooks=hooks)

    def _batches(self, steps: range, workers: int = 0) -> Iterator[Batches]:
        """The batches of some steps; the same ones whenever they are asked for."""
        decoded = all(stream.faces.decoded for stream in self.streams.values())
        return training_batches(
            self.streams,
            steps,
            self.config.data.side,
            mixed_seed(self.config.seed, 1),
            self.device,
            0 if decoded else workers,
            self.config.data.augment == "photographic",
            self.method.takes_landmarks,
        )

    def _log(self, step: int, means: Mapping[str, float]) -> None:
        warning = self.method.review(means)
        if warning and not self.warned:
            self.warned = True
            logger.warning(warning)
        self._record("train", step, {"epoch": step / self.per_epoch, **means})
        shown = [f"{text} {means[name]:.3f}" for name, text in _SHOWN.items() if name in means]
        pace = f"{means['images_per_second']:.0f} images/s, {means['wait_share']:.0%} waiting"
        self.note(", ".join([*filter(None, [self.reserve_f1]), *shown, pace]))

    def _validate(self, step: int) -> None:
        if not self.folder:
            return
        side, landmarks = self.config.data.side, self.method.network.uses_landmarks
        probabilities = over_faces(self.method.predict, self.data.reserve, side, self.device, landmarks=landmarks)
        labels = self.data.reserve_labels
        scores = average_scores(au_scores(labels, probabilities, self.data.aus))
        clipped = probabilities.clip(1e-7, 1 - 1e-7)
        cross_entropy = -np.where(labels == 1, np.log(clipped), np.log(1 - clipped))[~np.isnan(labels)]
        averages = {"average_f1": float(scores["f1"]), "average_auc": float(scores["auc"])}
        self._record("validation", step, {**averages, "loss": float(cross_entropy.mean())})
        self.reserve_f1 = f"F1 on the reserve {100 * averages['average_f1']:.1f}"

    def _record(self, event: str, step: int, values: Mapping[str, float]) -> None:
        """Into the log of the run and TensorBoard's."""
        if self.folder and self.board:
            self.folder.log(event, step, values)
            for name, value in values.items():
                self.board.add_scalar(f"{event}/{name}", value, step)

    def _save(self, step: int) -> None:
        if self.folder:
            save_state(self.state, step, self.method.modules, self.method.optimisers)

    def _keep_batch(self, taken: Taken) -> str:
        """Saves the batch of a step that went wrong; a sentence that says where."""
        rank = f"_process{distributed.rank()}" if distributed.count() > 1 else ""
        path = self.config.out / f"nonfinite_step{taken.step + 1}{rank}.safetensors"
        batch = next(iter(self._batches(range(taken.step, taken.step + 1))))
        rows = {name: stream.rows(taken.step) for name, stream in self.streams.items()}
        datasets = {name: str(stream.faces.dataset.folder) for name, stream in self.streams.items()}
        state = STATE if self.state.exists() else None
        try:
            save_batch(path, taken, batch, rows, {"datasets": datasets, "seed": self.config.seed, "state": state})
        except OSError as error:
            return f"Its batch (of step {taken.step + 1}) could not be saved ({error.strerror}). "
        return f"The batch of step {taken.step + 1} (rows, images, labels, losses) is in {path}. "

    def _write_results(self) -> None:
        if self.method.learns_sample_weights:
            path, side = self.config.out / SAMPLE_WEIGHTS, self.config.data.side
            write_sample_weights(path, self.method, self.data, side, self.device, self.steps)
            means = by_dataset(pd.read_parquet(path))
            if len(means) > 1:
                values = {f"{name}/{of}": mean for name, row in means.iterrows() for of, mean in row.dropna().items()}
                self._record("weights", self.steps, values)
                shown = ", ".join(f"{name} {mean:.3f}" for name, mean in means["all"].items())
                self.console.print(f"mean weight of expression images: {shown}", markup=False)
        save_detector(self.config.out / DETECTOR, self.method.network, self._card())

    def _card(self) -> DetectorCard:
        config, card = self.config, self.data.primary.card
        return DetectorCard(
            aus=self.data.aus,
            thresholds=[0.5] * len(self.data.aus),
            expressions=self.data.expressions,
            backbone=config.network.backbone,
            backbone_options=config.network.options,
            side=config.data.side,
            resize=self.data.size,
            crop=card.crop,
            dataset=card.name,
            test_fold=config.data.test_fold,
            test_subjects=list(self.data.split.test_subjects),
            method=config.method,
            seed=config.seed,
            steps=self.steps,
            cautions=self.data.cautions,
        )
