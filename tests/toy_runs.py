"""Tiny training runs through the command line, and what they leave behind."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from metafacs.cli import main
from metafacs.data.prepared import DatasetCard, PreparedDataset, PreparedWriter
from metafacs.runs import DETECTOR

STEPS = 12
BACKBONE = "test_efficientnet"
"""A small timm model with BatchNorm, dropout and drop path."""
SMALL_RESNET = {"layers": [2, 2, 2, 2], "channels": [8, 8, 8, 16], "stem_width": 8}
"""Options that make timm's `test_resnet` smaller, with two blocks in every stage."""

SMALL_DRML = {"img_size": 32, "kernels": [5, 3, 3, 3, 3], "width": 8, "grid": 4, "hidden": [32, 16]}
SMALL: Mapping[str | None, tuple[str, dict[str, Any]]] = {
    None: (BACKBONE, {"drop_path_rate": 0.2}),
    "resnet": ("test_resnet", {"drop_path_rate": 0.2, **SMALL_RESNET}),
    "vgg16": ("metafacs_vgg", {"depth": 16, "width": 2, "mlp_ratio": 1 / 128}),
    "vgg19": ("metafacs_vgg", {"width": 2, "mlp_ratio": 1 / 128}),
    "metafacs_jaa": ("metafacs_jaa", {"img_size": 32, "units": 2}),
    "metafacs_tcae": ("metafacs_tcae", {"img_size": 32, "width": 16}),
}
"""For what a method needs (`Method.needs`), the smallest backbone that will do, and its options."""

FLAGS: Mapping[str, object] = {
    "method": "mal",
    "network.backbone": BACKBONE,
    "network.weights": "scratch",
    "network.options": "{drop_path_rate: 0.2, drop_rate: 0.2}",
    "data.resize": 36,
    "data.side": 32,
    "data.batch_primary": 6,
    "data.batch_auxiliary": 6,
    "data.batch_meta": 4,
    "data.reserve_minimum": 16,
    "loop.steps": STEPS,
    "loop.device": "cpu",
    "loop.threads": 1,
    "loop.log_every": 3,
    "loop.validate_every": 5,
    "loop.save_every": 4,
}


def flags(out: Path, primary: Path, auxiliary: Path | None, **changes: object) -> list[str]:
    """`train` and its flags; in `changes` two underscores stand for a dot, None leaves a flag out."""
    settings = {"out": out, "data.primary": primary, "data.auxiliary": auxiliary, **FLAGS}
    settings |= {name.replace("__", "."): value for name, value in changes.items()}
    return ["train", *(text for k, v in settings.items() if v is not None for text in (f"--{k}", str(v)))]


def metafacs(*arguments: object) -> int:
    """The exit status of `metafacs ARGUMENTS`, run in this process."""
    threads = torch.get_num_threads()
    try:
        return main([str(argument) for argument in arguments])
    except SystemExit as exit:
        return int(exit.code or 0)
    finally:
        torch.set_num_threads(threads)


def parameters(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / DETECTOR)


def same_parameters(one: Path, other: Path) -> bool:
    """Whether two runs ended with the same detector to the last bit."""
    a, b = parameters(one), parameters(other)
    assert a.keys() == b.keys()
    return all(torch.equal(a[name], b[name]) for name in a)


def logged_steps(run: Path, event: str) -> list[int]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [line["step"] for line in lines if line["event"] == event]


def leftovers(folder: Path) -> list[Path]:
    """Half-written files."""
    return [p for p in folder.rglob("*") if ".partial" in p.name or p.name.startswith(".tmp")]


def rewrite(
    dataset: PreparedDataset,
    folder: Path,
    change: Callable[[int, dict[str, Any]], Any],
    truths: dict[str, str] | None = None,
) -> PreparedDataset:
    """A copy of a dataset in which `change` has altered rows (it gets row number and row; the image as bytes).

    `truths` are columns of truth, with their types, that the copy has and the dataset has not.
    """
    rows = dataset.table.to_pylist()
    for number, row in enumerate(rows):
        row["image"] = row["image"]["bytes"]
        change(number, row)
    names = ("name", "source", "licence", "aus", "expressions", "crop", "truths")
    card = DatasetCard(**{name: getattr(dataset.card, name) for name in names})
    card.truths = {**card.truths, **(truths or {})}
    writer = PreparedWriter(folder, card, dict(dataset.card.settings))
    writer.write_part(0, rows)
    return writer.finish(1)
