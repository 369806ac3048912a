"""The grid of an experiment: every method on every fold from every seed, each a run folder."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from metafacs.errors import InputError
from metafacs.experiments.jobs import Job
from metafacs.files import read_yaml, write_text
from metafacs.methods import METHODS

SETTINGS = "grid.yaml"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*")


@dataclass(frozen=True)
class Variant:
    """One row of the table: a method with options of its own.

    Attributes:
        label: how the table names it.
        method: the registered method.
        options: flags of `metafacs train` without dashes, such as {"mal.alpha": "0.01"}.
    """

    label: str
    method: str
    options: Mapping[str, str]

    @property
    def flags(self) -> list[str]:
        """The flags of `metafacs train` that make a run this variant."""
        own = [text for name, value in self.options.items() for text in (f"--{name}", value)]
        label = [] if self.label == self.method else ["--label", self.label]
        return ["--method", self.method, *label, *own]


def read_variants(text: str) -> list[Variant]:
    """Variants from "mal,mtl,stl", or with options: "mal,gentle=mal:alpha=0.01;optimiser.learning_rate=1e-4".

    An option without a dot belongs to the method.

    Raises:
        InputError: an unknown method, a strange or doubled label, or an option that is no name=value.

    Example:
        >>> read_variants("mtl,gentle=mal:alpha=0.01")[1]
        Variant(label='gentle', method='mal', options={'mal.alpha': '0.01'})
    """
    variants = [_variant(part.strip()) for part in text.split(",") if part.strip()]
    labels = [variant.label for variant in variants]
    twice = sorted({label for label in labels if labels.count(label) > 1})
    if twice or not variants:
        found = f"{', '.join(twice)} comes twice" if twice else "no method was named"
        raise InputError(f"--methods {text!r}: {found}; give variants of a method a name, as in gentle=mal:alpha=0.01")
    return variants


def _variant(text: str) -> Variant:
    head, _, tail = text.partition(":")
    label, equals, method = head.partition("=")
    method = method if equals else label
    METHODS[method]  # an unknown one is an error that lists the known
    if not _NAME.fullmatch(label):
        raise InputError(f"--methods: '{label}' cannot name a run; use letters, digits, dots, dashes, underscores")
    if tail and not equals:
        raise InputError(f"--methods: '{text}' has options but no name of its own; write NAME={text}")
    options = {}
    for option in filter(None, tail.split(";")):
        name, equals, value = option.partition("=")
        if not equals or not name.strip():
            raise InputError(f"--methods: '{option}' in '{text}' is no option; write name=value")
        name = name.strip()
        options[name if "." in name else f"{method}.{name}"] = value.strip()
    return Variant(label, method, options)


def read_list(text: str, what: str) -> list[str]:
    """The entries of a comma-separated list.

    Raises:
        InputError: it is empty or names one twice.
    """
    entries = [entry.strip() for entry in text.split(",") if entry.strip()]
    if not entries or len(set(entries)) < len(entries):
        raise InputError(f"{what} {text!r}: give a comma-separated list that names each once")
    return entries


def read_seeds(text: str) -> list[int]:
    """Seeds from "0,1,2".

    Raises:
        InputError: one is no whole number from 0 on.
    """
    entries = read_list(text, "--seeds")
    wrong = [entry for entry in entries if not entry.isdecimal()]
    if wrong:
        raise InputError(f"--seeds: '{wrong[0]}' is no seed; give whole numbers from 0 on, such as 0,1,2")
    return [int(entry) for entry in entries]


def cells(
    out: Path, variants: Sequence[Variant], folds: Sequence[str], seeds: Sequence[int], steps: Mapping[str, int]
) -> list[Job]:
    """The runs of the grid, a seed and a fold after the other, so that whole rows of the table are done early.

    Args:
        out: folder of the grid.
        variants: the methods.
        folds: test folds.
        seeds: seeds.
        steps: how many steps a run on each fold takes.
    """
    return [
        Job(
            name := f"{variant.label}_{fold}_seed{seed}",
            out / "runs" / name,
            ["--config", str(out / SETTINGS), *variant.flags, "--data.test_fold", fold, "--seed", str(seed)],
            steps[fold],
        )
        for seed in seeds
        for fold in folds
        for variant in variants
    ]


def keep_settings(out: Path, settings: Mapping[str, object]) -> None:
    """Writes what all cells share to `out`, or checks that it is what is there.

    Raises:
        InputError: `out` holds the grid of other settings.
    """
    path, text = out / SETTINGS, yaml.safe_dump(dict(settings), sort_keys=True)
    if path.exists() and path.read_text(encoding="utf-8") != text:
        before, now = read_yaml(path), yaml.safe_load(text)
        other = [key for key in dict.fromkeys([*before, *now]) if before.get(key) != now.get(key)]
        shown = "; ".join(f"{key}: {before.get(key)} there, {now.get(key)} now" for key in other[:3])
        raise InputError(f"{out} holds a grid of other settings ({shown}); use those, or choose another --out")
    if not path.exists():
        write_text(path, text)
