"""Writes the starter model's card: what it is, what it is not, and the figures that were just measured."""

from pathlib import Path

import numpy as np
import pandas as pd
import scores

import faces
from metafacs.evaluation.metrics import average_scores
from metafacs.facs import ACTION_UNITS, au_title
from metafacs.files import write_text
from metafacs.training.checkpoint import load_detector

NAME = "MODEL_CARD.md"

TEMPLATE = Path(__file__).with_name("card.md")
"""The card, with names in braces where what was measured goes."""


def write(path: Path, detector: Path, train_images: int, measured: scores.Scores, train_people: int) -> None:
    """Writes the card.

    Args:
        path: the file.
        detector: the file with the weights.
        train_images: pictures that it was trained on.
        measured: on people who never trained.
        train_people: the people in them.
    """
    network, about = load_detector(detector)
    values = {
        "aus": ", ".join(f"{au_title(au)} ({ACTION_UNITS[int(au[2:])].name.lower()})" for au in about.aus),
        "backbone": about.backbone,
        "options": ", ".join(f"{name} {value}" for name, value in about.backbone_options.items()),
        "parameters": sum(p.numel() for p in network.parameters()) / 1e6,
        "size": detector.stat().st_size / 1e6,
        "resize": about.resize,
        "side": about.side,
        "method": about.method,
        "version": about.tool_version,
        "steps": about.steps,
        "train": train_images,
        "people": train_people,
        "frames": faces.FRAMES,
        "images": measured.images,
        "held_out": measured.people,
        "table": score_table(measured.crops),
        "photographs": measured.photographs,
        "photographed": measured.photographs // faces.FRAMES,
        "width": scores.WIDTH,
        "height": scores.HEIGHT,
        "missed": measured.missed,
        "ends": _ends(measured),
        "half": measured.half,
        "shipped": _shipped(measured, about.aus),
    }
    write_text(path, TEMPLATE.read_text(encoding="utf-8").format(**values))


def score_table(crops: pd.DataFrame) -> str:
    """F1, its floor, AUC and base rate of every AU, in percent, as Markdown."""
    lines = ["| AU | F1 | all present | AUC | present in |", "| --- | ---: | ---: | ---: | ---: |"]
    average = average_scores(crops)
    for au, row in crops.iterrows():
        lines.append(_line(au_title(str(au)), row, 100 * row["positives"] / row["n"]))
    return "\n".join([*lines, _line("**average**", average, 100 * float((crops["positives"] / crops["n"]).mean()))])


def _line(name: str, row: pd.Series, rate: float) -> str:
    entries = (f"{100 * row[metric]:.1f}" for metric in ("f1", "f1_all_positive", "auc"))
    return f"| {name} | {' | '.join(entries)} | {rate:.0f} % |"


def _ends(measured: scores.Scores) -> str:
    lines = ["| | average F1 | average AUC |", "| --- | ---: | ---: |"]
    for name, table in (("found and aligned by dlib", measured.found), ("cut out by the renderer", measured.cropped)):
        average = average_scores(table)
        lines.append(f"| {name} | {100 * average['f1']:.1f} | {100 * average['auc']:.1f} |")
    return "\n".join(lines)


def _shipped(measured: scores.Scores, aus: list[str]) -> str:
    lines = ["| photograph | what we see | called present (probability) | nearest below |", "| --- | --- | --- | --- |"]
    for name, values in measured.shipped.items():
        order = sorted(aus, key=lambda au: -values[au])
        texts = [f"{au_title(au)} {values[au]:.2f}" for au in order]
        count = int(np.sum([values[au] >= 0.5 for au in aus]))
        present, nearest = ", ".join(texts[:count]) or "none", ", ".join(texts[count : count + 3])
        _, _, whose, visible = scores.SHIPPED[name]
        lines.append(f"| {whose} `{name}` | {visible} | {present} | {nearest} |")
    return "\n".join(lines)
