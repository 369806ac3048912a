"""`metafacs detect`: photographs and videos in, a table of faces and their AUs out."""

import hashlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jsonargparse import ArgumentParser, Namespace
from jsonargparse.typing import NonNegativeInt, PositiveFloat, PositiveInt
from rich.console import Console

from metafacs.clusters import join_ray
from metafacs.commands.parsing import parse, parser
from metafacs.commands.starter import add_model_flag, announced_starter
from metafacs.errors import InputError
from metafacs.faces.finders import SEARCHING, SMALLEST_HELP, search_settings
from metafacs.files import naming, refuse_files
from metafacs.inference.formats import FORMATS
from metafacs.inference.outputs import append_csv, check_outputs, partial_path, writable_folder, write_tables
from metafacs.inference.overlay import overlay_paths, write_overlays
from metafacs.inference.parts import Parts, parts_folder
from metafacs.inference.sources import (
    CAMERA,
    RECORDING,
    Source,
    expected_total,
    find_sources,
    recordings,
    source_frames,
)
from metafacs.inference.watching import PART, Part, watch
from metafacs.pool import cores
from metafacs.progress import progress_bar
from metafacs.runs import DETECTOR

if TYPE_CHECKING:
    from metafacs.inference.detector import AUDetector

DESCRIPTION = """Detects facial Action Units in photographs and videos: finds every face, aligns it as in training, and
writes a probability and a presence per AU into a table. A frame without a face is a row with success 0. Interrupted
work leaves what was found so far in OUT.partial.csv and goes on with --resume. Nothing is sent anywhere."""
NOTES = 5
"""So many unreadable inputs are named; the table has all."""
TRACKER = 4
"""Version of unfinished work: of its columns, and of what the tracker remembers."""
CAMERA_PART = 25
"""Frames of a part when a camera is watched: what stopping it may cost."""


def main(prog: str, arguments: Sequence[str]) -> None:
    """Runs the command."""
    settings = parse(_flags(prog), arguments)
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    out, live, unfinished = settings.out[0], partial_path(settings.out[0]), parts_folder(settings.out[0])
    done = settings.resume and not settings.overwrite and out.is_file()
    check_outputs(settings.out, settings.overwrite or done)
    sources = _inputs(settings)
    import torch  # and what needs it: after the flags, so that --help comes at once

    from metafacs.inference.detector import AUDetector

    if "OMP_NUM_THREADS" not in os.environ:  # faces are sought while the network works: on all cores both would wait
        torch.set_num_threads(max(1, min(torch.get_num_threads(), cores() - 1)))
    settings.model = settings.model or announced_starter(console)
    options = {"finder": _finder(settings), "device": settings.device, "batch": settings.batch}
    detector = AUDetector.from_run(settings.model, **options)
    _check(settings, sources)
    if done and not unfinished.exists():
        console.print(f"{out} is there already: nothing to do", markup=False)
        return
    for au in FORMATS[settings.format].missing(detector.aus):
        console.print(f"note: {settings.format} has no {au}; it stands behind its columns", markup=False)
    if not settings.overwrite and not unfinished.exists():
        refuse_files(live.parent, [live.name], "move that, choose another --out, or replace it with --overwrite")
    parts = Parts(out, _facts(settings, sources, detector), settings.resume, settings.overwrite)
    try:
        with naming(out):
            _detect(settings, detector, options, sources, parts, console)
            _finish(settings, detector, sources, parts, console)
    finally:
        if parts.count:
            parts.close()
        else:
            parts.remove()


def _flags(prog: str) -> ArgumentParser:
    flags = parser(prog, DESCRIPTION)
    flags.add_argument(
        "inputs",
        nargs="+",
        type=str,
        help="pictures, videos, folders (with everything below), patterns in quotes, or the number of a camera "
        "(cameras are untested).",
    )
    flags.add_argument(
        "--recording",
        action="store_true",
        help="the pictures of a folder are the frames of a recording, in the order of the numbers at the end of their "
        "names: people are followed, and there are times and a timeline.",
    )
    flags.add_argument("--rate", type=PositiveFloat, default=25.0, help="with --recording: frames a second.")
    add_model_flag(flags)
    flags.add_argument(
        "--out",
        nargs="+",
        type=Path,
        default=[Path("detections.csv")],
        help="one or more files to write; .csv or .parquet says the kind. Unfinished work lies beside the first.",
    )
    titles = "; ".join(f"{name}: {form.title}" for name, form in FORMATS.items())
    flags.add_argument("--format", choices=list(FORMATS), default="tidy", help=f"columns. {titles}.")
    flags.add_argument("--resume", action="store_true", help="go on with interrupted work.")
    flags.add_argument("--overwrite", action="store_true", help="replace an output, throw unfinished work away.")
    flags.add_argument(
        "--every",
        type=PositiveInt,
        default=1,
        help="search whole frames only every so often, in between only around the faces of the frame before: faster, "
        "but somebody new is seen later.",
    )
    flags.add_argument(
        "--faces",
        type=NonNegativeInt,
        default=0,
        help="at most so many: of a picture the largest, of a video the people known longest, then the largest; 0 "
        "means all.",
    )
    flags.add_argument(
        "--detector",
        choices=["recipe", "auto", *SEARCHING],
        default="recipe",
        help="what finds faces; recipe: as the training data were made, or auto where those were rendered or came with "
        "landmarks; auto: the best that is installed (mediapipe, centerface, dlib5). mediapipe and dlib68 also give "
        "landmarks, but dlib68's training data forbid commercial use.",
    )
    flags.add_argument("--width", type=NonNegativeInt, default=640, help="with dlib: as in `metafacs prepare`.")
    flags.add_argument("--upsample", type=NonNegativeInt, default=0, help="with dlib: doublings, for small faces.")
    flags.add_argument("--smallest", type=float, default=0.0, help=f"with --detector: {SMALLEST_HELP}")
    flags.add_argument("--threshold", type=float | None, default=None, help="with --detector: least score of a face.")
    flags.add_argument(
        "--calibrate",
        choices=["none", "baseline"],
        default="none",
        help="baseline: lower what a person's face shows at rest, taken from the video itself (docs/detect.md).",
    )
    flags.add_argument(
        "--neutral",
        type=str | None,
        default=None,
        help="lower what the face shows at rest, taken from this: a picture of the person with a neutral face, or the "
        "number of a frame (from 0) of each video.",
    )
    flags.add_argument(
        "--overlay", type=Path | None, default=None, help="folder for copies with boxes and AU bars (MP4, PNG)."
    )
    flags.add_argument("--plot", type=Path | None, default=None, help="folder for a timeline of each video (PNG).")
    flags.add_argument("--batch", type=PositiveInt, default=16, help="faces that go through the network together.")
    flags.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto", help="where the network runs.")
    flags.add_argument(
        "--cluster", choices=["none", "ray"], default="none", help="ray: spread the inputs over a Ray cluster."
    )
    flags.add_argument("--address", type=str | None, default=None, help="of the Ray cluster; none starts one here.")
    return flags


def _finder(settings: Namespace) -> dict[str, Any] | None:
    if settings.detector == "recipe":
        return None
    names = ("width", "upsample", "smallest", "threshold")
    return search_settings(settings.detector, **{name: settings[name] for name in names})


def _check(settings: Namespace, sources: Sequence[Source]) -> None:
    if settings.neutral and settings.calibrate != "none":
        raise InputError("--neutral and --calibrate are two ways to the same end; give one of them")
    camera = any(source.kind == CAMERA for source in sources)
    if camera and (settings.resume or settings.overlay):
        raise InputError("what a camera saw is gone: --resume and --overlay need files")
    if settings.address and settings.cluster == "none":
        raise InputError("--address is of a cluster; give --cluster ray too")
    if camera and settings.cluster != "none":
        raise InputError("a camera is watched on this machine; leave --cluster out")
    for folder in (settings.overlay, settings.plot, *(path.parent for path in settings.out[1:])):
        if folder is not None:
            writable_folder(folder)


def _inputs(settings: Namespace) -> list[Source]:
    """What is to be looked at; what was drawn before of these inputs, and lies among them, is left out.

    Raises:
        InputError: something to look at would be replaced by what is drawn, and neither --resume nor --overwrite says
            that it was drawn before.
    """
    sources = find_sources(settings.inputs)
    sources = recordings(sources, settings.rate) if settings.recording else sources
    copies = overlay_paths(settings.overlay, sources) if settings.overlay else []
    drawn = {os.path.realpath(path) for path in copies}
    plots = os.path.realpath(settings.plot) if settings.plot else None
    inputs: list[Source] = []
    replaced: list[Source] = []
    for source in sources:
        folder, name = os.path.split(path := os.path.realpath(source.path))
        ours = path in drawn or (folder == plots and name.endswith("_timeline.png"))
        (replaced if ours else inputs).append(source)
    if replaced and not (settings.resume or settings.overwrite):
        raise InputError(
            f"{replaced[0].name} is an input, and what is drawn would replace it; choose another folder for --overlay "
            "or --plot, or add --overwrite if it was drawn by an earlier run"
        )
    return inputs


def _facts(settings: Namespace, sources: Sequence[Source], detector: "AUDetector") -> dict[str, Any]:
    """All that the rows depend on."""
    inputs = hashlib.sha256()
    for source in sources:
        files = source.pictures.values() if source.kind == RECORDING else [source.path] if source.kind != CAMERA else []
        sizes = [(there.st_size, there.st_mtime_ns) for path in files if path.exists() for there in (path.stat(),)]
        what = f"{source.name}\0{source.kind}\0{sizes}\0{[*source.pictures]}\0{source.rate}\0"
        inputs.update(what.encode(errors="replace"))
    model = settings.model / DETECTOR if settings.model.is_dir() else settings.model
    with model.open("rb") as file:
        weights = hashlib.file_digest(file, "sha256").hexdigest()
    facts = {"inputs": inputs.hexdigest(), "model": weights, "finder": detector.finder, "tracker": TRACKER}
    return {**facts, **{name: settings[name] for name in ("every", "faces", "batch", "format")}}


def _detect(
    settings: Namespace,
    detector: "AUDetector",
    options: dict[str, Any],
    sources: Sequence[Source],
    parts: Parts,
    console: Console,
) -> None:
    """Makes the parts that are missing; a camera is watched until Ctrl-C."""
    live, table = partial_path(settings.out[0]), FORMATS[settings.format].table
    for number, rows in enumerate(parts.read()):
        append_csv(live, table(rows, detector.aus, detector.thresholds), first=number == 0)
    total, before = expected_total(sources), parts.frames()
    done, begun = before, time.monotonic()
    with progress_bar("detecting", console) as (update, note):
        update(done, max(total, done))
        try:
            for part in _missing(settings, detector, options, sources, parts, note):
                parts.append(part)  # first: what a full disk leaves has to be gone on with
                append_csv(live, table(part.rows, detector.aus, detector.thresholds), first=parts.count == 1)
                done += part.frames
                note(f"{(done - before) / max(time.monotonic() - begun, 1e-9):.1f} frames/s")
                update(done, max(total, done))
        except KeyboardInterrupt:
            if sources[0].kind != CAMERA or not parts.count:
                raise


def _missing(
    settings: Namespace,
    detector: "AUDetector",
    options: dict[str, Any],
    sources: Sequence[Source],
    parts: Parts,
    note: Callable[[str], None],
) -> Iterator[Part]:
    after = parts.after()
    if settings.cluster == "ray":
        from metafacs.inference.cluster import Work, spread

        work = Work(settings.model, options, settings.every, settings.faces)
        return spread(join_ray(settings.address, cores()), work, sources, after, note)
    tracker = detector.tracker(settings.every, settings.faces)
    source, frame = (after["source"], after["frame"]) if after else (0, 0)
    if after:
        tracker.restore(after["tracker"])
    names, size = [source.name for source in sources], CAMERA_PART if sources[0].kind == CAMERA else PART
    return watch(detector, names, source_frames(sources, source, frame), tracker, source if after else -1, size)


def _finish(
    settings: Namespace, detector: "AUDetector", sources: Sequence[Source], parts: Parts, console: Console
) -> None:
    """From parts to what was asked for; then they go."""
    from metafacs.inference.finishing import Calibrated, account, plot_timelines

    live, result = partial_path(settings.out[0]), account(parts, sources)
    problems = [f"{name}: {problem}" for name, problem in result.problems.items()]
    if not result.faces and len(problems) == len(sources):
        live.unlink(missing_ok=True)
        parts.remove()
        raise InputError(f"not one input can be read: {'; '.join(problems[:NOTES])}")
    more = len(problems) - NOTES
    rest = [f"{more} more inputs cannot be read: see 'problem' in the table"] if more > 0 else []
    for text in (*problems[:NOTES], *rest, *result.cut_off[:NOTES]):
        console.print(text, markup=False)
    calibrated = Calibrated(parts, detector, settings.calibrate == "baseline", settings.neutral)
    if calibrated.people is not None:
        console.print(f"calibrated: {calibrated.people} people; all others are left as they are", markup=False)
    table = FORMATS[settings.format].table
    rows = write_tables(settings.out, (table(raw, detector.aus, detector.thresholds) for raw in calibrated))
    frames = parts.frames()
    if settings.overlay:
        with progress_bar("drawing", console) as (update, _):
            for count in write_overlays(settings.overlay, sources, calibrated.tables(), detector.aus):
                update(count, frames)
    if settings.plot:
        plot_timelines(settings.plot, sources, calibrated, detector)
    live.unlink(missing_ok=True)
    parts.remove()
    text = f"{settings.out[0]}: {frames:,} frames or pictures, {result.faces:,} faces, {rows:,} rows"
    Console(soft_wrap=True, highlight=False).print(text, markup=False)
