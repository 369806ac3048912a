"""Typed settings of a training run: one source for Python, YAML keys, flags and their help."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from metafacs.errors import InputError

Kind = TypeVar("Kind")
Device = Literal["auto", "cpu", "cuda"]
Precision = Literal["no", "bf16"]
Schedule = Literal["constant", "cosine", "one-cycle"]
ANY = float("inf")


@dataclass
class DataConfig:
    """What to train on.

    Attributes:
        primary: prepared AU dataset (folder), or several: the union of their AUs, each image masked where its dataset
            has no label, people kept apart by dataset.
        auxiliary: prepared expression dataset (folder), or several, for methods that use one.
        mixing: images of several datasets in a batch: "size", as many of each as it is large, or "even".
        test_fold: fold that is kept for the test and never seen in training.
        aus: AUs to train: a set ("bp4d", "disfa", "gft"), a list such as "1,2,4,12", or all of the dataset's.
        reserve_fraction: share of every training subject's AU images kept for the meta loss and for validation.
        reserve_minimum: images wanted in that reserve on small data.
        reserve_people: share of the training people to reserve whole instead (at least two), so that the meta loss and
            validation speak of people nobody trains on; 0 reserves images of everybody, as in the paper, but whole
            people where there are at most two images a person.
        reserve_fold: name of a fold to reserve whole instead, where the meta loss is to speak of certain people: real
            ones, say, where most AU images are rendered.
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

    primary: list[Path] | Path
    auxiliary: list[Path] | Path | None = None
    mixing: Literal["size", "even"] = "size"
    test_fold: str = "P1"
    aus: str = "all"
    reserve_fraction: float = 0.02
    reserve_minimum: int = 128
    reserve_people: float = 0.0
    reserve_fold: str | None = None
    resize: int = 248
    side: int = 224
    augment: Literal["crops", "photographic"] = "crops"
    batch_primary: int = 64
    batch_auxiliary: int = 64
    batch_meta: int = 256
    workers: int = 2
    cache_gib: float = 2.0
    device_cache_gib: float | None = None

    def __post_init__(self) -> None:
        self.primary = _folders(self.primary)
        self.auxiliary = None if self.auxiliary is None else _folders(self.auxiliary)
        sizes = dict.fromkeys(("resize", "side", "batch_primary", "batch_auxiliary", "batch_meta"), 1)
        at_least = {**sizes, "reserve_minimum": 0, "workers": 0, "cache_gib": 0, "device_cache_gib": 0}
        _check("data", self, at_least, {"reserve_people": (0, 1)})


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

    def __post_init__(self) -> None:
        self.weights = str(self.weights)  # a path may come as one


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
    learning_rate: float = 3e-4
    momentum: float = 0.9
    weight_decay: float = 1e-4
    schedule: Schedule = "cosine"
    warmup: float = 0.05

    def __post_init__(self) -> None:
        _check("optimiser", self, {"weight_decay": 0}, {"momentum": (0, 1), "warmup": (0, 1)}, ["learning_rate"])


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

    epochs: float = 30.0
    steps: int | None = None
    log_every: int = 10
    validate_every: int = 0
    save_every: int = 0
    precision: Precision = "no"
    device: Device = "auto"
    threads: int = 0
    synchronise: bool = True
    compile: bool = False

    def __post_init__(self) -> None:
        at_least = {"steps": 1, "log_every": 1, "validate_every": 0, "save_every": 0, "threads": 0}
        _check("loop", self, at_least, positive=["epochs"])


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
        options: of the method, an instance of `METHODS[method].Options`; its defaults where not given.

    Raises:
        InputError: a number out of range, an unknown word or method, or the options of another method.
    """

    out: Path
    data: DataConfig
    method: str = "mal"
    label: str | None = None
    network: NetworkConfig = field(default_factory=NetworkConfig)
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)
    loop: LoopConfig = field(default_factory=LoopConfig)
    seed: int = 0
    options: Any = None  # filled in below; its type, as all of the methods, needs PyTorch

    def __post_init__(self) -> None:
        from metafacs.methods import METHODS  # here: the flags' help does without PyTorch

        self.out = Path(self.out)
        kind = METHODS[self.method].Options
        self.options = kind() if self.options is None else self.options
        if type(self.options) is not kind:
            raise InputError(f"the method {self.method} takes {kind.__name__}, not {type(self.options).__name__}")
        _check("", self, {}, {"seed": (0, 2**63 - 1)})

    @classmethod
    def read(cls, values: Mapping[str, Any], out: Path) -> "TrainConfig":
        """The configuration that `values` gave, or was read from flags or YAML.

        Args:
            values: plain ones, laid out as in a run's `config.yaml`: a method's options under its name. What this
                version does not know is left out: runs of other versions can be opened.
            out: the run folder.

        Raises:
            InputError: they are not a configuration, or one that `TrainConfig` refuses.
        """
        from metafacs.methods import METHODS

        try:
            method = values.get("method", cls.method)
            parts = {
                "data": _of(DataConfig, values["data"]),
                "network": _of(NetworkConfig, values.get("network", {})),
                "optimiser": _of(OptimiserConfig, values.get("optimiser", {})),
                "loop": _of(LoopConfig, values.get("loop", {})),
                "options": _of(METHODS[method].Options, values.get(method, {})),
            }
            return _of(cls, {**values, **parts, "out": out})
        except (TypeError, KeyError, AttributeError) as error:
            raise InputError(f"the configuration of {out} cannot be read: {error!r}") from error

    def values(self) -> dict[str, Any]:
        """All but `out` as plain values, laid out as in a run's `config.yaml`."""
        tree = {name: value for name, value in asdict(self).items() if name not in ("out", "options")}
        for name in ("primary", "auxiliary"):
            folders = tree["data"][name]
            tree["data"][name] = [*map(str, folders)] if isinstance(folders, list) else folders and str(folders)
        return {**tree, self.method: asdict(self.options)}

    def defaults(self) -> dict[str, Any]:
        """`values` with every default: what runs of earlier versions had of settings that they did not know."""
        return TrainConfig(self.out, DataConfig(self.data.primary), self.method).values()


def _folders(given: Any) -> list[Path] | Path:
    """One folder, or several."""
    several = [Path(folder) for folder in given] if isinstance(given, list | tuple) else [Path(given)]
    return several if len(several) > 1 else several[0]


def _of(kind: type[Kind], values: Mapping[str, Any]) -> Kind:
    """A dataclass of those of the values that it knows."""
    return kind(**{entry.name: values[entry.name] for entry in fields(kind) if entry.name in values})  # type: ignore[arg-type]


def _check(
    part: str,
    config: object,
    at_least: Mapping[str, float],
    within: Mapping[str, tuple[float, float]] = {},
    positive: Sequence[str] = (),
) -> None:
    """Refuses numbers out of their range, and words that are not among those of a `Literal`."""
    prefix = f"--{part}." if part else "--"
    ranges = {**{name: (low, ANY) for name, low in at_least.items()}, **within, **dict.fromkeys(positive, (0, ANY))}
    for name, (low, high) in ranges.items():
        value = getattr(config, name)
        if value is not None and (not low <= value <= high or (name in positive and value == 0)):
            expected = "more than 0" if name in positive else f"in {low}-{high}" if high < ANY else f"at least {low}"
            raise InputError(f"{prefix}{name} is {value}; it has to be {expected}")
    for name, kind in get_type_hints(type(config)).items():
        known, value = get_args(kind), getattr(config, name)
        if get_origin(kind) is Literal and value not in known:
            raise InputError(f"{prefix}{name} is {value!r}; it has to be one of {', '.join(map(repr, known))}")
