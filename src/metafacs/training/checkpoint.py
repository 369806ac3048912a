"""Checkpoints in safetensors, never pickles: the detector others use, and the state a killed run goes on from."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from metafacs import __version__
from metafacs.cards import check_aus, read_card
from metafacs.errors import InputError
from metafacs.models.network import FORMS, SCRATCH, Network, build_network
from metafacs.tensorfile import HEADER, read_tensors, write_tensors

FORMAT = 1
_NETWORK = "network"


@dataclass
class DetectorCard:
    """All that is needed to use a detector, beside its weights.

    Attributes:
        aus: AU columns in the order of the network's outputs.
        thresholds: probability from which each AU is called present.
        expressions: in the order of the expression head.
        backbone: timm name.
        backbone_options: further arguments of the backbone.
        side: of the square image the network sees, pixels, cut from the middle of `resize`.
        resize: side that the aligned face is resized to first, pixels.
        crop: how the faces of the training data were aligned and cut out.
        dataset: name of the AU data.
        test_fold: fold that never trained.
        test_subjects: subjects that never trained.
        method: name of the method.
        seed: of the run.
        steps: training steps taken.
        cautions: why people of the test fold may have trained all the same; one sentence each.
        tool_version: of metafacs.
    """

    aus: list[str]
    thresholds: list[float]
    expressions: list[str]
    backbone: str
    backbone_options: dict[str, Any]
    side: int
    resize: int
    crop: dict[str, Any]
    dataset: str
    test_fold: str
    test_subjects: list[str]
    method: str
    seed: int
    steps: int = 0
    cautions: list[str] = field(default_factory=list)
    tool_version: str = field(default=__version__)

    def check(self) -> None:
        """Refuses values that no detector can have.

        Raises:
            InputError: says which.
        """
        check_aus(self.aus)
        if len(self.thresholds) != len(self.aus) or not all(0 <= threshold <= 1 for threshold in self.thresholds):
            raise InputError(f"thresholds are {self.thresholds}; each of {len(self.aus)} AUs needs one in 0-1")
        if not 0 < self.side <= self.resize:
            raise InputError(f"side is {self.side} and resize is {self.resize}; side has to be in 1-{self.resize}")


def save_detector(path: Path, network: Network, card: DetectorCard) -> None:
    """Writes weights and card into one safetensors file, atomically.

    Beside the card stands the form of the network, unless it is plain: its name in `FORMS` and its facts.
    """
    tensors = {f"network.{name}": _plain(value) for name, value in network.state_dict().items()}
    form = {_NETWORK: {"form": network.form, "facts": network.facts()}} if network.form != Network.form else {}
    _save(path, tensors, {**asdict(card), **form})


def load_detector(path: Path) -> tuple[Network, DetectorCard]:
    """The network, in evaluation mode on the CPU, and its card.

    Raises:
        InputError: no such file, not a metafacs detector, damaged, of a later version, or with weights or entries of
            the card that no detector can have.
    """
    header, tensors = _read(path)
    form = header.pop(_NETWORK, {"form": Network.form, "facts": {}})
    try:
        card = read_card(DetectorCard, header)
        card.check()
    except InputError as error:
        raise InputError(f"{path} is not a metafacs detector: its card does not fit ({error})") from error
    try:
        network = build_network(card.backbone, len(card.aus), len(card.expressions), SCRATCH, card.backbone_options)
        network = FORMS[form["form"]].around(network, **form["facts"])
    except (InputError, TypeError, ValueError, KeyError) as error:
        raise InputError(f"{path} holds a network that this version cannot build: {error}") from error
    _load_module(network, {name.removeprefix("network."): value for name, value in tensors.items()}, path)
    if not all_finite({"network": network}):
        raise InputError(f"{path} holds weights that are not finite numbers; train again, or take an earlier detector")
    return network.eval(), card


def save_state(path: Path, step: int, modules: Mapping[str, nn.Module], optimisers: Mapping[str, Optimizer]) -> None:
    """Writes everything a run needs to go on after `step` steps, atomically."""
    tensors: dict[str, Tensor] = {}
    for name, module in modules.items():
        tensors |= {f"module.{name}.{key}": _plain(value) for key, value in module.state_dict().items()}
    trees = {name: _flatten(o.state_dict(), f"optimiser.{name}", tensors) for name, o in optimisers.items()}
    _save(path, tensors, {"step": step, "optimisers": trees})


def load_state(path: Path, modules: Mapping[str, nn.Module], optimisers: Mapping[str, Optimizer]) -> int:
    """Restores what `save_state` wrote; returns the number of steps taken.

    Raises:
        InputError: damaged, of a later version, or of another network or method.
    """
    header, tensors = _read(path)
    trees = header.get("optimisers", {})
    if set(trees) != set(optimisers):
        raise InputError(f"{path} belongs to another method; choose another run folder")
    for name, module in modules.items():
        prefix = f"module.{name}."
        own = {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
        _load_module(module, own, path)
    for name, optimiser in optimisers.items():
        try:
            optimiser.load_state_dict(_unflatten(trees[name], tensors))
        except (KeyError, ValueError) as error:
            raise InputError(f"the state of the optimiser '{name}' in {path} does not fit: {error}") from error
    if not all_finite(modules):
        raise InputError(f"{path} holds weights that are not finite numbers; remove it and train again")
    return int(header["step"])


def _plain(value: Tensor) -> Tensor:
    return value.detach().cpu().contiguous()


def _save(path: Path, tensors: dict[str, Tensor], header: Mapping[str, Any]) -> None:
    write_tensors(path, tensors, {"format": FORMAT, "tool_version": __version__, **header})


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """What metafacs wrote about the file, and its tensors."""
    if not path.is_file():
        raise InputError(f"{path} does not exist; give a run folder whose training has finished")
    header, tensors = read_tensors(path)
    if "format" not in header:
        raise InputError(f"{path} was not written by metafacs: it has no '{HEADER}' entry")
    version = header.pop("format")
    if version != FORMAT:
        raise InputError(
            f"{path} was written by another version of metafacs ({header.get('tool_version', 'unknown')}, format "
            f"{version}); this is {__version__}, which reads format {FORMAT}: install the version that wrote it, or a "
            "later one"
        )
    return header, tensors


def _load_module(module: nn.Module, tensors: Mapping[str, Tensor], path: Path) -> None:
    try:
        module.load_state_dict(tensors)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise InputError(f"the weights in {path} do not fit the network: {reason}") from error


def _flatten(tree: Any, prefix: str, tensors: dict[str, Tensor]) -> Any:
    """`tree` as JSON values; tensors move to `tensors` and leave their key behind."""
    if isinstance(tree, Tensor):
        tensors[prefix] = tree.detach().cpu().clone().contiguous()
        return {"tensor": prefix}
    if isinstance(tree, dict):
        pairs = [[key, _flatten(value, f"{prefix}.{key}", tensors)] for key, value in tree.items()]
        return {"pairs": pairs}
    if isinstance(tree, list | tuple):
        return [_flatten(value, f"{prefix}.{k}", tensors) for k, value in enumerate(tree)]
    if tree is None or isinstance(tree, bool | int | float | str):
        return tree
    raise TypeError(f"{prefix}: cannot be saved without a pickle: {type(tree)}")


def _unflatten(tree: Any, tensors: Mapping[str, Tensor]) -> Any:
    if isinstance(tree, list):
        return [_unflatten(value, tensors) for value in tree]
    if isinstance(tree, dict):
        if "tensor" in tree:
            return tensors[tree["tensor"]]
        return {key: _unflatten(value, tensors) for key, value in tree["pairs"]}
    return tree


def all_finite(modules: Mapping[str, nn.Module]) -> bool:
    """Whether every parameter and buffer is a finite number."""
    values = [v for m in modules.values() for v in m.state_dict().values() if v.is_floating_point()]
    return bool(torch.stack([v.isfinite().all() for v in values]).all())
