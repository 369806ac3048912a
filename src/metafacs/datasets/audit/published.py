"""Compares a dataset with what is published about it: who is in it, and how many frames each fold has."""

import math
from dataclasses import dataclass

from metafacs.data.card import NO_FOLD
from metafacs.datasets.audit.material import CHECK, DIFFERS, NOTE, Finding, Material
from metafacs.datasets.protocols import Protocol

FAR = 0.1
"""A source whose frames differ by more than this share in all is not called the nearest."""
NEARLY = 0.005
"""Frame counts of which each fold is within this share of the published one are called nearly the same."""


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
            all(abs(counts.get(fold, 0) - count) <= NEARLY * count for fold, count in self.published.items())
            for counts in (self.listed, self.prepared)
        )

    @property
    def distance(self) -> int:
        """Frames by which the nearer of the two counts differs, over all folds."""
        return min(
            sum(abs(counts.get(fold, 0) - self.published.get(fold, 0)) for fold in {*counts, *self.published})
            for counts in (self.listed, self.prepared)
        )


def matches(material: Material) -> list[SourceMatch]:
    """The comparison with each source of frame counts, the nearest first; empty where nothing is published."""
    if material.listed is None:
        return []
    listed = {fold: count for fold, count in material.listed.folds.items() if fold}
    prepared = {fold: count for fold, count in material.folds.items() if fold != NO_FOLD}
    sources = material.protocol.frames.items()
    nearest = [SourceMatch(source, dict(counts), listed, prepared) for source, counts in sources]
    # Of a handful of frames all are far away: then the first, which drops none, says most.
    return sorted(nearest, key=lambda match: match.distance if match.near else math.inf)


def check_frames(material: Material) -> list[Finding]:
    """Frames per fold, or rows in all, against every known source."""
    nearest = matches(material)
    if nearest:
        return [_frames_finding(nearest)]
    expected = material.protocol.rows
    if not expected or material.listed is None:
        return []
    rows = material.listed.rows + material.lost("listing")
    if rows == expected:
        return [Finding(NOTE, "frames", f"{rows:,} labelled rows, as published")]
    text = f"{rows:,} labelled rows, {expected:,} are published ({rows - expected:+,})"
    return [Finding(DIFFERS, "frames", text, "is the release whole? Unpack or download it again.")]


def _frames_finding(nearest: list[SourceMatch]) -> Finding:
    best = next((match for match in nearest if match.exact), nearest[0])
    if best.exact:
        what = "labelled frames" if best.exact == "listed" else "faces"
        counts = ", ".join(f"{fold} {count:,}" for fold, count in best.published.items())
        return Finding(NOTE, "frames", f"{what} per fold are exactly those of {best.source}: {counts}")
    folds = ", ".join(
        f"{fold} {best.listed.get(fold, 0):,} labelled, {best.prepared.get(fold, 0):,} faces ({count:,} published)"
        for fold, count in best.published.items()
    )
    if best.nearly:
        text = f"frames per fold are nearly those of {best.source}, {best.distance:,} frames away: {folds}"
        action = "compare scores with that in mind, and report the number of frames per fold"
    else:
        which = f"nearest is {best.source}" if best.near else f"all are far away, as {best.source}"
        text = f"frames per fold are those of no known source; {which}: {folds}"
        action = "is the release whole? See people and pictures that are missing; scores cannot be compared as it is"
    return Finding(DIFFERS, "frames", text, action)


def check_people(material: Material) -> list[Finding]:
    """People who are missing, strangers, and people in another fold than the published one."""
    if not material.dataset.card.people_known:
        text = "nobody knows who is who: every image counts as a person of its own, so faces of one person may both "
        text += "train and test"
        action = "name the column of people (--subject); without it no score on this dataset is subject-exclusive"
        one = Finding(CHECK, "people", text, action) if material.dataset.aus else Finding(NOTE, "people", text)
        return [one]
    listed, known = material.listed, material.protocol.everybody
    expected = material.protocol.people or len(known)
    if listed is None or not expected:
        return []
    findings = []
    if listed.people != expected:
        text = f"{listed.people} people, {expected} are published"
        action = "unpack or download the rest; see who is missing or extra below"
        findings.append(Finding(DIFFERS, "people", text, action))
    if not known:
        return findings
    faces = set(material.rows["subject"].dropna())
    missing = [name for name in known if name not in listed.subjects]
    faceless = [name for name in known if name in listed.subjects and name not in faces]
    strangers = [name for name in listed.subjects if name not in known]
    wrong = sorted(
        f"{subject} in {fold}, not {published}"
        for subject, fold in material.rows[["subject", "fold"]].drop_duplicates().itertuples(index=False)
        if (published := material.protocol.fold_of(str(subject))) not in ("", fold)
    )
    elsewhere = "folds are named by the part they test: see metafacs prepare --folds_elsewhere, and correct the lists"
    for names, topic, text, action in (
        (missing, "people", "missing", "unpack or download their files"),
        (faceless, "people", "without a single face", "look at their pictures; try another --detector"),
        (strangers, "people", "not among the published people", "they are in no fold; leave them out of comparisons"),
        (wrong, "folds", "people in other folds than published", elsewhere),
    ):
        if names:
            findings.append(Finding(DIFFERS, topic, f"{text}: {', '.join(names)}", action))
    return findings


def fold_names(protocol: Protocol) -> str:
    """What other repositories call the folds, in a sentence; empty for datasets without such folds."""
    sentences = []
    for fold in protocol.folds if protocol.fold_names else ():
        names: dict[str, list[str]] = {}
        for repository, folds in protocol.fold_names.items():
            for name, tested in folds.items():
                if tested == fold:
                    names.setdefault(name, []).append(repository)
        sentences.append(f"{fold} is called " + ", ".join(f"{name} in {', '.join(who)}" for name, who in names.items()))
    return "; ".join(sentences)
