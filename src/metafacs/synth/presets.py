"""Presets: datasets with the people, the AUs, the folds and the base rates of the benchmarks, and small ones."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Literal

import numpy as np

from metafacs.datasets import ferplus, gft, rafdb
from metafacs.datasets.bp4d import BP4D
from metafacs.datasets.disfa import DISFA
from metafacs.datasets.disfa import FRAMES as DISFA_FRAMES
from metafacs.errors import InputError
from metafacs.facs import AU_SETS, EXPRESSIONS
from metafacs.synth.annotators import SHARES
from metafacs.synth.emotion import DEFAULT_CAUSES
from metafacs.synth.plans import AuPlan, Clip, FePlan, Subject, divide

All = Literal["all"]

FRAMES, IMAGES = 120, 3000
"""Frames of each person, and images, where a preset of a benchmark is not told how many."""
FOLDS = ("P1", "P2", "P3")
SEQUENCE = 25
"""Frames of one sequence of an own mix, at most."""
BP4D_RATE, DISFA_RATE = 25, 20
"""Frames a second of the recordings."""
BP4D_TASKS: tuple[str, ...] = tuple(f"T{number}" for number in range(1, 9))
"""The eight tasks every person of BP4D went through."""
GFT_TEST_GROUPS = 6
"""Papers that use GFT train on 78 people and test on 18; which ones is said in the release only."""
FERPLUS_COUNTS: Mapping[str, int] = MappingProxyType(
    {"neutral": 13013, "happiness": 9367, "surprise": 4493, "sadness": 4415, "anger": 3124, "disgust": 253, "fear": 825}
)
"""Rows of FERPlus by the expression with most votes; contempt, with 221, is not among the seven."""

# What the benchmarks do not report has to be chosen: people who watch films (DISFA) or talk (GFT) and rarely show the
# AUs that are reported will not show the others as often as people who are made to feel something (BP4D).
_CALM: Mapping[int, float] = MappingProxyType(
    {5: 0.02, 7: 0.08, 9: 0.03, 10: 0.06, 14: 0.06, 15: 0.04, 16: 0.02, 17: 0.08, 18: 0.02, 20: 0.02}
    | {22: 0.02, 23: 0.03, 24: 0.04, 27: 0.01, 28: 0.02, 43: 0.03}
)
DISFA_RATES: Mapping[int, float] = MappingProxyType({**_CALM, **DISFA.published.base_rates})
GFT_RATES: Mapping[int, float] = MappingProxyType(
    {**_CALM, 7: 0.25, 17: 0.20, 25: 0.30, 26: 0.15}
    | {1: 0.04, 2: 0.13, 4: 0.04, 6: 0.28, 10: 0.25, 12: 0.29, 14: 0.03, 15: 0.11, 23: 0.25, 24: 0.14}
)
"""GFT's own base rates were in no source at hand; these are near what papers that use it report, from memory."""


def bp4d_plan(frames: int | All = FRAMES, coder_noise: float = 0.0) -> AuPlan:
    """BP4D's 41 people, by name and sex, in its three parts, through its eight tasks.

    Args:
        frames: of each person, over all tasks; "all" gives each part as many as it has.
        coder_noise: as in `AuPlan`.

    Raises:
        InputError: no frame.
    """
    lengths = _bp4d_lengths() if frames == "all" else {}
    real = sum(BP4D.published.frames["ME-GraphAU"].values()) / len(BP4D.published.everybody)
    subjects = []
    for part, names in BP4D.published.folds.items():
        for name in names:
            each = lengths[name] if lengths else divide(_some(frames), [1] * len(BP4D_TASKS))
            subjects.append(Subject(name, part, _bp4d_clips(name, each), male=name.startswith("M")))
    step = 1 / BP4D_RATE if frames == "all" else real / BP4D_RATE / _some(frames)
    settings = {"preset": "bp4d", "frames": frames}
    return _au_plan("BP4D", subjects, AU_SETS["bp4d"], BP4D.published.base_rates, step, coder_noise, settings)


def _bp4d_lengths() -> dict[str, list[int]]:
    """Frames of each task of everybody, as even as can be, so that every part has as many as it really has."""
    lengths = {}
    for part, names in BP4D.published.folds.items():
        total = BP4D.published.frames["ME-GraphAU"][part]
        each = divide(total, [1] * (len(names) * len(BP4D_TASKS)))
        for number, name in enumerate(names):
            lengths[name] = each[number * len(BP4D_TASKS) :][: len(BP4D_TASKS)]
    return lengths


def _bp4d_clips(name: str, lengths: list[int]) -> tuple[Clip, ...]:
    """Only a segment of each recording is coded, so that numbers start anywhere."""
    digits = int(name[1:]) + (50 if name.startswith("M") else 0)
    starts = np.random.default_rng([41, digits]).integers(1, 2500, len(lengths))
    clips = zip(BP4D_TASKS, lengths, starts, strict=True)
    return tuple(Clip(task, length, int(first)) for task, length, first in clips if length)


def disfa_plan(frames: int | All = FRAMES, coder_noise: float = 0.0) -> AuPlan:
    """DISFA's 27 people in the three parts in use, one recording each of about four minutes, frames counted from 1.

    Args:
        frames: of each person; "all" is 4,845 (of one person 4,844, so that the parts have as many as published).
        coder_noise: as in `AuPlan`.

    Raises:
        InputError: no frame.
    """
    subjects = []
    for part, names in DISFA.published.folds.items():
        total = DISFA.published.frames["ME-GraphAU"][part]
        lengths = divide(total, [1] * len(names)) if frames == "all" else [_some(frames)] * len(names)
        for name, length in zip(names, lengths, strict=True):
            subjects.append(Subject(name, part, (Clip("1", length, 1),)))
    step = 1 / DISFA_RATE if frames == "all" else DISFA_FRAMES / DISFA_RATE / _some(frames)
    settings = {"preset": "disfa", "frames": frames}
    return _au_plan("DISFA", subjects, AU_SETS["disfa"], DISFA_RATES, step, coder_noise, settings)


def gft_plan(frames: int | All = FRAMES, coder_noise: float = 0.0) -> AuPlan:
    """GFT's 96 people in 32 groups of three, one minute each, whole groups in the train or the test part.

    The names (001A, 001B, 001C, 002A...) and which groups test are ours: neither is published outside the release.

    Args:
        frames: of each person; "all" is 1,800.
        coder_noise: as in `AuPlan`.

    Raises:
        InputError: no frame.
    """
    length = gft.SECONDS * gft.RATE if frames == "all" else _some(frames)
    subjects = [
        Subject(f"{group:03d}{letter}", "test" if group > gft.GROUPS - GFT_TEST_GROUPS else "train", (clip,))
        for group in range(1, gft.GROUPS + 1)
        for letter, clip in zip("ABC"[: gft.GROUP_SIZE], [Clip("1", length, 1)] * gft.GROUP_SIZE, strict=True)
    ]
    settings = {"preset": "gft", "frames": frames}
    return _au_plan("GFT", subjects, AU_SETS["gft"], GFT_RATES, gft.SECONDS / length, coder_noise, settings)


def _au_plan(
    likeness: str,
    subjects: list[Subject],
    aus: tuple[int, ...],
    rates: Mapping[int, float],
    step: float,
    coder_noise: float,
    settings: Mapping[str, object],
) -> AuPlan:
    source = f"rendered faces (metafacs synth) in the likeness of {likeness}: no real person is in it"
    name = f"rendered-{likeness.lower()}"
    return AuPlan(name, source, tuple(subjects), aus, dict(rates), step, coder_noise, settings)


def _some(frames: int | All) -> int:
    if not isinstance(frames, int) or frames < 1:
        raise InputError(f"{frames} frames per subject; ask for at least 1, or 'all'")
    return frames


def rafdb_plan(images: int | All = IMAGES, causes: Mapping[str, float] | None = None) -> FePlan:
    """RAF-DB's basic expressions with its train and test part.

    Args:
        images: how many, in the proportions of the real counts; "all" gives the real counts.
        causes: share of the images of each cause of doubt; those left out have `emotion.DEFAULT_CAUSES`.

    Raises:
        InputError: no image, or a cause is unknown.
    """
    return _fe_plan("RAF-DB", rafdb.COUNTS, images, causes, "rafdb")


def ferplus_plan(images: int | All = IMAGES, causes: Mapping[str, float] | None = None) -> FePlan:
    """FERPlus's expressions (without contempt) with its three parts; arguments and errors as in `rafdb_plan`."""
    folds = dict(zip(("train", "validation", "test"), ferplus.USAGES.values(), strict=True))
    each = {fold: divide(rows, list(FERPLUS_COUNTS.values())) for fold, rows in folds.items()}
    counts = {fold: dict(zip(FERPLUS_COUNTS, numbers, strict=True)) for fold, numbers in each.items()}
    return _fe_plan("FERPlus", counts, images, causes, "ferplus")


def _fe_plan(
    likeness: str,
    counts: Mapping[str, Mapping[str, int]],
    images: int | All,
    causes: Mapping[str, float] | None,
    preset: str,
) -> FePlan:
    if images != "all":
        cells = [(fold, name, number) for fold, found in counts.items() for name, number in found.items()]
        scaled = divide(_some_images(images), [number for *_, number in cells])
        counts = {fold: {} for fold in counts}
        for (fold, name, _), number in zip(cells, scaled, strict=True):
            counts[fold] = {**counts[fold], name: number}
    source = f"rendered faces (metafacs synth) in the likeness of {likeness}: no real person is in it"
    settings = {"preset": preset, "images": images}
    return FePlan(f"rendered-{preset}", source, counts, _causes(causes), settings)


def _some_images(images: int | All) -> int:
    if not isinstance(images, int) or images < 1:
        raise InputError(f"{images} images; ask for at least 1, or 'all'")
    return images


def _causes(causes: Mapping[str, float] | None) -> dict[str, float]:
    unknown = sorted(set(causes or {}) - set(DEFAULT_CAUSES))
    if unknown:
        raise InputError(f"unknown causes: {', '.join(unknown)}; known: {', '.join(DEFAULT_CAUSES)}")
    return {**DEFAULT_CAUSES, **(causes or {})}


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
    lengths = [min(SEQUENCE, _some(frames) - first) for first in range(0, _some(frames), SEQUENCE)]
    clips = tuple(Clip(f"T{number}", length) for number, length in enumerate(lengths, start=1))
    people = tuple(Subject(f"S{k + 1:03d}", FOLDS[k % len(FOLDS)], clips) for k in range(subjects))
    settings = {"subjects": subjects, "frames": frames}
    source = "rendered faces (metafacs synth), AU sequences"
    return AuPlan("rendered-au", source, people, tuple(aus), coder_noise=coder_noise, settings=settings)


def own_fe_plan(images: int = IMAGES, causes: Mapping[str, float] | None = None) -> FePlan:
    """An own mix of expressions, all in the fold "train"; arguments and errors as in `rafdb_plan`."""
    numbers = divide(_some_images(images), SHARES)
    counts = {"train": dict(zip(EXPRESSIONS, numbers, strict=True))}
    source = "rendered faces (metafacs synth), single expressions"
    return FePlan("rendered-fe", source, counts, _causes(causes), {"images": images})


AU_PRESETS: Mapping[str, Callable[..., AuPlan]] = MappingProxyType(
    {"bp4d": bp4d_plan, "disfa": disfa_plan, "gft": gft_plan}
)
"""Name -> plan of an AU dataset, from `frames` and `coder_noise`."""

FE_PRESETS: Mapping[str, Callable[..., FePlan]] = MappingProxyType({"rafdb": rafdb_plan, "ferplus": ferplus_plan})
"""Name -> plan of an expression dataset, from `images` and `causes`."""

PAIRS: Mapping[str, tuple[Mapping[str, int], Mapping[str, int]]] = MappingProxyType(
    {
        "tiny": (MappingProxyType({"subjects": 3, "frames": 4}), MappingProxyType({"images": 14})),
        "small": (MappingProxyType({"subjects": 24, "frames": 100}), MappingProxyType({"images": 3000})),
    }
)
"""Name -> what `own_au_plan` and `own_fe_plan` are given: an AU and an expression dataset, in `au` and `fe`."""

PRESETS = (*PAIRS, *AU_PRESETS, *FE_PRESETS)
"""All names."""
