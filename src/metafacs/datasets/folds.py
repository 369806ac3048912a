"""Which fold a person is in, and how other repositories number the same folds."""

from collections.abc import Iterable
from pathlib import Path

from metafacs.datasets.protocols import BP4D_PARTS, DISFA_PARTS, FOLD_NAMES, Parts, part_of
from metafacs.datasets.textfiles import read_lines
from metafacs.errors import InputError

PARTS: dict[str, Parts] = {"bp4d": BP4D_PARTS, "disfa": DISFA_PARTS}
"""Published subject-exclusive test parts, by protocol."""


def fold_numbering() -> str:
    """How other repositories name the folds that are called P1, P2 and P3 here, as a text table.

    Example:
        >>> print(fold_numbering().splitlines()[1])
        ME-GraphAU  fold3    fold2    fold1
    """
    lines = [f"{'tests on':<12}{'P1':<9}{'P2':<9}{'P3':<9}"]
    for repository, names in FOLD_NAMES.items():
        by_part = {part: name for name, part in names.items()}
        lines.append(f"{repository:<12}" + "".join(f"{by_part.get(part, '?'):<9}" for part in ("P1", "P2", "P3")))
    return "\n".join(line.rstrip() for line in lines)


def folds_of(protocol: str, subjects: Iterable[str]) -> tuple[dict[str, str], list[str]]:
    """The fold of every subject ("" for strangers to the protocol), and notes about strangers and absentees.

    Args:
        protocol: "bp4d" or "disfa".
        subjects: names as the protocol writes them.

    Raises:
        InputError: no such protocol.
    """
    if protocol not in PARTS:
        raise InputError(f"there is no protocol '{protocol}'; known: {', '.join(PARTS)}")
    parts, present = PARTS[protocol], sorted(set(subjects))
    folds = {subject: part_of(parts, subject) or "" for subject in present}
    everyone = [subject for names in parts.values() for subject in names]
    strangers, absent = [name for name in present if not folds[name]], sorted(set(everyone) - set(present))
    notes = []
    if strangers:
        notes.append(
            f"not among the {len(everyone)} people of the published folds, so kept without a fold (never trained or "
            f"tested on): {', '.join(strangers)}"
        )
    if absent:
        notes.append(f"people of the published folds who are not here: {', '.join(absent)}")
    return folds, notes


def folds_from_lists(lists: dict[str, Path]) -> dict[str, str]:
    """Folds from text files that name one subject a line.

    Args:
        lists: fold -> file.

    Raises:
        InputError: a file cannot be read, or a subject is in two of them.
    """
    folds: dict[str, str] = {}
    for fold, path in lists.items():
        for number, line in read_lines(path, f"the subjects of fold {fold}"):
            name = line.strip("\"',; ")
            if folds.setdefault(name, fold) != fold:
                raise InputError(f"{path}, line {number}: {name} is in fold {folds[name]} already; folds share nobody")
    return folds
