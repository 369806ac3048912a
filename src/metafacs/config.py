"""Typed settings of the commands: one source for YAML keys, flags and their help."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from jsonargparse.typing import ClosedUnitInterval, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt


@dataclass
class DataConfig:
    """What to train on.

    Attributes:
        primary: prepared AU dataset (folder).
        auxiliary: prepared expression dataset (folder), for methods that use one.
        test_fold: fold that is kept for the test and never seen in training.
        aus: AUs to train: a set ("bp4d", "disfa", "gft"), a list such as "1,2,4,12", or all of the dataset's.
        reserve_fraction: share of every training subject's AU images kept for the meta loss and for validation.
        reserve_minimum: images wanted in that reserve on small data.
        reserve_people: share of the training people to reserve whole instead (at least two), so that the meta loss and
            validation speak of people nobody trains on; 0 reserves images of everybody, as in the paper.
        resize: side the faces are resized to, pixels.
        side: side of the random crop that the network sees, pixels.
        augment: what is done to training images beside resizing: "crops" (random crops, mirrored or not, as in the
            paper) or "photographic" (light, colour, sharpness, noise, tilt and covered parts too, for detectors that
            are to meet other pictures than those they were trained on).
        batch_primary: AU images a step.
        batch_auxiliary: expression images a step.
        batch_meta: reserved AU images a step.
        workers: processes that decode images where they do not fit into the cache.
        cache_gib: decoded images are kept in memory, the smallest stream first, as far as they fit into this, GiB; for
            all processes of a machine together.
        device_cache_gib: the same on each process's GPU, which is tried first, GiB; where not given, a quarter of the
            GPU's free memory.
    """

    primary: Path
    auxiliary: Path | None = None
    test_fold: str = "P1"
    aus: str = "all"
    reserve_fraction: float = 0.02
    reserve_minimum: NonNegativeInt = 128
    reserve_people: ClosedUnitInterval = 0.0
    resize: PositiveInt = 248
    side: PositiveInt = 224
    augment: Literal["crops", "photographic"] = "crops"
    batch_primary: PositiveInt = 64
    batch_auxiliary: PositiveInt = 64
    batch_meta: PositiveInt = 256
    workers: NonNegativeInt = 2
    cache_gib: NonNegativeFloat = 2.0
    device_cache_gib: NonNegativeFloat | None = None


@dataclass
class NetworkConfig:
    """The base network.

    Attributes:
        backbone: any timm model name.
        weights: "pretrained" (timm's), "scratch" (random), or a safetensors file.
        options: further arguments of the timm model, such as {drop_path_rate: 0.1}.
    """

    backbone: str = "resnet34"
    weights: str = "pretrained"
    options: dict[str, Any] = field(default_factory=dict)


@dataclass
class OptimiserConfig:
    """How the base network is updated.

    Attributes:
        name: "adamw" or "sgd".
        learning_rate: highest learning rate (gamma).
        momentum: of SGD.
        weight_decay: of both.
        schedule: of the learning rate over the run.
        warmup: share of the run in which "constant" and "cosine" rise.
    """

    name: Literal["adamw", "sgd"] = "adamw"
    learning_rate: PositiveFloat = 3e-4
    momentum: ClosedUnitInterval = 0.9
    weight_decay: NonNegativeFloat = 1e-4
    schedule: Literal["constant", "cosine", "one-cycle"] = "cosine"
    warmup: ClosedUnitInterval = 0.05


@dataclass
class LoopConfig:
    """How long, how often, on what.

    Attributes:
        epochs: passes over the AU training images.
        steps: training steps; takes the place of `epochs` where given.
        log_every: steps between lines in metrics.jsonl.
        validate_every: steps between validations on the reserved images; 0 for ten in the run.
        save_every: steps between saves of the resumable state; 0 for ten in the run.
        precision: "no" (float32) or "bf16".
        device: "auto" takes the GPU where there is one.
        threads: CPU threads; 0 leaves the choice to torch.
        synchronise: with several processes, BatchNorm normalises by the images of all of them, as one process with the
            whole batch would; without it, each by its own share: less talk between them, another result.
        compile: send the network through `torch.compile`: minutes at the start for faster steps on some GPUs; on a CPU
            it gained nothing where it was measured. Needs a C++ compiler, on a GPU Triton.
    """

    epochs: PositiveFloat = 30.0
    steps: PositiveInt | None = None
    log_every: PositiveInt = 10
    validate_every: NonNegativeInt = 0
    save_every: NonNegativeInt = 0
    precision: Literal["no", "bf16"] = "no"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: NonNegativeInt = 0
    synchronise: bool = True
    compile: bool = False


@dataclass
class TrainConfig:
    """A training run.

    Attributes:
        out: run folder to make.
        data: what to train on.
        method: name of the method; its own options follow under its name.
        label: how tables name this run, where not by its method.
        network: the base network.
        optimiser: how it is updated.
        loop: how long, how often, on what.
        seed: of everything random.
    """

    out: Path
    data: DataConfig
    method: str = "mal"
    label: str | None = None
    network: NetworkConfig = field(default_factory=NetworkConfig)
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)
    loop: LoopConfig = field(default_factory=LoopConfig)
    seed: NonNegativeInt = 0
