"""The run folder: what ran, where, how it went, and whether it is done."""

import json
import platform
import resource
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import yaml

from metafacs import __version__
from metafacs.errors import InputError
from metafacs.files import LOCK, flat, lock, make_folder, read_yaml, write_text

if TYPE_CHECKING:
    import torch

CONFIG, ENVIRONMENT, METRICS, DONE = "config.yaml", "environment.json", "metrics.jsonl", "done"
DETECTOR, STATE = "detector.safetensors", "state.safetensors"
SAMPLE_WEIGHTS, TENSORBOARD = "sample_weights.parquet", "tensorboard"
_ENDED = "it has come to its end"
_PACKAGES = ("torch", "torchvision", "timm", "numpy", "pyarrow", "safetensors")


class RunFolder:
    """One training run on disk; only one process writes it at a time.

    Args:
        path: the folder; made if it does not exist.
        config: what is to run, JSON values.
        resume: go on with an unfinished run of the same configuration, if there is one, or with a finished one for more
            steps.
        fixed: why a finished run of this kind cannot take more steps; "" where it can. Then its state is kept.
        defaults: of settings that an earlier version, which began the run, did not know.

    Raises:
        InputError: the run is done, is unfinished and `resume` is off, has another configuration, is being written
            by another process, or the folder holds something else.
    """

    def __init__(
        self,
        path: Path,
        config: Mapping[str, Any],
        resume: bool = False,
        fixed: str = _ENDED,
        defaults: Mapping[str, Any] = {},
    ) -> None:
        self.path, self.fixed = path, fixed
        check_run(path, config, resume, fixed, defaults)
        make_folder(path)
        self._lock = _locked(path)
        prolonged = (path / DONE).exists()
        if prolonged:
            _check_longer(path, config, resume, fixed, defaults)  # another process may just have finished it
            # What the shorter run ended with must not be taken for the longer one's.
            for name in ("predictions.parquet", "cross_*.parquet", SAMPLE_WEIGHTS, DETECTOR):
                for file in path.glob(name):
                    file.unlink()
        if prolonged or not (path / CONFIG).exists():
            write_text(path / CONFIG, yaml.safe_dump(dict(config), sort_keys=False))
        if prolonged:
            (path / DONE).unlink()
        write_text(path / ENVIRONMENT, json.dumps(environment(), indent=2) + "\n")
        self._metrics: IO[str] | None = None

    @property
    def state(self) -> Path:
        """The resumable state."""
        return self.path / STATE

    def start_metrics(self, step: int) -> None:
        """Opens `metrics.jsonl` for appending; lines from after `step` (written, then lost in a kill) are dropped."""
        path = self.path / METRICS
        kept = [line for line in _lines(path) if _step(line, path) <= step]
        write_text(path, "".join(f"{line}\n" for line in kept))
        self._metrics = path.open("a", encoding="utf-8")

    def log(self, event: str, step: int, values: Mapping[str, float]) -> None:
        """Appends one line to `metrics.jsonl`; numbers that are not finite become null."""
        assert self._metrics is not None, "start_metrics first"
        clean = {k: v if isinstance(v, str) or (v == v and abs(v) != float("inf")) else None for k, v in values.items()}
        self._metrics.write(json.dumps({"event": event, "step": step, **clean}) + "\n")
        self._metrics.flush()

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Marks the run as done; the resumable state goes, unless the run can be prolonged."""
        write_text(self.path / DONE, json.dumps({"finished": time.strftime("%Y-%m-%dT%H:%M:%S"), **summary}) + "\n")
        if self.fixed:
            self.state.unlink(missing_ok=True)
        self.close()

    def close(self) -> None:
        """Closes the log and gives the folder free."""
        if self._metrics:
            self._metrics.close()
        self._lock.close()


def check_run(
    path: Path, config: Mapping[str, Any], resume: bool = False, fixed: str = _ENDED, defaults: Mapping[str, Any] = {}
) -> None:
    """Whether a `RunFolder` can be made of these; nothing is written.

    Raises:
        InputError: as `RunFolder` does.
    """
    if (path.exists() or path.is_symlink()) and not path.is_dir():
        raise InputError(f"{path} is not a folder; choose another --out")
    done = (path / DONE).exists()
    if done:
        _check_longer(path, config, resume, fixed, defaults)
    if not (path / CONFIG).exists():
        if path.exists() and any(p for p in path.iterdir() if not p.name.startswith(".")):
            raise InputError(f"{path} is not empty and holds no run; choose another --out")
        return
    if (path / LOCK).exists():
        _locked(path).close()
    if not resume:
        raise InputError(f"{path} holds an unfinished run; add --resume to go on with it, or choose another --out")
    if not done:
        check_settings(path, config, defaults)


def _check_longer(path: Path, config: Mapping[str, Any], resume: bool, fixed: str, defaults: Mapping[str, Any]) -> None:
    """Refuses what is not the finished run in folder `path`, for more steps than it took."""
    try:
        taken = int(json.loads((path / DONE).read_text(encoding="utf-8"))["steps"])
    except (ValueError, KeyError, TypeError, OSError):
        taken, fixed = 0, _ENDED
    steps = (config.get("loop") or {}).get("steps")
    if not resume or not steps or steps <= taken:
        longer = "" if fixed else f" (--resume --loop.steps MORE prolongs it; it took {taken:,} steps)"
        action = "choose another --out, or remove the folder to run it again"
        raise InputError(f"the run in {path} is done; {action}{longer}")
    if fixed or not (path / STATE).is_file():
        reason = fixed or f"its {STATE} is gone"
        raise InputError(f"the run in {path} is done, and cannot be prolonged: {reason}; choose another --out")
    check_settings(path, config, defaults, ("loop.steps", "loop.epochs"))


def check_settings(
    path: Path, config: Mapping[str, Any], defaults: Mapping[str, Any] = {}, free: Sequence[str] = ()
) -> None:
    """Whether the run in folder `path` is of this configuration, apart from settings that are `free`.

    Raises:
        InputError: it has other settings.
    """
    before, now = flat(read_config(path)), flat(config)
    before = {**{key: value for key, value in flat(defaults).items() if key in now}, **before}
    different = [key for key in dict.fromkeys([*before, *now]) if before.get(key) != now.get(key) and key not in free]
    if different:
        shown = "; ".join(f"{key}: {before.get(key)} there, {now.get(key)} now" for key in different[:3])
        raise InputError(f"{path} holds a run with other settings ({shown}); use those, or choose another --out")


def _locked(path: Path) -> ExitStack:
    """The lock of the run folder, held until it is closed or its process ends."""
    return lock(path / LOCK, f"another process is training in {path}; wait for it or choose another --out")


def read_config(run: Path) -> dict[str, Any]:
    """The configuration of the run in folder `run`.

    Raises:
        InputError: there is none, or it is not a YAML mapping.
    """
    path = run / CONFIG
    if not path.is_file():
        raise InputError(f"{run} is not a run folder: it has no {CONFIG}")
    config = read_yaml(path)
    if not isinstance(config, dict):
        raise InputError(f"{path} is not a configuration: a mapping was expected, found {type(config).__name__}")
    return config


def data_folders(run: Path, named: str | Sequence[str]) -> list[Path]:
    """Where datasets of the run in folder `run` are: from here, or from one of the folders around the run."""
    folders = []
    for folder in [named] if isinstance(named, str) else named:
        places = (around / folder for around in (Path(), *run.resolve().parents))
        folders.append(next((place for place in places if place.is_dir()), Path(folder)))
    return folders


def environment() -> dict[str, Any]:
    """Versions and hardware that a run depends on; nothing that names a person or a machine."""

    import torch  # where it is needed: this module is also read for the names of files, before flags are

    def of(package: str) -> str | None:
        try:
            return version(package)
        except PackageNotFoundError:
            return None

    return {
        "metafacs": __version__,
        "python": sys.version.split()[0],
        "platform": f"{platform.system()} {platform.machine()}",
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        **{package: of(package) for package in _PACKAGES},
    }


def weight_history(run: Path) -> "torch.Tensor":
    """The mean weights of both tasks in every step of a run, (steps, 2): of AU and of expression images.

    Steps between two lines of the log share the mean of that line.

    Raises:
        InputError: it is not a finished run, or one that logs no weights.
    """
    if not (run / DONE).exists():
        raise InputError(f"{run} is not a finished run, so there are no weights to replay; give one of MAL")
    path, history = run / METRICS, list[tuple[float, float]]()
    for line in _lines(path):
        step, record = _step(line, path), json.loads(line)
        if record["event"] == "train" and "weight_auxiliary" in record:
            weights = record["weight_primary"], record["weight_auxiliary"]
            history += [weights] * (step - len(history))
    if not history:
        raise InputError(f"{run} has logged no weights of the tasks; replay a run of MAL")
    import torch

    return torch.tensor(history, dtype=torch.float64)


def peak_memory(device: "torch.device") -> float:
    """The most memory that this process has had so far, MiB: on the GPU where it trains there, else in RAM."""
    if device.type == "cuda":
        import torch

        return torch.cuda.max_memory_allocated(device) / 2**20
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def _lines(path: Path) -> list[str]:
    """Whole lines of a log that may end in the middle of one."""
    if not path.exists():
        return []
    text = path.read_text(encoding="utf-8")
    return text.split("\n")[:-1]


def _step(line: str, path: Path) -> int:
    """The step that a line of the log is about."""
    try:
        return int(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} has a damaged line ({line[:40]!r}); remove that line and go on") from error
