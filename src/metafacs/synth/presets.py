"""Presets: datasets with the people, the AUs, the folds and the base rates of the benchmarks, and small ones."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

import numpy as np

from facsynth.plans import (
    FRAMES,
    IMAGES,
    AuPlan,
    Clip,
    FePlan,
    Subject,
    all_causes,
    divide,
    frame_count,
    image_count,
    own_au_plan,
    own_fe_plan,
)
from metafacs.datasets import ferplus, gft, rafdb
from metafacs.datasets.bp4d import BP4D
from metafacs.datasets.disfa import DISFA
from metafacs.datasets.disfa import FRAMES as DISFA_FRAMES
from metafacs.errors import InputError
from metafacs.facs import AU_SETS

if TYPE_CHECKING:
    from metafacs.synth.rendering import Progress

All = Literal["all"]

SIZES = {"tiny": 48, "small": 80}
SIZE = 128
"""Side of the face images where neither the user nor `SIZES` says another, in pixels."""
WIDTH = 640
"""Of the camera frames of raw trees, in pixels."""
RAYS = {"tiny": 1}
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
    real = BP4D.published.frames["ME-GraphAU"]
    subjects = []
    for part, names in BP4D.published.folds.items():
        clips = len(names) * len(BP4D_TASKS)
        if frames == "all":
            lengths = divide(real[part], [1] * clips)
        else:
            lengths = divide(frame_count(frames), [1] * len(BP4D_TASKS)) * len(names)
        for number, name in enumerate(names):
            each = lengths[number * len(BP4D_TASKS) :][: len(BP4D_TASKS)]
            subjects.append(Subject(name, part, _bp4d_clips(name, each), male=name.startswith("M")))
    step = 1 / BP4D_RATE if frames == "all" else sum(real.values()) / len(subjects) / BP4D_RATE / frames
    return _au_plan("BP4D", subjects, BP4D.published.base_rates, step, coder_noise, frames)


def _bp4d_clips(name: str, lengths: list[int]) -> tuple[Clip, ...]:
    """Only a segment of each recording is coded, so that numbers start anywhere."""
    digits = int(name[1:]) + (50 if name.startswith("M") else 0)
    starts = np.random.default_rng([41, digits]).integers(1, 2500, len(lengths))
    clips = zip(BP4D_TASKS, lengths, starts, strict=True)
    return tuple(Clip(task, length, int(first)) for task, length, first in clips if length)


def disfa_plan(frames: int | All = FRAMES, coder_noise: float = 0.0) -> AuPlan:
    """DISFA's 27 people in the three parts in use, one recording each of about four minutes, frames counted from 1.

    "all" frames are 4,845 (of one person 4,844, so that the parts have as many as published); else as `bp4d_plan`.
    """
    subjects = []
    for part, names in DISFA.published.folds.items():
        real = DISFA.published.frames["ME-GraphAU"][part]
        total = real if frames == "all" else frame_count(frames) * len(names)
        for name, length in zip(names, divide(total, [1] * len(names)), strict=True):
            subjects.append(Subject(name, part, (Clip("1", length, 1),)))
    step = 1 / DISFA_RATE if frames == "all" else DISFA_FRAMES / DISFA_RATE / frames
    return _au_plan("DISFA", subjects, DISFA_RATES, step, coder_noise, frames)


def gft_plan(frames: int | All = FRAMES, coder_noise: float = 0.0) -> AuPlan:
    """GFT's 96 people in 32 groups of three, one minute each, whole groups in the train or the test part.

    The names (001A, 001B, 001C, 002A...) and which groups test are ours: neither is published outside the release.
    "all" frames are 1,800; else as `bp4d_plan`.
    """
    length = gft.SECONDS * gft.RATE if frames == "all" else frame_count(frames)
    subjects = [
        Subject(f"{group:03d}{letter}", "test" if group > gft.GROUPS - GFT_TEST_GROUPS else "train", (clip,))
        for group in range(1, gft.GROUPS + 1)
        for letter, clip in zip("ABC"[: gft.GROUP_SIZE], [Clip("1", length, 1)] * gft.GROUP_SIZE, strict=True)
    ]
    return _au_plan("GFT", subjects, GFT_RATES, gft.SECONDS / length, coder_noise, frames)


def _au_plan(
    likeness: str,
    subjects: list[Subject],
    rates: Mapping[int, float],
    step: float,
    coder_noise: float,
    frames: int | All,
) -> AuPlan:
    preset = likeness.lower()
    source = f"rendered faces (metafacs synth) in the likeness of {likeness}: no real person is in it"
    settings = {"preset": preset, "frames": frames}
    people, aus = tuple(subjects), AU_SETS[preset]
    return AuPlan(f"rendered-{preset}", source, people, aus, dict(rates), step, coder_noise, settings)


def rafdb_plan(images: int | All = IMAGES, causes: Mapping[str, float] | None = None) -> FePlan:
    """RAF-DB's basic expressions with its train and test part.

    Args:
        images: how many, in the proportions of the real counts; "all" gives the real counts.
        causes: share of the images of each cause of doubt; those left out have `emotion.DEFAULT_CAUSES`.

    Raises:
        InputError: no image, or a cause is unknown.
    """
    return _fe_plan("RAF-DB", rafdb.COUNTS, images, causes)


def ferplus_plan(images: int | All = IMAGES, causes: Mapping[str, float] | None = None) -> FePlan:
    """FERPlus's expressions (without contempt) with its three parts; arguments and errors as in `rafdb_plan`."""
    counts = {}
    for fold, rows in zip(("train", "validation", "test"), ferplus.USAGES.values(), strict=True):
        counts[fold] = dict(zip(FERPLUS_COUNTS, divide(rows, list(FERPLUS_COUNTS.values())), strict=True))
    return _fe_plan("FERPlus", counts, images, causes)


def _fe_plan(
    likeness: str,
    counts: Mapping[str, Mapping[str, int]],
    images: int | All,
    causes: Mapping[str, float] | None,
) -> FePlan:
    if images != "all":
        numbers = iter(divide(image_count(images), [count for fold in counts.values() for count in fold.values()]))
        counts = {fold: {name: next(numbers) for name in names} for fold, names in counts.items()}
    preset = likeness.lower().replace("-", "")
    source = f"rendered faces (metafacs synth) in the likeness of {likeness}: no real person is in it"
    settings = {"preset": preset, "images": images}
    return FePlan(f"rendered-{preset}", source, counts, all_causes(causes), settings)


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


def render_preset(
    out: Path,
    preset: str,
    *,
    layout: Literal["prepared", "raw"] = "prepared",
    frames: int | All | None = None,
    images: int | All | None = None,
    causes: Mapping[str, float] | None = None,
    coder_noise: float = 0.0,
    size: int | None = None,
    width: int = WIDTH,
    rays: int | None = None,
    seed: int = 0,
    workers: int = 0,
    progress: Callable[[str], "Progress"] | None = None,
    announce: Callable[[str], None] | None = None,
) -> list[Path]:
    """Renders a preset into `out`.

    "tiny" and "small" make an AU dataset in `out/au` and an expression dataset in `out/fe`, the others one dataset.

    Args:
        out: folder; with the layout "raw" it gets the tree and `truth.parquet`.
        preset: one of `PRESETS`.
        layout: prepared datasets, or the folder tree of the real release.
        frames: of each person of an AU preset of a benchmark; "all" as in the real set.
        images: of an expression preset of a benchmark; "all" as in the real set.
        causes: share of the expression images of each cause of doubt; those left out have their usual share.
        coder_noise: how much the coders of AUs err, 0 not at all.
        size: side of the face images of prepared datasets in pixels.
        width: width of the camera frames of raw trees in pixels.
        rays: as in `Drawing`, like `seed` and `workers`.
        seed: equal seeds give equal files.
        workers: processes to use; 0 means all cores.
        progress: given the name of a dataset, returns what is told how many images are done, and of how many.
        announce: is told when something takes long once (building the head model).

    Returns:
        The folders of the datasets, or of the tree.

    Raises:
        InputError: a name or a setting is impossible, or `out` holds something else.
    """
    from metafacs.synth.raw import RELEASES, write_raw  # here: the names of presets do without the renderer
    from metafacs.synth.rendering import Drawing, render_dataset

    plans = preset_plans(preset, frames, images, causes, coder_noise)
    if layout == "raw" and preset not in RELEASES:
        raise InputError(f"the preset {preset} has no raw layout; these have: {', '.join(RELEASES)}")
    side = width if layout == "raw" else size if size is not None else SIZES.get(preset, SIZE)
    drawing = Drawing(side, rays if rays is not None else RAYS.get(preset, 2), seed, workers)
    folders = []
    for folder, plan in plans.items():
        bar = progress(plan.name) if progress else None
        if layout == "raw":
            folders.append(write_raw(Path(out) / folder, preset, plan, drawing, bar, announce))
        else:
            folders.append(render_dataset(Path(out) / folder, plan, drawing, bar, announce).folder)
    return folders


def preset_plans(
    preset: str,
    frames: int | All | None = None,
    images: int | All | None = None,
    causes: Mapping[str, float] | None = None,
    coder_noise: float = 0.0,
) -> dict[str, AuPlan | FePlan]:
    """Folder (empty for the preset's own) -> plan of every dataset of a preset; arguments as of `render_preset`.

    Raises:
        InputError: there is no such preset, or it has no use for a setting.
    """
    if preset not in PRESETS:
        raise InputError(f"unknown preset '{preset}'; known: {', '.join(PRESETS)}")
    useless: dict[str, object] = {
        "frames": frames if preset not in AU_PRESETS else None,
        "images": images if preset not in FE_PRESETS else None,
        "causes of doubt": causes or None if preset in AU_PRESETS else None,
        "coder_noise": coder_noise or None if preset in FE_PRESETS else None,
    }
    for name, value in useless.items():
        if value is not None:
            raise InputError(f"the preset {preset} has no use for {name} ({value}); leave it out")
    if preset in PAIRS:
        au, fe = PAIRS[preset]
        people = own_au_plan(au["subjects"], au["frames"], coder_noise=coder_noise)
        return {"au": people, "fe": own_fe_plan(fe["images"], causes)}
    if preset in AU_PRESETS:
        return {"": AU_PRESETS[preset](FRAMES if frames is None else frames, coder_noise)}
    return {"": FE_PRESETS[preset](IMAGES if images is None else images, causes)}
