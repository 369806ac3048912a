"""`metafacs synth`: a preset or an own mix in, rendered faces with known truth out."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Literal

from jsonargparse import ArgumentParser
from rich.console import Console

from metafacs.commands import parsing
from metafacs.errors import InputError
from metafacs.facs import au_code, parse_aus
from metafacs.files import naming
from metafacs.progress import progress_bar

DESCRIPTION = """Renders faces with known truth from a 3D head model; nothing is downloaded, and interrupted work goes
on where it stopped. `metafacs synth --preset NAME --out DIR` makes a dataset with the people, AUs, folds and base rates
of a benchmark (bp4d, disfa, gft, rafdb, ferplus; with --layout raw as the folder tree of its release), or an AU and an
expression dataset in DIR/au and DIR/fe (tiny, small). `metafacs synth au` and `metafacs synth fe` make own mixes: AU
recordings of a few people in three subject-exclusive folds, or one expression each of many people, named by forty
simulated annotators."""
KINDS = ("au", "fe")
FLAGS = {
    "weak": "weak",
    "blend": "blend",
    "gaze": "gaze",
    "pose": "head pose",
    "unreadable": "unreadable",
    "mislabelled": "wrong label",
}
"""Flag -> the cause of doubt whose share of the images it sets."""


def main(prog: str, arguments: Sequence[str]) -> None:
    """Runs the command."""
    kind = arguments[0] if arguments and arguments[0] in KINDS else None
    parser = _own_parser(prog, kind) if kind else _preset_parser(prog)
    settings = parsing.plain(parsing.parse(parser, arguments[1:] if kind else arguments))
    settings.pop("config", None)
    causes = {cause: settings.pop(flag) for flag, cause in FLAGS.items() if flag in settings}
    settings["causes"] = {cause: share for cause, share in causes.items() if share is not None}
    if "aus" in settings:
        settings["aus"] = tuple(au_code(column) for column in parse_aus(settings["aus"]))
    out = settings.pop("out")
    with naming(Path(out)):
        folders = render_own(kind, out, **settings) if kind else render_preset(out, **settings)
    console = Console(soft_wrap=True, highlight=False)
    for folder in folders:
        console.print(_summary(folder), markup=False)


def render_preset(out: str | Path, preset: str, **settings: Any) -> list[Path]:
    """Renders a preset with progress bars; `settings` are those of `synth.presets.render_preset`."""
    from metafacs.synth.presets import render_preset as render

    with _bars() as (bar, announce):
        return render(Path(out), preset, progress=bar, announce=announce, **settings)


def render_own(kind: str | None, out: str | Path, **settings: Any) -> list[Path]:
    """Renders an own mix, "au" or "fe", with a progress bar.

    Args:
        kind: which.
        out: folder of the dataset.
        **settings: those of `own_au_plan` or `own_fe_plan`, and `size`, `rays`, `seed`, `workers`.

    Raises:
        InputError: there is no such kind, or a setting is impossible.
    """
    from facsynth.plans import own_au_plan, own_fe_plan
    from metafacs.synth.rendering import Drawing, render_dataset

    names = ("size", "rays", "seed", "workers")
    drawing = Drawing(**{name: settings.pop(name) for name in names if name in settings})
    if kind not in KINDS:
        raise InputError(f"unknown kind '{kind}'; known: {', '.join(KINDS)}")
    if kind == "au":
        settings.pop("causes", None)
    plan = own_au_plan(**settings) if kind == "au" else own_fe_plan(**settings)
    with _bars() as (bar, announce):
        return [render_dataset(Path(out), plan, drawing, bar(plan.name), announce).folder]


@contextmanager
def _bars() -> Iterator[tuple[Callable[[str], Callable[[int, int], None]], Callable[[str], None]]]:
    """A function that starts the progress bar of a dataset, and one that announces."""
    with ExitStack() as bars:
        notes: list[Callable[[str], None]] = []

        def start(name: str) -> Callable[[int, int], None]:
            bars.close()  # one that had nothing to do
            update, note = bars.enter_context(progress_bar(name.replace("rendered-", "rendering ")))
            notes.append(note)

            def progress(done: int, total: int) -> None:
                if done:
                    note("")  # what was announced is over
                update(done, total)
                if done == total:
                    bars.close()  # the next one starts below

            return progress

        yield start, lambda text: notes[-1](text)


def _summary(folder: Path) -> str:
    from metafacs.data.prepared import CARD_FILE, PreparedDataset

    if not (folder / CARD_FILE).exists():
        return f"{folder}: a raw tree; the truth about every image is in {folder.parent / 'truth.parquet'}"
    faces = len(PreparedDataset.open(folder))
    return f"{folder}: {faces} faces; look at them with `metafacs inspect {folder}`"


def _preset_parser(prog: str) -> ArgumentParser:
    from metafacs.synth.presets import FRAMES, IMAGES, PRESETS, SIZE, WIDTH

    parser = parsing.parser(prog, DESCRIPTION, config_file=True)
    parser.add_argument("--preset", choices=PRESETS, required=True, help="what to render.")
    parser.add_argument("--out", type=Path, required=True, help="folder of the dataset, or of the datasets au and fe.")
    parser.add_argument(
        "--layout",
        type=Literal["prepared", "raw"],
        default="prepared",
        help="a prepared dataset, or camera frames and label files as in the release of the real one.",
    )
    number = int | Literal["all"] | None
    parser.add_argument(
        "--frames", type=number, help=f"frames of each person (bp4d, disfa, gft); 'all' as in reality, else {FRAMES}."
    )
    parser.add_argument("--images", type=number, help=f"images (rafdb, ferplus); 'all' as in reality, else {IMAGES}.")
    _add_causes(parser)
    parser.add_argument(
        "--coder_noise",
        type=float,
        default=0.0,
        help="how much the coders of AUs err, about in levels; 0.5 is typical.",
    )
    parser.add_argument(
        "--size", type=int | None, help=f"side of the face images in pixels; 48 tiny, 80 small, {SIZE}."
    )
    parser.add_argument("--width", type=int, default=WIDTH, help="width of the camera frames of raw layouts in pixels.")
    parser.add_argument("--rays", type=int | None, help="rays x rays samples are taken in each pixel; 1 tiny, else 2.")
    _add_work(parser)
    return parser


def _own_parser(prog: str, kind: str) -> ArgumentParser:
    from facsynth.plans import own_au_plan, own_fe_plan

    parser = parsing.parser(f"{prog} {kind}", DESCRIPTION, config_file=True)
    parser.add_argument("--out", type=Path, required=True, help="folder of the dataset.")
    if kind == "au":
        parser.add_function_arguments(own_au_plan, skip={"aus"})
        parser.add_argument(
            "--aus", default="bp4d", help='AUs to label: a set ("bp4d", "disfa", "gft") or a list (1,2,4).'
        )
    else:
        parser.add_function_arguments(own_fe_plan, skip={"causes"})
        _add_causes(parser)
    parser.add_argument("--size", type=int, default=96, help="side of the face images in pixels.")
    parser.add_argument("--rays", type=int, default=2, help="rays x rays samples are taken in each pixel.")
    _add_work(parser)
    return parser


def _add_causes(parser: ArgumentParser) -> None:
    from facsynth.emotion import DEFAULT_CAUSES

    meanings = {
        "weak": "show a weak expression",
        "blend": "show two expressions",
        "gaze": "carry the expression by the gaze alone",
        "pose": "carry the expression by the head's pose alone",
        "unreadable": "show hardly any expression and have a guess for a label",
        "mislabelled": "have the label of another expression",
    }
    for flag, cause in FLAGS.items():
        text = f"share of the expression images that {meanings[flag]}; {DEFAULT_CAUSES[cause]:g} where not given."
        parser.add_argument(f"--{flag}", type=float | None, help=text)


def _add_work(parser: ArgumentParser) -> None:
    parser.add_argument("--seed", type=int, default=0, help="equal seeds give equal files.")
    parser.add_argument("--workers", type=int, default=0, help="processes to use; 0 means all cores.")
