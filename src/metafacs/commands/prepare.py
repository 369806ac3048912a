"""`metafacs prepare NAME`: the raw release of a dataset in, a prepared dataset of aligned faces out."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser
from jsonargparse.typing import NonNegativeInt, PositiveInt
from rich.console import Console

from metafacs.commands.audit import show_audit
from metafacs.commands.parsing import parse, parser, plain
from metafacs.datasets import DATASETS, fold_numbering
from metafacs.datasets.base import SourceCard
from metafacs.datasets.preparation import SKIPPED_FILE, Prepared, prepare
from metafacs.datasets.table import EXAMPLE, EXPLAINED
from metafacs.errors import InputError
from metafacs.faces import FINDERS, Recipe, make_finder
from metafacs.faces.finders import PUPILS, SMALLEST_HELP, best_finder, search_settings, settled
from metafacs.faces.recipe import SIMILARITY, WHOLE
from metafacs.files import naming
from metafacs.progress import progress_bar

DESCRIPTION = """Makes a prepared dataset from a raw release: reads its labels, finds the face in every picture or video
frame, aligns it by the eyes and writes it with its labels, subject and fold. Rows without a face and pictures that
cannot be read are left out, counted and listed in skipped.csv. Ends with an audit: does the dataset match what is
published about it? Interrupted work goes on where it stopped."""
FOLDS_HELP = "show what other repositories call the folds P1, P2 and P3 of BP4D and DISFA, and end."
NOTES = 10
"""So many of the reader's notes are shown at once; the audit has all."""


def main(prog: str, arguments: Sequence[str]) -> None:
    """Runs the command."""
    if "--folds_elsewhere" in arguments:
        Console(soft_wrap=True, highlight=False).print(fold_numbering(), markup=False)
        return
    if arguments and arguments[0] in DATASETS:
        _prepare(prog, arguments[0], arguments[1:])
        return
    if "--list" in arguments:
        Console(soft_wrap=True, highlight=False).print(cards(), markup=False)
        return
    known = "; ".join(f"{name}: {DATASETS[name].card.title}" for name in DATASETS)
    command = parser(prog, DESCRIPTION)
    command.add_argument("--list", action="store_true", help="show every dataset's card and end.")
    command.add_argument("--folds_elsewhere", action="store_true", help=FOLDS_HELP)
    command.add_argument(
        "name", choices=list(DATASETS), help=f"the dataset; `{prog} NAME --help` lists its flags. {known}."
    )
    parse(command, arguments)


def cards() -> str:
    """What `metafacs prepare --list` prints."""
    return "\n\n".join(f"{name}\n{_indented(DATASETS[name].card)}" for name in DATASETS)


def describe(card: SourceCard) -> list[tuple[str, str]]:
    """A dataset's card as pairs of title and text."""
    pairs = [("", card.title), ("", card.what), ("count", card.count), ("split", card.split)]
    pairs += [("licence", card.licence), ("cite", card.citation), ("obtain", card.obtain), ("page", card.url)]
    return [(title, text) for title, text in [*pairs, ("tried", card.tried)] if text]


def _indented(card: SourceCard) -> str:
    return "\n".join(f"  {title + ': ' if title else ''}{text}" for title, text in describe(card))


def _prepare(prog: str, name: str, arguments: Sequence[str]) -> None:
    reader = DATASETS[name]
    command = parser(f"{prog} {name}", f"{DESCRIPTION} {_sentences(reader.card)}", config_file=True)
    command.add_argument("--raw", type=Path, required=True, help="folder of the raw release.")
    command.add_argument("--out", type=Path, required=True, help="folder of the prepared dataset to make.")
    names = command.add_class_arguments(reader)
    if name == "table":
        command.add_argument("--example", action="store_true", help="print such a table with its columns explained.")
    _add_flags(command)
    if name == "table" and "--example" in arguments:
        Console(stderr=True, soft_wrap=True, highlight=False).print(EXPLAINED, markup=False)
        Console(soft_wrap=True, highlight=False).print(EXAMPLE, markup=False, end="")
        return
    settings = plain(parse(command, arguments))
    options = {key: settings[key] for key in names}
    raw, out = Path(settings["raw"]), Path(settings["out"])
    source = reader(**options)
    if settings["detector"] == "auto":
        settings["detector"] = "none" if source.aligned else best_finder()
    recipe = _recipe(settings)
    make_finder(recipe.finder)  # what is missing is said before the labels are read
    if not raw.is_dir():
        raise InputError(f"--raw {raw} is not a folder; give the folder of the raw release")
    console = Console(soft_wrap=True, highlight=False)
    if recipe.finder["name"] == "dlib68":
        console.print("dlib68: the training data of this model (iBUG 300-W) forbid commercial use", markup=False)
    listing = source.read(raw)
    if listing.aus and not listing.people_known:
        console.print("WARNING: no score on this dataset will be subject-exclusive, as who is who is not known:")
    for note in listing.notes[:NOTES]:
        console.print(f"note: {note}", markup=False)
    console.print(f"{len(listing.rows):,} labelled rows; {sum(skip.rows for skip in listing.skipped):,} left out")
    with naming(out), progress_bar("preparing faces") as (update, note_rate):
        done = prepare(
            listing,
            raw,
            out,
            name=name,
            title=settings["name"] or (out.resolve().name if name == "table" else ""),
            source=reader.card,
            recipe=recipe,
            options=options,
            workers=settings["workers"],
            progress=_with_rate(update, note_rate),
        )
    _report(done, console)
    show_audit(out, console)
    console.print(f"look at more of it with `metafacs inspect {out}`", markup=False)


def _sentences(card: SourceCard) -> str:
    return " ".join(f"{title.capitalize()}: {text}." if title else f"{text}." for title, text in describe(card))


def _add_flags(command: ArgumentParser) -> None:
    finders = "; ".join(f"{name}: {what}" for name, what in FINDERS.items())
    command.add_argument(
        "--name",
        type=str,
        default="",
        help="of the dataset, for tables and figures; by default the reader's, for a table that of the folder --out.",
    )
    command.add_argument("--size", type=PositiveInt, default=256, help="side of the crops, pixels.")
    command.add_argument(
        "--margin", type=float, default=0.0, help="added on each side of the template, as a share of the crop."
    )
    command.add_argument("--quality", type=PositiveInt, default=92, help="of the JPEG crops, 1-95.")
    chosen = "what finds faces; auto: none where the release's pictures are aligned already, else the "
    chosen += "best that is installed, mediapipe, centerface or dlib5."
    command.add_argument("--detector", choices=["auto", *FINDERS], default="auto", help=f"{chosen} {finders}.")
    command.add_argument(
        "--width",
        type=NonNegativeInt,
        default=640,
        help="with dlib and YuNet: larger pictures are shrunk to this before faces are sought; smaller is faster but "
        "loses small faces (dlib sees those of 80 pixels or more in what remains); 0 never shrinks.",
    )
    command.add_argument(
        "--upsample", type=NonNegativeInt, default=0, help="doublings, to find smaller faces (dlib); slow."
    )
    command.add_argument("--smallest", type=float, default=0.0, help=SMALLEST_HELP)
    command.add_argument(
        "--threshold",
        type=float | None,
        default=None,
        help="least score of a face; dlib's default is 0, CenterFace's 0.5, YuNet's 0.6.",
    )
    command.add_argument("--model", type=Path | None, default=None, help="YuNet's .onnx file.")
    command.add_argument("--model_sha256", type=str, default="", help="its SHA-256.")
    command.add_argument(
        "--several",
        choices=["nearest", "largest"],
        default="nearest",
        help="which of several faces: the one nearest to that of the frame before (the largest in the first frame), "
        "or always the largest.",
    )
    command.add_argument(
        "--every",
        type=PositiveInt,
        default=1,
        help="search whole frames only every so often, in between only around the face of the frame before; a face "
        "that is lost is sought in the whole frame at once.",
    )
    command.add_argument("--workers", type=NonNegativeInt, default=0, help="processes; 0 means all cores.")
    command.add_argument("--folds_elsewhere", action="store_true", help=FOLDS_HELP)


def _recipe(settings: dict[str, Any]) -> Recipe:
    name = settings["detector"]
    finder: dict[str, Any] = {"name": name}
    if name == "yunet":
        if settings["model"] is None:
            raise InputError("--detector yunet needs --model FILE.onnx and --model_sha256")
        threshold = 0.6 if settings["threshold"] is None else settings["threshold"]
        finder |= {"model": settings["model"], "sha256": settings["model_sha256"], "width": settings["width"]}
        finder["threshold"] = threshold
    elif name not in ("given", "none"):
        names = ("width", "upsample", "smallest", "threshold")
        finder = settled(search_settings(name, **{key: settings[key] for key in names}), PUPILS)
    kind = WHOLE if name == "none" else SIMILARITY
    return Recipe(
        kind=kind,
        size=settings["size"],
        margin=settings["margin"],
        quality=settings["quality"],
        finder=finder,
        choice=settings["several"],
        every=settings["every"],
        eyes=PUPILS,
    )


def _with_rate(update: Callable[[int, int], None], note: Callable[[str], None]) -> Callable[[int, int], None]:
    """Tells the rate of this run beside what is done, of which an earlier run may have done a part."""
    begun: list[tuple[float, int]] = []

    def progress(done: int, total: int) -> None:
        now = time.monotonic()
        if not begun:
            begun.append((now, done))
        elif now > begun[0][0]:
            note(f"{(done - begun[0][1]) / (now - begun[0][0]):.1f} frames/s")
        update(done, total)

    return progress


def _report(done: Prepared, console: Console) -> None:
    folder = done.dataset.folder
    counts = done.dataset.card.counts.get("skipped", {})
    console.print(
        f"{folder}: {len(done.dataset):,} faces; left out: {counts.get('listing', 0):,} by the labels, "
        f"{counts.get('picture', 0):,} unreadable pictures, {counts.get('face', 0):,} without a face "
        f"({folder / SKIPPED_FILE})\n",
        markup=False,
    )
