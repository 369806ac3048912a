"""`metafacs export`: a trained detector in, one ONNX file that needs no PyTorch out."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from jsonargparse import ArgumentParser, Namespace
from rich.console import Console

from metafacs.commands.parsing import parse, parser
from metafacs.commands.starter import add_model_flag, announced_starter
from metafacs.errors import InputError
from metafacs.export import NEWEST, OLDEST
from metafacs.files import atomic_file
from metafacs.runs import DETECTOR

if TYPE_CHECKING:
    from metafacs.data.prepared import PreparedDataset
    from metafacs.faces import Picture
    from metafacs.training.checkpoint import DetectorCard

DESCRIPTION = """Writes a detector as one ONNX file: aligned faces (uint8) in, probabilities of its AUs out, for any
number of faces at a time. Resizing, normalisation and sigmoid are inside; AU names, thresholds, the recipe of alignment
and the detector's card are in its metadata. The file is run and compared with PyTorch before it is written, and only
written if no probability differs by more than 1e-4. docs/export.md says how to use it without metafacs."""
ENDING = ".onnx"


def main(prog: str, arguments: Sequence[str]) -> None:
    """Runs the command."""
    settings = parse(_flags(prog), arguments)
    _check(settings)
    from metafacs.export.cost import accuracy  # and what else needs PyTorch: after the flags
    from metafacs.export.graph import import_onnx, to_graph
    from metafacs.export.metadata import describe, properties
    from metafacs.export.parity import by_torch, check_parity, rendered_faces
    from metafacs.export.quantisation import quantised
    from metafacs.export.session import Session
    from metafacs.inference.detector import recipe_of
    from metafacs.training.checkpoint import load_detector

    import_onnx()
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    model = settings.model or announced_starter(console)
    network, card = load_detector(model / DETECTOR if model.is_dir() else model)
    recipe = recipe_of(card)
    calibration, scored = _datasets(settings, card)
    graph = to_graph(network, card, recipe.size, settings.opset)
    plain = Session(graph.SerializeToString())
    worst = check_parity(plain, network, card, recipe.size)
    console.print(f"differs from PyTorch by at most {worst:.1e} on test faces", markup=False)
    numbers, how = "float32", dict[str, str | int]()
    if settings.quantize:
        numbers = "int8"
        faces, how = _calibration(calibration, card, recipe.size)
        graph = quantised(graph, faces)
    describe(graph, properties(card, recipe, numbers, how))
    content = graph.SerializeToString()
    session = Session(content)
    if settings.quantize:
        shown = rendered_faces(recipe.size)
        apart = abs(session.probabilities(shown) - by_torch(network, card, shown))
        text = f"int8 differs from float32 by {apart.mean():.3f} on average, {apart.max():.3f} at most, on test faces"
        console.print(text, markup=False)
    with atomic_file(settings.out) as partial:
        partial.write_bytes(content)
    out = Console(soft_wrap=True, highlight=False)
    text = f"{settings.out}: {len(card.aus)} AUs, faces of {recipe.size} pixels, {numbers}, {session.size / 1e6:.1f} MB"
    out.print(text, markup=False)
    if scored is not None:
        table = accuracy(plain, session, scored, card, recipe.size)
        out.print(table.to_string(float_format=lambda value: f"{value:.1f}"), markup=False)
        out.print(f"size: {plain.size / 1e6:.2f} MB -> {session.size / 1e6:.2f} MB", markup=False)


def _flags(prog: str) -> ArgumentParser:
    flags = parser(prog, DESCRIPTION)
    add_model_flag(flags)
    flags.add_argument("--out", type=Path, default=Path("detector.onnx"), help=f"the file to write, {ENDING}.")
    flags.add_argument("--overwrite", action="store_true", help="replace a file that is there.")
    flags.add_argument("--quantize", action="store_true", help="compute in int8: smaller, faster, less accurate.")
    flags.add_argument(
        "--calibrate",
        type=Path | None,
        default=None,
        help="with --quantize: a prepared dataset like the faces it will see; else rendered faces that ship with the "
        "package. Labels are not used, and neither are people whom the detector is tested on.",
    )
    flags.add_argument(
        "--data",
        type=Path | None,
        default=None,
        help="with --quantize: a prepared dataset to score float32 and int8 on; of the detector's own dataset only "
        "people who never trained.",
    )
    flags.add_argument("--opset", type=int, default=OLDEST, help=f"version of ONNX's operators, {OLDEST} to {NEWEST}.")
    return flags


def _check(settings: Namespace) -> None:
    from metafacs.inference.outputs import writable_folder

    if settings.out.suffix.lower() != ENDING:
        raise InputError(f"--out {settings.out}: the name has to end in {ENDING}")
    if settings.out.is_dir():
        raise InputError(f"{settings.out} is a folder; give the name of a file to write")
    if settings.out.exists() and not settings.overwrite:
        raise InputError(f"{settings.out} is there already; choose another --out, or replace it with --overwrite")
    for name in ("calibrate", "data"):
        if settings[name] and not settings.quantize:
            raise InputError(f"--{name} belongs to int8; give --quantize too")
    writable_folder(settings.out.parent)


def _datasets(settings: Namespace, card: "DetectorCard") -> "tuple[PreparedDataset | None, PreparedDataset | None]":
    """The datasets to calibrate and to score with, opened and found fit before any work is done."""
    from metafacs.data.prepared import PreparedDataset
    from metafacs.export.cost import calibration_rows, common_aus, scored_rows

    calibration = PreparedDataset.open(settings.calibrate) if settings.calibrate else None
    scored = PreparedDataset.open(settings.data) if settings.data else None
    if calibration is not None:
        calibration_rows(calibration, card)
    if scored is not None:
        scored_rows(scored, card, common_aus(scored, card))
    return calibration, scored


def _calibration(
    dataset: "PreparedDataset | None", card: "DetectorCard", size: int
) -> "tuple[Picture, dict[str, str | int]]":
    """Faces to calibrate with, and what the file says about them."""
    from metafacs.export.cost import calibration_rows, dataset_faces
    from metafacs.export.parity import rendered_faces

    if dataset is None:
        faces, name = rendered_faces(size), "rendered faces of metafacs"
    else:
        faces, name = dataset_faces(dataset, calibration_rows(dataset, card), size), dataset.card.name
    return faces, {"way": "static, weights per channel", "calibrated_on": name, "calibration_faces": len(faces)}
