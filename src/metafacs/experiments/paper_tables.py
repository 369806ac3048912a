"""Tables I to III of the MAL paper as grids: which variants make their rows, and what is printed of them."""

import json
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

TABLES = ("I", "II", "III")


@cache
def _content() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(files(__package__).joinpath("paper_tables.yaml").read_text("utf-8"))
    return content


def dataset_of(table: str) -> str:
    """The dataset that a table is of: "bp4d", "disfa" or "gft"."""
    return str(_content()["tables"][table]["paper"])


def table_variants(table: str, small: bool) -> list[list[str]]:
    """The flags of `metafacs train` that each row of a table adds to those of all.

    Args:
        table: "I", "II" or "III".
        small: networks and images small enough for a CPU.

    Example:
        >>> table_variants("III", False)[1]
        ['--data.aus', 'gft', '--method', 'stl', '--label', 'ResNet-50', '--network.backbone', 'resnet50']
    """
    content, variants = _content(), []
    for name in content["tables"][table]["rows"]:
        row = content["rows"][name]
        settings = row.get("settings", {})
        if small:
            settings = {**settings, **content["small"], **row["small"]}
        flags = ["--data.aus", dataset_of(table), "--method", row["method"], "--label", name]
        for key, value in settings.items():
            flags += [f"--{key}", value if isinstance(value, str) else json.dumps(value)]
        variants.append(flags)
    return variants


def printed(table: str) -> dict[str, tuple[str, str]]:
    """Of each row: the paper's row to print beside it, and why the two do not compare, if they do not."""
    content, rows = _content(), {}
    for name in content["tables"][table]["rows"]:
        row = content["rows"][name]
        notes = [row["note"]] if "note" in row else []
        if table == "II" and row.get("starts_from_bp4d"):
            notes.append("the paper's starts from a BP4D model")
        rows[name] = (row.get("printed", name), ", ".join(notes))
    return rows | {name: (name, f"left out: {why}") for name, why in content["left_out"].items()}
