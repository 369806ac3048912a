"""What is published about a dataset, as one object beside its reader: who tests in which fold, counts, base rates."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from metafacs.datasets.textfiles import read_lines
from metafacs.errors import InputError


@dataclass(frozen=True)
class Rule:
    """An option of a reader that changes what its labels or pictures mean.

    Attributes:
        option: its name.
        usual: the value that published results use.
        meaning: what another value means; `{value}` stands for it.
        action: what to do about it.
        comparable: whether results are comparable all the same, with care.
    """

    option: str
    usual: object
    meaning: str
    action: str
    comparable: bool = False


@dataclass(frozen=True)
class Protocol:
    """What is published about a dataset; what nobody published stays empty, and is then compared with nothing.

    Attributes:
        aus: the AUs that results are reported for, in their order.
        folds: fold -> the people it tests; nobody is in two.
        fold_names: repository -> its name of a fold -> the fold.
        frames: source -> fold -> labelled frames (or images).
        rows: labelled rows in all; only where `frames` is empty.
        people: people in all; 0 stands for those of `folds`.
        base_rates: AU -> share of all frames in which it is present, in [0, 1].
        expressions: fold -> expression -> images.
        rules: options of the reader that have to have their usual values.
    """

    aus: tuple[int, ...] = ()
    folds: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    fold_names: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    frames: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    rows: int = 0
    people: int = 0
    base_rates: Mapping[int, float] = field(default_factory=dict)
    expressions: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    rules: tuple[Rule, ...] = ()

    @property
    def everybody(self) -> list[str]:
        """The people of all folds."""
        return [subject for subjects in self.folds.values() for subject in subjects]

    def fold_of(self, subject: str) -> str:
        """The fold that tests a subject, "" for a stranger."""
        return next((fold for fold, subjects in self.folds.items() if subject in subjects), "")

    def assign(self, subjects: Iterable[str]) -> tuple[dict[str, str], list[str]]:
        """The fold of every subject ("" for strangers), and notes about strangers and absentees."""
        present = sorted(set(subjects))
        folds = {subject: self.fold_of(subject) for subject in present}
        strangers, absent = [name for name in present if not folds[name]], sorted({*self.everybody} - {*present})
        notes = []
        if strangers:
            notes.append(
                f"not among the {len(self.everybody)} people of the published folds, so kept without a fold (never "
                f"trained or tested on): {', '.join(strangers)}"
            )
        if absent:
            notes.append(f"{ABSENT}: {', '.join(absent)}")
        return folds, notes


def by_fold(**names: str) -> dict[str, tuple[str, ...]]:
    """Fold -> people, from their names in one text a fold."""
    return {fold: tuple(text.split()) for fold, text in names.items()}


ABSENT = "people of the published folds who are not here"
"""How the note about them begins."""

FOLD_NAMES: Mapping[str, Mapping[str, str]] = {
    "ME-GraphAU": {"fold1": "P3", "fold2": "P2", "fold3": "P1"},
    "MDHR": {"fold1": "P3", "fold2": "P2", "fold3": "P1"},
    "AU-Net": {"fold1": "P3", "fold2": "P2", "fold3": "P1"},
    "JAA-Net": {"part1": "P1", "part2": "P2", "part3": "P3"},
    "FG-Net": {"labels/0": "P1", "labels/1": "P2", "labels/2": "P3"},
    "LibreFace": {"labels/0": "P3", "labels/1": "P2", "labels/2": "P1"},
}
"""Repository -> its name of a fold -> the part of BP4D or DISFA that it tests.

The parts are named P1 to P3 by the people they test, because repositories number them differently. They and the frame
counts and base rates beside the readers were counted from the lists that these repositories ship. JAA-Net trains on
`combine_1_2` to test on part3.
"""


def fold_numbering() -> str:
    """How other repositories name the folds that are called P1, P2 and P3 here, as a text table.

    Example:
        >>> print(fold_numbering().splitlines()[1])
        ME-GraphAU  fold3    fold2    fold1
    """
    lines = [f"{'tests on':<12}{'P1':<9}{'P2':<9}{'P3':<9}"]
    for repository, names in FOLD_NAMES.items():
        by_fold = {fold: name for name, fold in names.items()}
        lines.append(f"{repository:<12}" + "".join(f"{by_fold[fold]:<9}" for fold in ("P1", "P2", "P3")))
    return "\n".join(line.rstrip() for line in lines)


def folds_from_lists(lists: Mapping[str, Path]) -> dict[str, str]:
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
