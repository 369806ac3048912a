"""`metafacs synth au|fe`: settings in, a rendered prepared dataset out."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from metafacs.commands.parsing import parse, parser, plain
from metafacs.commands.progress import progress_bar
from metafacs.data.prepared import PreparedDataset
from metafacs.errors import InputError
from metafacs.facs import au_code, parse_aus

DESCRIPTION = """Renders faces with known truth from a 3D head model. `metafacs synth au` makes an AU dataset (few
people, many frames each, three subject-exclusive folds), `metafacs synth fe` an expression dataset (many people, one
image each, named by forty simulated annotators). Nothing is downloaded. Interrupted work goes on where it stopped."""
KINDS = ("au", "fe")


def main(prog: str, arguments: Sequence[str]) -> None:
    """Runs the command."""
    if arguments and arguments[0] in KINDS:
        _main(prog, arguments[0], arguments[1:])
        return
    made = parser(prog, DESCRIPTION)
    made.add_argument("kind", choices=KINDS, help="what to render; `metafacs synth au --help` lists its flags.")
    parse(made, arguments)


def _main(prog: str, kind: str, arguments: Sequence[str]) -> None:
    from metafacs.synth.dataset import render_au_dataset, render_fe_dataset

    made = parser(f"{prog} {kind}", DESCRIPTION, config_file=True)
    function = render_au_dataset if kind == "au" else render_fe_dataset
    made.add_function_arguments(function, skip={"progress", "announce", "aus"})
    if kind == "au":
        made.add_argument(
            "--aus", default="bp4d", help='AUs to label: a set ("bp4d", "disfa", "gft") or a list (1,2,4).'
        )
    settings = plain(parse(made, arguments))
    settings.pop("config", None)
    if "aus" in settings:
        settings["aus"] = [au_code(column) for column in parse_aus(settings["aus"])]
    console = Console(soft_wrap=True, highlight=False)
    dataset = render(kind, **settings)
    console.print(f"{dataset.folder}: {len(dataset)} faces; look at them with `metafacs inspect {dataset.folder}`")


def render(kind: str, out: str | Path, **settings: object) -> PreparedDataset:
    """Renders with a progress bar; `settings` are those of the functions in `synth.dataset`."""
    from metafacs.synth.dataset import render_au_dataset, render_fe_dataset

    function = {"au": render_au_dataset, "fe": render_fe_dataset}.get(kind)
    if function is None:
        raise InputError(f"unknown kind '{kind}'; known: {', '.join(KINDS)}")
    names = {"au": "rendering AU faces", "fe": "rendering expressions"}
    with progress_bar(names[kind]) as (update, note):

        def progress(done: int, total: int) -> None:
            if done:
                note("")  # what was announced is over
            update(done, total)

        return function(Path(out), progress=progress, announce=note, **settings)  # type: ignore[operator]
