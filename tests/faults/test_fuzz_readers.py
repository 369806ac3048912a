"""Raw trees with damage done to them: each reader gives a well-formed listing with the labels of every line that was
left alone, or an error for people that says where; never anything else, and never no answer."""

import os
import random
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from metafacs.datasets import DATASETS, Listing
from metafacs.errors import InputError
from tests.datasets.test_datasets import check
from tests.datasets.trees import JPEG
from tests.faults.raw_trees import ALL, TREES, Tree, tag
from tests.strategies import changed_lines, damaged, hostile_cell, lines_of

SHORT, LONG = 20, 2000
"""Damaged trees of each layout."""
SECONDS = 10.0
"""Within these a reader of a miniature has to answer."""
LABEL_ENDINGS = frozenset({".csv", ".tsv", ".txt", ".npy"})
SKIPPING = ("ckplus",)
"""Readers that leave a damaged label file out and say so."""
Undo = Callable[[], object]


class HangError(Exception):
    """No answer in time."""


@contextmanager
def deadline(seconds: float = SECONDS) -> Iterator[None]:
    def late(number: int, frame: object) -> None:
        raise HangError(f"no answer within {seconds:g} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("count", [SHORT, pytest.param(LONG, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", TREES)
def test_a_damaged_tree_is_read_rightly_or_refused(name: str, count: int, tmp_path: Path) -> None:
    tree, raw = TREES[name], tmp_path / "raw"
    raw.mkdir()
    options = tree.write(raw)
    whole = read(tree, raw, options)
    files = sorted(path for path in raw.rglob("*") if path.is_file())
    labels = [path for path in files if path.suffix in LABEL_ENDINGS]
    for number in range(count):
        rng = random.Random(f"{name} {number}")
        if labels and rng.random() < 0.85:
            path = rng.choice(labels)
            told, touched, undo = damage_file(tree, raw, path, rng)
        else:
            path = rng.choice(files)
            told, touched, undo = damage_tree(raw, path, rng)
        try:
            one_input(tree, raw, options, path, whole, touched)
        except Exception as error:
            raise AssertionError(f"{name}, input {number}: {path.relative_to(raw)}: {told}") from error
        finally:
            undo()
    pd.testing.assert_frame_equal(read(tree, raw, options).rows, whole.rows)


def one_input(tree: Tree, raw: Path, options: Any, path: Path, whole: Listing, touched: tuple[set[str], bool]) -> None:
    try:
        with deadline():
            found = read(tree, raw, options)
    except InputError as error:
        assert path.name in str(error) or str(raw) in str(error), f"does not say where: {error}"
        return
    # A picture that is none is found out when it is opened, not here.
    whole_ones = found.rows[found.rows["image"] != path.relative_to(raw).as_posix()].reset_index(drop=True)
    if len(whole_ones):
        check(replace(found, rows=whole_ones), raw)
    prefixes, may_lack = touched
    now, before = labels_of(found.rows), labels_of(whole.rows)
    for key, label in before.items():
        if key.startswith(tuple(prefixes)):
            continue
        assert may_lack or key in now, f"{key} is gone, though its line was left alone"
        assert now.get(key, label) == label, f"{key} is {now[key]} instead of {label}, though its line was left alone"
    one_label_a_picture(found.rows)


def read(tree: Tree, raw: Path, options: Any) -> Listing:
    return DATASETS[tree.reader](**options).read(raw)


def labels_of(rows: pd.DataFrame) -> dict[str, str]:
    """Everything about each row as text, so that missing values are equal."""
    return {tag(row): str(tuple(row)[1:]) for row in rows.itertuples()}


def one_label_a_picture(rows: pd.DataFrame) -> None:
    labels = [name for name in rows.columns if name.startswith("AU")] + ["expression"]
    for image, own in rows[rows["image"] != ""].groupby("image"):
        assert own[labels].astype(str).drop_duplicates().shape[0] == 1, f"{image} has two labels"


def damage_file(tree: Tree, raw: Path, path: Path, rng: random.Random) -> tuple[str, tuple[set[str], bool], Undo]:
    content = path.read_bytes()
    damage = damaged(content, rng)
    path.write_bytes(damage.content)
    file, before = path.relative_to(raw).as_posix(), lines_of(content.decode("latin-1"))
    own = tree.prefixes(file, before)
    if tree.ordered:
        length = max(len(before), len(damage.lines))
        padded = [lines + [""] * (length - len(lines)) for lines in (before, damage.lines)]
        changed = [place for place in range(length) if padded[0][place] != padded[1][place]]
        touched = {own[place] if place < len(own) else ALL for place in changed}
    else:
        lines = changed_lines(before, damage.lines)
        if (before and before[0] in damage.lines[1:]) or damage.lines[:1] != before[:1]:
            lines |= set(before[:1])  # what stood first may have been a header
        touched = {prefix for prefix, line in zip(own, before, strict=True) if line in lines}
        new = [line for line in damage.lines if line in lines]
        touched |= set(tree.prefixes(file, [before[0], *new])[1:]) if new else set()
    return damage.name, (touched, tree.reader in SKIPPING), lambda: path.write_bytes(content)


def damage_tree(raw: Path, path: Path, rng: random.Random) -> tuple[str, tuple[set[str], bool], Undo]:
    """A file gone, replaced by something else, doubled, or joined by one with an odd name."""
    content, kinds = (
        path.read_bytes(),
        ("gone", "folder", "loop", "device", "pipe", "copy", "nested copy", "odd", "odd"),
    )
    kind = rng.choice(kinds)
    added: list[Path] = []
    if kind in ("copy", "nested copy", "odd"):
        cell = "".join(letter for letter in hostile_cell(rng) if letter not in "\0/")[:60] or "²"
        names = {"copy": path.stem.swapcase() + path.suffix, "nested copy": f"copy/{path.name}", "odd": cell + ".jpg"}
        other = path.parent / names[kind]
        if not other.exists():
            other.parent.mkdir(exist_ok=True)
            other.write_bytes(content if kind != "odd" else JPEG)
            added.append(other)
    else:
        path.unlink()
        if kind == "folder":
            path.mkdir()
        elif kind == "pipe":
            os.mkfifo(path)
        elif kind != "gone":
            path.symlink_to(path.name if kind == "loop" else "/dev/zero")

    def undo() -> None:
        for one in added:
            one.unlink()
            if one.parent.name == "copy":
                one.parent.rmdir()
        if kind not in ("copy", "nested copy", "odd"):
            path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)
            path.write_bytes(content)

    labels = path.suffix in LABEL_ENDINGS and kind not in ("odd",)
    return kind, ({ALL} if labels else set(), True), undo
