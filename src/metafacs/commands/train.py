"""`metafacs train`: prepared datasets in, run folder out."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jsonargparse import ArgumentParser, Namespace
from rich.console import Console
from torch import nn
from torch.optim import Optimizer
from torch.utils.tensorboard import SummaryWriter

from metafacs import distributed
from metafacs.commands.parsing import parse, parser, plain
from metafacs.config import TrainConfig
from metafacs.data.streams import mixed_seed, training_batches
from metafacs.errors import InputError
from metafacs.evaluation.metrics import au_scores, average_scores
from metafacs.files import naming
from metafacs.methods import METHODS, Method, Setup
from metafacs.models.network import Network, build_network, check_side
from metafacs.models.synchronised import synchronise
from metafacs.progress import progress_bar
from metafacs.runs import DETECTOR, SAMPLE_WEIGHTS, STATE, TENSORBOARD, RunFolder, check_run, peak_memory
from metafacs.training import loop
from metafacs.training.card_checks import MOST_SEED, MOST_SIDE, check_card
from metafacs.training.checkpoint import DetectorCard, load_state, save_detector, save_state
from metafacs.training.compiling import compiled
from metafacs.training.data import TrainingData, open_data
from metafacs.training.nonfinite import Batches, Taken, save_batch
from metafacs.training.predicting import over_faces
from metafacs.training.together import check_together
from metafacs.training.weight_table import write_sample_weights

DESCRIPTION = """Trains a detector of facial Action Units on a prepared AU dataset, with the help of a prepared
expression dataset where the method uses one, and writes a run folder: configuration, logs, checkpoints and, for
methods that learn them, sample weights. The test fold is not touched: `metafacs evaluate` scores it. A run that was
killed goes on with --resume and, on the CPU, ends with the very same parameters."""

logger = logging.getLogger(__name__)


def train_parser(prog: str, description: str = DESCRIPTION) -> ArgumentParser:
    """Flags of the command; every registered method's options stand under its name."""
    made = parser(prog, description, config_file=True)
    made.add_class_arguments(TrainConfig, None)
    made.add_argument("--resume", action="store_true", help="go on with the unfinished run in `out`, if there is one.")
    for name in METHODS:
        made.add_class_arguments(METHODS[name].Options, name, instantiate=False)
        (made.groups or {})[name].title = str(METHODS[name].__doc__).splitlines()[0].rstrip(".")
    return made


def main(prog: str, arguments: Sequence[str]) -> None:
    """Runs the command."""
    settings = parse(train_parser(prog), arguments)
    run(settings, settings.resume)


def run(settings: Namespace, resume: bool = False) -> Path:
    """Trains as `settings` (of `train_parser`) say; returns the run folder."""
    method_class = METHODS[settings.method]
    options = plain(settings[settings.method]) if settings.method in settings else {}
    config = {**plain(settings), settings.method: options}
    config = {k: v for k, v in config.items() if k not in METHODS or k == settings.method}
    config = {k: v for k, v in config.items() if k not in ("config", "resume", "out")}
    out = Path(settings.out)
    _check_numbers(settings)
    if settings.loop.threads:
        torch.set_num_threads(settings.loop.threads)
    with distributed.joined(settings.loop.device) as device, naming(out):
        _train(settings, method_class, options, config, out, resume, device)
    return out


def _train(
    settings: Namespace,
    method_class: type[Method],
    options: dict[str, Any],
    config: dict[str, Any],
    out: Path,
    resume: bool,
    device: torch.device,
) -> None:
    first = distributed.rank() == 0
    console = Console(stderr=True, soft_wrap=True, highlight=False, quiet=not first)
    if first:
        check_run(out, config, resume)  # again when the folder is made, but now nothing has been waited for
    data = open_data(settings.data, "auxiliary" in method_class.streams, settings.seed, console, device)
    torch.manual_seed(settings.seed)
    network = base_network(settings, data)
    check_side(network, settings.data.side)
    setup = Setup(
        network.to(device).to(memory_format=torch.channels_last),
        _optimiser_factory(**plain(settings.optimiser)),
        data.class_weights(device),
        distributed.autocast(device, settings.loop.precision),
    )
    method = method_class(setup, method_class.Options(**options))
    if distributed.count() > 1 and settings.loop.synchronise:
        for module in method.modules.values():
            synchronise(module)
    folder = RunFolder(out, config, resume) if first else None
    distributed.wait_for_all()
    with compiled(method.network) if settings.loop.compile else nullcontext():
        _Session(settings, method, data, device, out, folder, console).run()


def _check_numbers(settings: Namespace) -> None:
    """What the types of the settings let through."""
    if not isinstance(settings.seed, int) or settings.seed >= MOST_SEED:
        raise InputError(f"--seed is {settings.seed}; give a whole number below 2**63")
    if settings.data.resize > MOST_SIDE:
        raise InputError(f"--data.resize is {settings.data.resize}; {MOST_SIDE} pixels at most")


def base_network(settings: Namespace, data: TrainingData) -> Network:
    """The network that a run starts from, on the CPU."""
    return build_network(
        settings.network.backbone,
        len(data.aus),
        len(data.expressions),
        settings.network.weights,
        plain(settings.network.options),
    )


def _optimiser_factory(
    name: str, learning_rate: float, momentum: float, weight_decay: float, **schedule: Any
) -> Callable[[Iterable[nn.Parameter]], Optimizer]:
    def make(parameters: Iterable[nn.Parameter]) -> Optimizer:
        if name == "sgd":
            return torch.optim.SGD(parameters, lr=learning_rate, momentum=momentum, weight_decay=weight_decay)
        return torch.optim.AdamW(parameters, lr=learning_rate, weight_decay=weight_decay)

    return make


class _Session:
    """One run: a method, its data and its folder, wired to the loop."""

    def __init__(
        self,
        settings: Namespace,
        method: Method,
        data: TrainingData,
        device: torch.device,
        out: Path,
        folder: RunFolder | None,
        console: Console,
    ) -> None:
        self.settings, self.method, self.data = settings, method, data
        self.device, self.folder, self.console = device, folder, console
        self.state = out / STATE
        self.out = out
        self.warned = False
        self.streams = {str(name): data.streams[name] for name in method.streams}
        images = len(data.streams["primary"].faces)
        self.per_epoch = images / data.streams["primary"].order.batch
        self.steps = settings.loop.steps or max(1, round(settings.loop.epochs * self.per_epoch))

    def run(self) -> None:
        """Trains from where the folder stands to the end."""
        check_card(asdict(self._card()))  # what loading would refuse is refused before hours of training
        start = 0
        if self.state.exists():
            start = load_state(self.state, self.method.modules, self.method.optimisers)
            self.console.print(f"going on after step {start} of {self.steps}")
        check_together(self.out, self.settings, self.method, self.data, start, self.device)
        if self.folder:
            self.folder.start_metrics(start)
        board = SummaryWriter(self.out / TENSORBOARD, purge_step=start + 1) if self.folder else None
        self.board = board
        before = peak_memory(self.device)
        try:
            self._loop(range(start, self.steps))
            self._finish({"memory_before_mib": before, "memory_peak_mib": peak_memory(self.device)})
        finally:
            if board:
                board.close()
            if self.folder:
                self.folder.close()

    def _batches(self, steps: range, workers: int = 0) -> Iterator[Batches]:
        """The batches of some steps; the same ones whenever they are asked for."""
        return training_batches(
            self.streams,
            steps,
            self.settings.data.side,
            mixed_seed(self.settings.seed, 1),
            self.device,
            0 if all(stream.faces.decoded for stream in self.streams.values()) else workers,
            self.settings.data.augment == "photographic",
        )

    def _loop(self, steps: range) -> None:
        own = self.settings.loop
        tenth = max(1, self.steps // 10)
        plan = loop.Plan(
            self.steps,
            self.settings.optimiser.schedule,
            self.settings.optimiser.warmup,
            mixed_seed(self.settings.seed, 2) % 2**32,
            own.log_every,
            own.validate_every or tenth,
            own.save_every or tenth,
        )
        with progress_bar(f"training {self.settings.method}", self.console) as (update, note):
            self.note = note
            update(steps.start, self.steps)
            hooks = loop.Hooks(
                self._log, self._validate, self._save, lambda taken: update(taken, self.steps), self._keep_batch
            )
            loop.train(self.method, self._batches(steps, self.settings.data.workers), steps, plan, hooks=hooks)

    def _log(self, step: int, means: Mapping[str, float]) -> None:
        warning = self.method.review(means)
        if warning and not self.warned:
            self.warned = True
            logger.warning(warning)
        if not self.folder:
            return
        self.folder.log("train", step, {"epoch": step / self.per_epoch, **means})
        self._to_board("train", step, means)
        names = {"loss_primary": "AU loss", "loss_auxiliary": "FE loss", "weight_primary": "AU weight"}
        names |= {"weight_auxiliary": "FE weight"}
        shown = [f"{text} {means[name]:.3f}" for name, text in names.items() if name in means]
        self.note(", ".join([*shown, f"{means['images_per_second']:.0f} images/s, {means['wait_share']:.0%} waiting"]))

    def _validate(self, step: int) -> None:
        if not self.folder:
            return
        probabilities = over_faces(self.method.predict, self.data.reserve, self.settings.data.side, self.device)
        labels = self.data.reserve_labels
        scores = average_scores(au_scores(labels, probabilities, self.data.aus))
        clipped = probabilities.clip(1e-7, 1 - 1e-7)
        cross_entropy = -np.where(labels == 1, np.log(clipped), np.log(1 - clipped))[~np.isnan(labels)]
        values = {
            "average_f1": float(scores["f1"]),
            "average_auc": float(scores["auc"]),
            "loss": float(cross_entropy.mean()),
        }
        self.folder.log("validation", step, values)
        self._to_board("validation", step, values)

    def _save(self, step: int) -> None:
        if self.folder:
            save_state(self.state, step, self.method.modules, self.method.optimisers)

    def _keep_batch(self, taken: Taken) -> str:
        """Saves the batch of a step that went wrong; a sentence that says where."""
        rank = f"_process{distributed.rank()}" if distributed.count() > 1 else ""
        path = self.out / f"nonfinite_step{taken.step + 1}{rank}.safetensors"
        batch = next(iter(self._batches(range(taken.step, taken.step + 1))))
        rows = {name: stream.rows(taken.step) for name, stream in self.streams.items()}
        datasets = {name: str(stream.faces.dataset.folder) for name, stream in self.streams.items()}
        state = STATE if self.state.exists() else None
        try:
            save_batch(path, taken, batch, rows, {"datasets": datasets, "seed": self.settings.seed, "state": state})
        except OSError as error:
            return f"Its batch (of step {taken.step + 1}) could not be saved ({error.strerror}). "
        return f"The batch of step {taken.step + 1} (rows, images, labels, losses) is in {path}. "

    def _to_board(self, event: str, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            if self.board:
                self.board.add_scalar(f"{event}/{name}", value, step)

    def _finish(self, memory: Mapping[str, float]) -> None:
        if not self.folder:
            return
        if self.method.learns_sample_weights:
            write_sample_weights(
                self.out / SAMPLE_WEIGHTS, self.method, self.data, self.settings.data.side, self.device, self.steps
            )
        save_detector(self.out / DETECTOR, self.method.network, self._card())
        self.folder.finish({"steps": self.steps, **memory})

    def _card(self) -> DetectorCard:
        card = self.data.primary.card
        return DetectorCard(
            aus=self.data.aus,
            thresholds=[0.5] * len(self.data.aus),
            expressions=self.data.expressions,
            backbone=self.settings.network.backbone,
            backbone_options=plain(self.settings.network.options),
            side=self.settings.data.side,
            resize=self.data.size,
            crop=card.crop,
            dataset=card.name,
            test_fold=self.settings.data.test_fold,
            test_subjects=list(self.data.split.test_subjects),
            method=self.settings.method,
            seed=self.settings.seed,
            steps=self.steps,
        )
