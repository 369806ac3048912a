"""Checkpoints in safetensors, never pickles: the detector others use, and the state a killed run goes on from.

Every byte of them is covered by a SHA-256 that is checked whenever one is opened (`tensorfile.py`). A file with a right
digest may still be a stranger's, so nothing it says is trusted: the network is built without memory first, and with it
only when the tensors in the file have the very names and shapes that it needs.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook
from torch.optim import Optimizer

from metafacs import __version__
from metafacs.errors import InputError
from metafacs.models.network import FORMS, SCRATCH, Network, build_network
from metafacs.tensorfile import HEADER, damaged, read_contents, read_tensors, write_tensors
from metafacs.training.card_checks import check_card, shown

FORMAT = 1
_NETWORK = "network"
_SPARE_TENSORS = 200
"""Parameters that a backbone may make and throw away while it is built, such as a classifier's."""


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
    tool_version: str = field(default=__version__)


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
    header, shapes = _header(path)
    form = header.pop(_NETWORK, {"form": Network.form, "facts": {}})
    try:
        check_card(header)
        card = DetectorCard(**header)
        name, facts = form["form"], dict(form["facts"])
    except (TypeError, KeyError, ValueError) as error:
        raise InputError(f"{path} is not a metafacs detector: its card does not fit ({error})") from error
    with _at_most(len(shapes) + _SPARE_TENSORS):
        sketch = _sketch(card, name, facts, path) or _build(card, name, facts, path)
    _check_shapes(sketch, shapes, path)
    network = _build(card, name, facts, path)
    _load_module(network, {k.removeprefix("network."): v for k, v in read_tensors(path).items()}, path)
    if not all_finite({"network": network}):
        raise InputError(f"{path} holds weights that are not finite numbers; train again, or take an earlier detector")
    return network.eval(), card


def _sketch(card: DetectorCard, form: Any, facts: Mapping[str, Any], path: Path) -> Network | None:
    """The network without memory for its weights; None where the installed timm cannot do that.

    Older versions ask for the values of some tensors while they build, which have none then.
    """
    try:
        with torch.device("meta"):
            return _build(card, form, facts, path)
    except InputError as error:
        if "meta tensor" not in str(error):
            raise
        return None


def _build(card: DetectorCard, form: Any, facts: Mapping[str, Any], path: Path) -> Network:
    """The network that a card describes, with random weights."""
    try:
        network = build_network(card.backbone, len(card.aus), len(card.expressions), SCRATCH, card.backbone_options)
        return FORMS[form].around(network, **facts)
    except (InputError, TypeError, ValueError) as error:
        raise InputError(f"{path} holds a network that this version cannot build: {error}") from error


@contextmanager
def _at_most(parameters: int) -> Iterator[None]:
    """Networks that are built within may have so many parameters; a card could ask for a million layers."""
    made = 0

    def count(*registered: object) -> None:
        nonlocal made
        made += 1
        if made > parameters:
            raise InputError(f"it has more than {parameters} tensors, far more than the file")

    hook = register_module_parameter_registration_hook(count)
    try:
        yield
    finally:
        hook.remove()


def _check_shapes(network: Network, shapes: Mapping[str, tuple[int, ...]], path: Path) -> None:
    """Before anything of the sizes that a card names is put into memory."""
    wanted = {f"network.{name}": tuple(value.shape) for name, value in network.state_dict().items()}
    unlike = sorted(name for name in {*wanted, *shapes} if wanted.get(name) != shapes.get(name))
    if unlike:
        name = unlike[0]
        raise InputError(
            f"the weights in {path} do not fit the network: {len(unlike)} tensors are missing, of another shape or too "
            f"many, the first is {shown(name)} ({shown(shapes.get(name))}, expected {shown(wanted.get(name))})"
        )


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
    header, _ = _header(path)
    trees, step = header.get("optimisers", {}), header.get("step")
    if not isinstance(trees, dict) or set(trees) != set(optimisers):
        raise InputError(f"{path} belongs to another method; choose another run folder")
    if not isinstance(step, int) or step < 0:
        raise damaged(path, f"it is of step {shown(step)}")
    tensors = read_tensors(path)
    for name, module in modules.items():
        prefix = f"module.{name}."
        own = {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
        _load_module(module, own, path)
    for name, optimiser in optimisers.items():
        try:
            state = _unflatten(trees[name], tensors)
            _check_optimiser(state, optimiser)
            optimiser.load_state_dict(state)
        except (KeyError, TypeError, ValueError, AttributeError, IndexError, RecursionError) as error:
            said = ascii(str(error))[:200]
            raise InputError(f"the state of the optimiser '{name}' in {path} does not fit: {said}") from error
    if not all_finite(modules):
        raise InputError(f"{path} holds weights that are not finite numbers; remove it and train again")
    return step


def _check_optimiser(state: Any, optimiser: Optimizer) -> None:
    """torch looks at the number of parameters only; a wrong shape would fail in a step, or quietly broadcast."""
    parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    for place, entries in state["state"].items():
        for name, value in entries.items():
            if isinstance(value, Tensor) and value.ndim and value.shape != parameters[place].shape:
                raise ValueError(f"{name} of parameter {place} has another shape")


def _plain(value: Tensor) -> Tensor:
    return value.detach().cpu().contiguous()


def _save(path: Path, tensors: dict[str, Tensor], header: Mapping[str, Any]) -> None:
    write_tensors(path, tensors, {"format": FORMAT, "tool_version": __version__, **header})


def _header(path: Path) -> tuple[dict[str, Any], dict[str, tuple[int, ...]]]:
    """What metafacs wrote about the file, and the shapes of its tensors; its digest is checked."""
    if not path.is_file():
        raise InputError(f"{path} does not exist; give a run folder whose training has finished")
    contents = read_contents(path)
    header = contents.header
    if header is None or "format" not in header:
        raise InputError(f"{path} was not written by metafacs: it has no '{HEADER}' entry")
    found = header.pop("format")
    if found != FORMAT:
        writer = header.get("tool_version", "unknown")
        raise InputError(
            f"{path} was written by another version of metafacs ({shown(writer)}, format {shown(found)}); this is "
            f"{__version__}, which reads format {FORMAT}: install the version that wrote it, or a later one"
        )
    return header, contents.shapes


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
