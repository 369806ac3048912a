"""What a rendered dataset is to hold: who is in it, what is recorded of them, how often each AU or expression comes."""

import hashlib
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from facsynth.annotators import SHARES
from facsynth.emotion import DEFAULT_CAUSES
from facsynth.rig import RIG_AUS
from metafacs.errors import InputError
from metafacs.facs import AU_SETS, EXPRESSIONS

FRAMES, IMAGES = 120, 3000
"""Frames of each person, and images, where nothing else is asked for."""
FOLDS = ("P1", "P2", "P3")
SEQUENCE = 25
"""Frames of one sequence of an own mix, at most."""


@dataclass(frozen=True)
class Clip:
    """One recording of one person.

    Attributes:
        name: of the sequence.
        frames: how many.
        first: number of the first frame; the others follow it.
    """

    name: str
    frames: int
    first: int = 0


@dataclass(frozen=True)
class Subject:
    """One person of an AU dataset.

    Attributes:
        name: as in the `subject` column.
        fold: the part of the dataset all recordings of this person are in.
        clips: the recordings.
        male: whether a man; None where the name does not say.
    """

    name: str
    fold: str
    clips: tuple[Clip, ...]
    male: bool | None = None

    @property
    def frames(self) -> int:
        """Frames of all recordings."""
        return sum(clip.frames for clip in self.clips)


@dataclass(frozen=True)
class AuPlan:
    """An AU dataset to render.

    Attributes:
        name: of the dataset.
        source: where the faces come from, for the card.
        subjects: the people.
        aus: the AUs to label; all AUs of the rig act, labelled or not.
        rates: AU -> share of all frames in which it is present; AUs left out have their rate in `activity.RATES`.
        step: seconds between two frames of a recording.
        coder_noise: how much human coders err, 0 not at all (`coders.code`).
        settings: what the plan was made from, for the card.
    """

    name: str
    source: str
    subjects: tuple[Subject, ...]
    aus: tuple[int, ...]
    rates: Mapping[int, float] = field(default_factory=dict)
    step: float = 0.2
    coder_noise: float = 0.0
    settings: Mapping[str, Any] = field(default_factory=dict)

    def check(self) -> None:
        """Refuses what cannot be rendered.

        Raises:
            InputError: no people or frames, an AU that the rig lacks or that is named twice, an impossible number.
        """
        if not self.subjects or not all(subject.frames for subject in self.subjects):
            raise InputError(f"{self.name} has a person without a single frame; ask for at least 1 frame of each")
        names = [subject.name for subject in self.subjects]
        if len(set(names)) < len(names):
            raise InputError(f"{self.name} names a person twice; names must differ")
        unknown = [str(au) for au in self.aus if au not in RIG_AUS]
        if unknown or not self.aus:
            problem = f"cannot render AU {', '.join(unknown)}" if unknown else "no AU was asked for"
            raise InputError(f"{problem}; there are {', '.join(map(str, RIG_AUS))}")
        twice = sorted({str(au) for au in self.aus if self.aus.count(au) > 1})
        if twice:
            raise InputError(f"AU {', '.join(twice)} is named twice; name each AU once")
        if not self.step > 0:
            raise InputError(f"{self.step} seconds between frames; give more than 0")
        if not self.coder_noise >= 0:
            raise InputError(f"coder_noise is {self.coder_noise}; give 0 (no error) or more")


@dataclass(frozen=True)
class FePlan:
    """An expression dataset to render: one image each of many people.

    Attributes:
        name: of the dataset.
        source: where the faces come from, for the card.
        counts: fold -> expression -> images that most annotators are to call so.
        causes: cause -> share of the images, in [0, 1]; the rest is "clear".
        settings: what the plan was made from, for the card.
    """

    name: str
    source: str
    counts: Mapping[str, Mapping[str, int]]
    causes: Mapping[str, float] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def images(self) -> int:
        """How many images there are."""
        return sum(sum(counts.values()) for counts in self.counts.values())

    def check(self) -> None:
        """Refuses what cannot be rendered.

        Raises:
            InputError: no image, an unknown expression, or shares that are none.
        """
        unknown = sorted({name for counts in self.counts.values() for name in counts} - set(EXPRESSIONS))
        if unknown:
            raise InputError(f"unknown expressions: {', '.join(unknown)}; known: {', '.join(EXPRESSIONS)}")
        if self.images < 1:
            raise InputError(f"{self.images} images; ask for at least 1")
        for cause, share in self.causes.items():
            if not 0 <= share <= 1:
                raise InputError(f"the share of images whose cause is '{cause}' is {share}; give a number from 0 to 1")
        if sum(self.causes.values()) > 1 + 1e-9:
            listed = ", ".join(f"{cause} {share:g}" for cause, share in self.causes.items())
            raise InputError(f"the shares of the causes add up to more than 1: {listed}")


def seeds(plan: AuPlan | FePlan, seed: int) -> tuple[int, int]:
    """What all random numbers of a dataset start from: datasets of other names share no people, whatever the seed."""
    return seed, zlib.crc32(plan.name.encode())


def plan_settings(plan: AuPlan | FePlan) -> dict[str, Any]:
    """The plan's settings for the card, with a digest of all of the plan, so that no two plans are mixed up."""
    return {**plan.settings, "plan": hashlib.sha256(repr(plan).encode()).hexdigest()[:12]}


def au_chunks(plan: AuPlan, most: int) -> Iterator[tuple[int, int, int]]:
    """(person, begin, end) of every part: at most `most` of one person's frames, counted over all recordings."""
    for number, subject in enumerate(plan.subjects):
        for begin in range(0, subject.frames, most):
            yield number, begin, min(begin + most, subject.frames)


def divide(total: int, weights: Sequence[float]) -> list[int]:
    """Whole numbers that add up to `total` and are as close to the proportions of `weights` as can be.

    Example:
        >>> divide(10, [1, 1, 1])
        [4, 3, 3]
    """
    exact = total * np.asarray(weights, np.float64) / np.sum(weights)
    out = np.floor(exact).astype(int)
    # Rounding keeps equal remainders equal, so that ties go to the first on every machine.
    order = np.argsort(-np.round(exact - out, 9), kind="stable")
    out[order[: total - out.sum()]] += 1
    return [int(number) for number in out]


def own_au_plan(
    subjects: int = 24, frames: int = 100, aus: tuple[int, ...] = AU_SETS["bp4d"], coder_noise: float = 0.0
) -> AuPlan:
    """An own mix: people S001, S002... spread over three folds, in sequences of at most `SEQUENCE` frames.

    Args:
        subjects: how many people; at least one per fold.
        frames: of each person.
        aus: the AUs to label, by number.
        coder_noise: as in `AuPlan`.

    Raises:
        InputError: too few people, or no frame.
    """
    if subjects < len(FOLDS):
        raise InputError(
            f"{subjects} subjects cannot fill {len(FOLDS)} folds that share nobody; ask for at least {len(FOLDS)}"
        )
    frames = frame_count(frames)
    lengths = [min(SEQUENCE, frames - first) for first in range(0, frames, SEQUENCE)]
    clips = tuple(Clip(f"T{number}", length) for number, length in enumerate(lengths, start=1))
    people = tuple(Subject(f"S{k + 1:03d}", FOLDS[k % len(FOLDS)], clips) for k in range(subjects))
    settings = {"subjects": subjects, "frames": frames}
    source = "rendered faces (metafacs synth), AU sequences"
    return AuPlan("rendered-au", source, people, tuple(aus), coder_noise=coder_noise, settings=settings)


def own_fe_plan(images: int = IMAGES, causes: Mapping[str, float] | None = None) -> FePlan:
    """An own mix of expressions, all in the fold "train".

    Args:
        images: how many.
        causes: share of the images of each cause of doubt; those left out have `emotion.DEFAULT_CAUSES`.

    Raises:
        InputError: no image, or a cause is unknown.
    """
    counts = {"train": dict(zip(EXPRESSIONS, divide(image_count(images), SHARES), strict=True))}
    source = "rendered faces (metafacs synth), single expressions"
    return FePlan("rendered-fe", source, counts, all_causes(causes), {"images": images})


def frame_count(frames: object) -> int:
    """The number of frames of each person that was asked for.

    Raises:
        InputError: it is not a number of at least 1.
    """
    if not isinstance(frames, int) or frames < 1:
        raise InputError(f"{frames} frames per subject; ask for at least 1, or 'all'")
    return frames


def image_count(images: object) -> int:
    """The number of images that was asked for.

    Raises:
        InputError: it is not a number of at least 1.
    """
    if not isinstance(images, int) or images < 1:
        raise InputError(f"{images} images; ask for at least 1, or 'all'")
    return images


def all_causes(causes: Mapping[str, float] | None) -> dict[str, float]:
    """The share of every cause of doubt; those left out have `emotion.DEFAULT_CAUSES`.

    Raises:
        InputError: a cause is unknown.
    """
    unknown = sorted(set(causes or {}) - set(DEFAULT_CAUSES))
    if unknown:
        raise InputError(f"unknown causes: {', '.join(unknown)}; known: {', '.join(DEFAULT_CAUSES)}")
    return {**DEFAULT_CAUSES, **(causes or {})}
