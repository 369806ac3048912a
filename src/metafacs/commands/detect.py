"""`metafacs detect`: photographs and videos in, a table of faces and their AUs out."""

import hashlib
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from jsonargparse import ArgumentParser, Namespace
from jsonargparse.typing import NonNegativeInt, PositiveInt
from rich.console import Console

from metafacs.clusters import join_ray
from metafacs.commands.parsing import parse, parser
from metafacs.commands.starter import add_model_flag, announced_starter
from metafacs.distributed import cores
from metafacs.errors import InputError
from metafacs.files import naming, refuse_files
from metafacs.inference.cluster import Job, Told, spread
from metafacs.inference.detector import AUDetector
from metafacs.inference.finishing import Calibrated, cut_off, plot_timelines, unreadable
from metafacs.inference.formats import FORMAT_TITLES, FORMATS, aus_missing
from metafacs.inference.outputs import append_csv, check_outputs, partial_path, writable_folder, write_tables
from metafacs.inference.overlay import overlay_paths, write_overlays
from metafacs.inference.parts import Parts, parts_folder
from metafacs.inference.sources import CAMERA, Source, expected_total, find_sources, source_frames
from metafacs.inference.tracking import Tracker
from metafacs.inference.watching import PART, Part, watch
from metafacs.progress import progress_bar
from metafacs.runs import DETECTOR

DESCRIPTION = """Detects facial Action Units in photographs and videos: finds every face, aligns it as in training, and
writes a probability and a presence per AU into a table. A frame without a face is a row with success 0. Interrupted
work leaves what was found so far in OUT.partial.csv and goes on with --resume. Nothing is sent anywhere."""
NOTES = 5
"""So many unreadable inputs are named; the table has all."""
CAMERA_PART = 25
"""Frames of a part when a camera is watched: what stopping it may cost."""


def main(prog: str, arguments: Sequence[str]) -> None:
    """Runs the command."""
    settings = parse(_flags(prog), arguments)
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    done = settings.resume and not settings.overwrite and settings.out[0].is_file()
    check_outputs(settings.out, settings.overwrite or done)
    sources = _inputs(settings)
    _share_cores()
    settings.model = settings.model or announced_starter(console)
    detector = AUDetector.from_run(settings.model, finder=_finder(settings), device=settings.device)
    _check(settings, sources)
    if done and not parts_folder(settings.out[0]).exists():
        console.print(f"{settings.out[0]} is there already: nothing to do", markup=False)
        return
    detector.batch = settings.batch
    for au in aus_missing(settings.format, detector.aus):
        console.print(f"note: {settings.format} has no {au}; it stands behind its columns", markup=False)
    if not settings.overwrite and not parts_folder(settings.out[0]).exists():
        live = partial_path(settings.out[0])
        refuse_files(live.parent, [live.name], "move that, choose another --out, or replace it with --overwrite")
    parts = Parts(settings.out[0], _facts(settings, sources, detector), settings.resume, settings.overwrite)
    try:
        with naming(settings.out[0]):
            _detect(settings, detector, sources, parts, console)
            _finish(settings, detector, sources, parts, console)
    finally:
        if parts.count:
            parts.close()
        else:
            parts.remove()


def _flags(prog: str) -> ArgumentParser:
    made = parser(prog, DESCRIPTION)
    made.add_argument(
        "inputs",
        nargs="+",
        type=str,
        help="pictures, videos, folders (with everything below), patterns in quotes, or the number of a camera "
        "(cameras are untested).",
    )
    add_model_flag(made)
    made.add_argument(
        "--out",
        nargs="+",
        type=Path,
        default=[Path("detections.csv")],
        help="one or more files to write; .csv or .parquet says the kind. Unfinished work lies beside the first.",
    )
    formats = "; ".join(f"{name}: {what}" for name, what in FORMAT_TITLES.items())
    made.add_argument("--format", choices=list(FORMATS), default="tidy", help=f"columns. {formats}.")
    made.add_argument("--resume", action="store_true", help="go on with interrupted work.")
    made.add_argument("--overwrite", action="store_true", help="replace an output, throw unfinished work away.")
    made.add_argument(
        "--every",
        type=PositiveInt,
        default=1,
        help="search whole frames only every so often, in between only around the faces of the frame before: faster, "
        "but somebody new is seen later.",
    )
    made.add_argument("--faces", type=NonNegativeInt, default=0, help="at most so many, the largest; 0 means all.")
    _add_finding(made)
    _add_calibration(made)
    made.add_argument(
        "--overlay", type=Path | None, default=None, help="folder for copies with boxes and AU bars (MP4, PNG)."
    )
    made.add_argument("--plot", type=Path | None, default=None, help="folder for a timeline of each video (PNG).")
    made.add_argument("--batch", type=PositiveInt, default=16, help="faces that go through the network together.")
    made.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto", help="where the network runs.")
    made.add_argument(
        "--cluster", choices=["none", "ray"], default="none", help="ray: spread the inputs over a Ray cluster."
    )
    made.add_argument("--address", type=str | None, default=None, help="of the Ray cluster; none starts one here.")
    return made


def _add_finding(made: ArgumentParser) -> None:
    made.add_argument(
        "--detector",
        choices=["recipe", "dlib5", "dlib68"],
        default="recipe",
        help="what finds faces; recipe: as the training data were made. dlib68 also gives landmarks, but its training "
        "data forbid commercial use.",
    )
    made.add_argument("--width", type=NonNegativeInt, default=640, help="with --detector: as in `metafacs prepare`.")
    made.add_argument("--upsample", type=NonNegativeInt, default=0, help="with --detector: doublings, for small faces.")
    made.add_argument("--threshold", type=float, default=0.0, help="with --detector: least score of a face.")


def _add_calibration(made: ArgumentParser) -> None:
    made.add_argument(
        "--calibrate",
        choices=["none", "baseline"],
        default="none",
        help="baseline: lower what a person's face shows at rest, taken from the video itself (docs/detect.md).",
    )
    made.add_argument(
        "--neutral",
        type=str | None,
        default=None,
        help="lower what the face shows at rest, taken from this: a picture of the person with a neutral face, or the "
        "number of a frame (from 0) of each video.",
    )


def _share_cores() -> None:
    """Leaves a core to finding faces, which goes on while the network works; on all cores they would wait for it."""
    if "OMP_NUM_THREADS" not in os.environ:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        torch.set_num_threads(max(1, min(torch.get_num_threads(), cores - 1)))


def _finder(settings: Namespace) -> dict[str, Any] | None:
    if settings.detector == "recipe":
        return None
    names = ("width", "upsample", "threshold")
    return {"name": settings.detector, **{name: getattr(settings, name) for name in names}}


def _check(settings: Namespace, sources: Sequence[Source]) -> None:
    if settings.neutral and settings.calibrate != "none":
        raise InputError("--neutral and --calibrate are two ways to the same end; give one of them")
    watched = any(source.kind == CAMERA for source in sources)
    if watched and (settings.resume or settings.overlay):
        raise InputError("what a camera saw is gone: --resume and --overlay need files")
    if settings.address and settings.cluster == "none":
        raise InputError("--address is of a cluster; give --cluster ray too")
    if watched and settings.cluster != "none":
        raise InputError("a camera is watched on this machine; leave --cluster out")
    for folder in (settings.overlay, settings.plot, *(path.parent for path in settings.out[1:])):
        if folder is not None:
            writable_folder(folder)


def _inputs(settings: Namespace) -> list[Source]:
    """What is to be looked at; what was drawn before of these inputs, and lies among them, is none.

    Raises:
        InputError: something to look at would be replaced by what is drawn, and neither --resume nor --overwrite says
            that it was drawn before.
    """
    sources = find_sources(settings.inputs)
    copies = (
        {os.path.realpath(path) for path in overlay_paths(settings.overlay, sources)} if settings.overlay else set()
    )
    plots = os.path.realpath(settings.plot) if settings.plot else None
    places = [Path(os.path.realpath(source.path)) for source in sources]
    ours = [
        str(path) in copies or (str(path.parent) == plots and path.name.endswith("_timeline.png")) for path in places
    ]
    if any(ours) and not (settings.resume or settings.overwrite):
        raise InputError(
            f"{sources[ours.index(True)].name} is an input, and what is drawn would replace it; choose another folder "
            "for --overlay or --plot, or add --overwrite if it was drawn by an earlier run"
        )
    return [source for source, own in zip(sources, ours, strict=True) if not own]


def _facts(settings: Namespace, sources: Sequence[Source], detector: AUDetector) -> dict[str, Any]:
    """All that the rows depend on."""
    said = hashlib.sha256()
    for source in sources:
        there = source.path.stat() if source.kind != CAMERA and source.path.exists() else None
        size = (there.st_size, there.st_mtime_ns) if there else ()
        said.update(f"{source.name}\0{source.kind}\0{size}\0".encode(errors="replace"))
    model = settings.model / DETECTOR if settings.model.is_dir() else settings.model
    with model.open("rb") as file:
        weights = hashlib.file_digest(file, "sha256").hexdigest()
    facts = {"inputs": said.hexdigest(), "model": weights, "finder": detector.finder}
    return {**facts, **{name: getattr(settings, name) for name in ("every", "faces", "batch", "format")}}


def _detect(
    settings: Namespace, detector: AUDetector, sources: Sequence[Source], parts: Parts, console: Console
) -> None:
    """Makes the parts that are missing; a camera is watched until Ctrl-C."""
    tracker, after = Tracker(settings.every, settings.faces), parts.after()
    if after:
        tracker.restore(after["tracker"])
    begin = (after["source"], after["frame"]) if after else (0, 0)
    live, shape = partial_path(settings.out[0]), FORMATS[settings.format]
    for number, rows in enumerate(parts.read()):
        append_csv(live, shape(rows, detector.aus, detector.thresholds), first=number == 0)
    camera = sources[0].kind == CAMERA
    total, done = expected_total(sources), parts.frames()
    names, part_frames = [source.name for source in sources], CAMERA_PART if camera else PART
    with progress_bar("detecting", console) as (update, note):
        if settings.cluster == "ray":
            made = _spread(settings, sources, parts, note)
        else:
            frames, last = source_frames(sources, *begin), begin[0] if after else -1
            made = watch(detector, names, frames, tracker, last, part_frames)
        begun, before = time.monotonic(), done
        update(done, max(total, done))
        try:
            for part in made:
                first = parts.count == 0
                parts.append(part)
                append_csv(live, shape(part.rows, detector.aus, detector.thresholds), first)
                done += part.frames
                note(f"{(done - before) / max(time.monotonic() - begun, 1e-9):.1f} frames/s")
                update(done, max(total, done))
        except KeyboardInterrupt:
            if not camera or not parts.count:
                raise


def _spread(settings: Namespace, sources: Sequence[Source], parts: Parts, note: Told) -> Iterator[Part]:
    ray = join_ray(settings.address, cores())
    options = {"finder": _finder(settings), "device": settings.device, "batch": settings.batch}
    job = Job(settings.model, options, settings.every, settings.faces, PART)
    return spread(ray, job, sources, parts.folder, parts.after(), note)


def _finish(
    settings: Namespace, detector: AUDetector, sources: Sequence[Source], parts: Parts, console: Console
) -> None:
    live = partial_path(settings.out[0])
    problems, faces = unreadable(parts)
    if not faces and len(problems) == len(sources):
        reasons = "; ".join(f"{name}: {problem}" for name, problem in list(problems.items())[:NOTES])
        live.unlink(missing_ok=True)
        parts.remove()
        raise InputError(f"not one input can be read: {reasons}")
    for name, problem in list(problems.items())[:NOTES]:
        console.print(f"{name}: {problem}", markup=False)
    if len(problems) > NOTES:
        console.print(f"{len(problems) - NOTES} more inputs cannot be read: see 'problem' in the table", markup=False)
    for told in cut_off(parts, sources)[:NOTES]:
        console.print(told, markup=False)
    calibrated = Calibrated(parts, detector, settings.calibrate == "baseline", settings.neutral)
    if calibrated.people is not None:
        console.print(f"calibrated: {calibrated.people} people; all others are left as they are", markup=False)
    shape = FORMATS[settings.format]
    rows = write_tables(settings.out, (shape(raw, detector.aus, detector.thresholds) for raw in calibrated))
    if settings.overlay:
        with progress_bar("drawing", console) as (update, _):
            for count in write_overlays(settings.overlay, sources, calibrated.tables(), detector.aus):
                update(count, parts.frames())
    if settings.plot:
        plot_timelines(settings.plot, sources, calibrated, detector)
    frames = parts.frames()
    live.unlink(missing_ok=True)
    parts.remove()
    told = f"{frames:,} frames or pictures, {faces:,} faces, {rows:,} rows"
    Console(soft_wrap=True, highlight=False).print(f"{settings.out[0]}: {told}", markup=False)
