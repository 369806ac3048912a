"""Compares a dataset with what is published about it: who is in it, and how many frames each fold has."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from metafacs.datasets.audit.finding import DIFFERS, NOTE, Finding
from metafacs.datasets.audit.material import Material
from metafacs.datasets.cropping import NO_FOLD
from metafacs.datasets.folds import PARTS
from metafacs.datasets.protocols import (
    FERPLUS_USAGES,
    FOLD_NAMES,
    FRAMES_PER_PART,
    GFT_GROUP_SIZE,
    GFT_GROUPS,
    GFT_RATE,
    GFT_SECONDS,
    RAFDB_COUNTS,
    part_of,
)

FAR = 0.1
"""A source whose frames differ by more than this share in all is not called the nearest."""
NEARLY = 0.005
"""Frame counts of which each fold is within this share of the published one are called nearly the same."""

PEOPLE: Mapping[str, int] = {
    **{protocol: sum(map(len, parts.values())) for protocol, parts in PARTS.items()},
    "gft": GFT_GROUPS * GFT_GROUP_SIZE,
}
"""How many people a release has."""
TOTALS: Mapping[str, int] = {
    "gft": PEOPLE["gft"] * GFT_SECONDS * GFT_RATE,
    "ferplus": sum(FERPLUS_USAGES.values()),
}
"""How many rows a release has, where nothing is published about its folds."""


@dataclass(frozen=True)
class SourceMatch:
    """How the frames per fold compare with those of one source.

    Attributes:
        source: who published the counts.
        published: frames per fold.
        listed: labelled frames with a picture, per fold, in the release at hand.
        prepared: those with a face.
    """

    source: str
    published: dict[str, int]
    listed: dict[str, int]
    prepared: dict[str, int]

    @property
    def exact(self) -> str:
        """Which of the two counts is exactly the published one: "listed", "prepared" or ""."""
        if self.listed == self.published:
            return "listed"
        return "prepared" if self.prepared == self.published else ""

    @property
    def near(self) -> bool:
        """Whether the source is worth naming as the one that this resembles."""
        return self.distance <= FAR * sum(self.published.values())

    @property
    def nearly(self) -> bool:
        """Whether either count of each fold is close to the published one."""
        return any(
            all(abs(found.get(fold, 0) - count) <= NEARLY * count for fold, count in self.published.items())
            for found in (self.listed, self.prepared)
        )

    @property
    def distance(self) -> int:
        """Frames by which the nearer of the two counts differs, over all folds."""
        return min(
            sum(abs(found.get(fold, 0) - self.published.get(fold, 0)) for fold in {*found, *self.published})
            for found in (self.listed, self.prepared)
        )


def matches(material: Material) -> list[SourceMatch]:
    """The comparison with each source of frame counts, the nearest first; empty where nothing is published."""
    published: dict[str, Mapping[str, int]] = dict(FRAMES_PER_PART.get(material.protocol, {}))
    if material.protocol == "rafdb":
        published = {"RAF-DB": {fold: sum(counts.values()) for fold, counts in RAFDB_COUNTS.items()}}
    if material.listed is None:
        return []
    listed = {fold: count for fold, count in material.listed.folds.items() if fold}
    prepared = {fold: count for fold, count in material.folds.items() if fold != NO_FOLD}
    found = [SourceMatch(source, dict(counts), listed, prepared) for source, counts in published.items()]
    # Of a handful of frames all are far away: then the first, which drops none, says most.
    return sorted(found, key=lambda match: match.distance if match.near else math.inf)


def check_frames(material: Material) -> list[Finding]:
    """Frames per fold, or rows in all, against every known source."""
    found = matches(material)
    if found:
        return [_frames_finding(found)]
    expected = TOTALS.get(material.protocol)
    if expected is None or material.listed is None:
        return []
    rows = material.listed.rows + material.lost("listing")
    if rows == expected:
        return [Finding(NOTE, "frames", f"{rows:,} labelled rows, as published")]
    text = f"{rows:,} labelled rows, {expected:,} are published ({rows - expected:+,})"
    return [Finding(DIFFERS, "frames", text, "is the release whole? Unpack or download it again.")]


def _frames_finding(found: list[SourceMatch]) -> Finding:
    exact = [match for match in found if match.exact]
    if exact:
        best = exact[0]
        what = "labelled frames" if best.exact == "listed" else "faces"
        return Finding(NOTE, "frames", f"{what} per fold are exactly those of {best.source}: {_told(best.published)}")
    best = found[0]
    folds = ", ".join(
        f"{fold} {best.listed.get(fold, 0):,} labelled, {best.prepared.get(fold, 0):,} faces ({count:,} published)"
        for fold, count in best.published.items()
    )
    if best.nearly:
        text = f"frames per fold are nearly those of {best.source}, {best.distance:,} frames away: {folds}"
        action = "compare scores with that in mind, and report the number of frames per fold"
    else:
        told = f"nearest is {best.source}" if best.near else f"all are far away, as {best.source}"
        text = f"frames per fold are those of no known source; {told}: {folds}"
        action = "is the release whole? See people and pictures that are missing; scores cannot be compared as it is"
    return Finding(DIFFERS, "frames", text, action)


def check_people(material: Material) -> list[Finding]:
    """People who are missing, strangers, and people in another fold than the published one."""
    listed, parts = material.listed, PARTS.get(material.protocol)
    if listed is None or material.protocol not in PEOPLE:
        return []
    found = []
    expected = PEOPLE[material.protocol]
    if listed.people != expected:
        text = f"{listed.people} people, {expected} are published"
        found.append(Finding(DIFFERS, "people", text, "unpack or download the rest; see who is missing or extra below"))
    if parts is None:
        return found
    known = [name for names in parts.values() for name in names]
    faces = set(material.rows["subject"].dropna())
    for who, text, action in (
        ([name for name in known if name not in listed.subjects], "missing", "unpack or download their files"),
        (
            [name for name in known if name in listed.subjects and name not in faces],
            "without a single face",
            "look at their pictures; try another --detector",
        ),
        (
            [name for name in listed.subjects if name not in known],
            "not among the published people",
            "they are in no fold; leave them out of comparisons",
        ),
    ):
        if who:
            found.append(Finding(DIFFERS, "people", f"{text}: {', '.join(who)}", action))
    return found + _check_folds(material)


def _check_folds(material: Material) -> list[Finding]:
    parts = PARTS[material.protocol]
    pairs = material.rows[["subject", "fold"]].drop_duplicates().itertuples(index=False)
    wrong = [
        f"{subject} in {fold}, not {part}"
        for subject, fold in pairs
        if (part := part_of(parts, str(subject))) is not None and part != fold
    ]
    if not wrong:
        return []
    action = "folds are named by the part they test: see metafacs prepare --folds_elsewhere, and correct the lists"
    return [Finding(DIFFERS, "folds", f"people in other folds than published: {', '.join(sorted(wrong))}", action)]


def fold_names(protocol: str) -> str:
    """What other repositories call the folds, in a sentence; empty for datasets without such folds.

    Example:
        >>> fold_names("bp4d").split("; ")[0]
        'P1 is called fold3 in ME-GraphAU, MDHR, AU-Net, part1 in JAA-Net, labels/0 in FG-Net, labels/2 in LibreFace'
    """
    if protocol not in PARTS:
        return ""
    sentences = []
    for part in PARTS[protocol]:
        names: dict[str, list[str]] = {}
        for repository, own in FOLD_NAMES.items():
            for name, tested in own.items():
                if tested == part:
                    names.setdefault(name, []).append(repository)
        told = ", ".join(f"{name} in {', '.join(who)}" for name, who in names.items())
        sentences.append(f"{part} is called {told}")
    return "; ".join(sentences)


def _told(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{fold} {count:,}" for fold, count in counts.items())
