"""From the name of a preset to rendered files, prepared or raw."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from metafacs.errors import InputError
from metafacs.synth.au_dataset import render_au_dataset
from metafacs.synth.fe_dataset import render_fe_dataset
from metafacs.synth.model import Announce
from metafacs.synth.parts import Progress
from metafacs.synth.plans import AuPlan, FePlan
from metafacs.synth.presets import (
    AU_PRESETS,
    FE_PRESETS,
    FRAMES,
    IMAGES,
    PAIRS,
    PRESETS,
    All,
    own_au_plan,
    own_fe_plan,
)
from metafacs.synth.raw.layouts import LAYOUTS, WIDTH, write_raw

Layout = Literal["prepared", "raw"]

SIZES = {"tiny": 48, "small": 80}
SIZE = 128
"""Side of the face images where neither the user nor `SIZES` says another, in pixels."""
RAYS = {"tiny": 1}


def render_preset(
    out: Path,
    preset: str,
    *,
    layout: Layout = "prepared",
    frames: int | All | None = None,
    images: int | All | None = None,
    causes: Mapping[str, float] | None = None,
    coder_noise: float = 0.0,
    size: int | None = None,
    width: int = WIDTH,
    rays: int | None = None,
    seed: int = 0,
    workers: int = 0,
    progress: Callable[[str], Progress] | None = None,
    announce: Announce | None = None,
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
        rays: rays x rays samples are taken in each pixel.
        seed: equal seeds give equal files; prepared and raw show the same people and moments.
        workers: processes to use; 0 means all cores.
        progress: given the name of a dataset, returns what is told how many images are done, and of how many.
        announce: is told when something takes long once (building the head model).

    Returns:
        The folders of the datasets, or of the tree.

    Raises:
        InputError: a name or a setting is impossible, or `out` holds something else.
    """
    plans = preset_plans(preset, frames, images, causes, coder_noise)
    if layout == "raw" and preset not in LAYOUTS:
        raise InputError(f"the preset {preset} has no raw layout; these have: {', '.join(LAYOUTS)}")
    rays = rays if rays is not None else RAYS.get(preset, 2)
    side = size if size is not None else SIZES.get(preset, SIZE)
    made = []
    for folder, plan in plans.items():
        place = Path(out) / folder
        work: dict[str, Any] = {"rays": rays, "seed": seed, "workers": workers, "announce": announce}
        work["progress"] = progress(plan.name) if progress else None
        if layout == "raw":
            made.append(write_raw(place, preset, plan, width=width, **work))
        elif isinstance(plan, AuPlan):
            made.append(render_au_dataset(place, plan, size=side, **work).folder)
        else:
            made.append(render_fe_dataset(place, plan, size=side, **work).folder)
    return made


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
        people, single = PAIRS[preset]
        au = own_au_plan(people["subjects"], people["frames"], coder_noise=coder_noise)
        return {"au": au, "fe": own_fe_plan(single["images"], causes)}
    if preset in AU_PRESETS:
        return {"": AU_PRESETS[preset](FRAMES if frames is None else frames, coder_noise)}
    return {"": FE_PRESETS[preset](IMAGES if images is None else images, causes)}
