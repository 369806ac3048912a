"""Writes the starter model's card: what it is, what it is not, and the figures that were just measured."""

from pathlib import Path

import numpy as np
import pandas as pd
import scores

import faces
from metafacs.data.prepared import PreparedDataset
from metafacs.evaluation.metrics import average_scores
from metafacs.facs import ACTION_UNITS, au_title
from metafacs.files import write_text
from metafacs.runs import DETECTOR
from metafacs.training.checkpoint import load_detector

NAME = "MODEL_CARD.md"

TEMPLATE = Path(__file__).with_name("card.md")
"""The card, with names in braces where what was measured goes."""


def write(package: Path, data: PreparedDataset, measured: scores.Scores, real: pd.DataFrame | None) -> None:
    """Writes the card.

    Args:
        package: folder of the detector, and of the card.
        data: the AU data that it was trained on.
        measured: on rendered people who never trained.
        real: what `studies/real_faces.py` measured; None where no real faces were at hand.
    """
    detector = package / DETECTOR
    network, about = load_detector(detector)
    trained, from_ferplus = data.column("fold") == "train", data.column("dataset") == "ferplus"
    values = {
        "aus": ", ".join(f"{au_title(au)} ({ACTION_UNITS[int(au[2:])].name.lower()})" for au in about.aus),
        "backbone": about.backbone,
        "parameters": sum(p.numel() for p in network.parameters()) / 1e6,
        "size": detector.stat().st_size / 1e6,
        "resize": about.resize,
        "side": about.side,
        "method": about.method,
        "version": about.tool_version,
        "steps": about.steps,
        "rendered": int((trained & ~from_ferplus).sum()),
        "people": len(set(data.column("subject")[trained & ~from_ferplus])),
        "frames": faces.FRAMES,
        "agreed": int((trained & from_ferplus).sum()),
        "images": measured.images,
        "held_out": measured.people,
        "first": f"F1 {100 * measured.first['f1']:.1f}, AUC {100 * measured.first['auc']:.1f}",
        "table": score_table(measured.crops),
        "photographs": measured.photographs,
        "photographed": measured.photographs // faces.FRAMES,
        "width": scores.WIDTH,
        "height": scores.HEIGHT,
        "missed": measured.missed,
        "finder": measured.finder,
        "ends": _ends(measured),
        "shipped": _shipped(measured, about.aus),
        "real": "No real faces were at hand when this card was written." if real is None else real_tables(real),
    }
    write_text(package / NAME, TEMPLATE.read_text(encoding="utf-8").format(**values))


def real_tables(real: pd.DataFrame) -> str:
    """The figures of `studies/real_faces.py` as Markdown."""
    everybody, lines = real[real["group"] == "all"], ["| | AUC (95 % interval) | MediaPipe |", "| --- | ---: | ---: |"]
    for row in everybody[everybody["measure"] == "auc"].to_dict("records"):
        name = "**mean of FERPlus's**" if row["au"] == "mean" else f"{row['expression']}: {au_title(row['au'])}"
        beside = "" if np.isnan(row["mediapipe"]) else f"{row['mediapipe']:.2f}"
        lines.append(f"| {name} | {row['value']:.2f} ({row['low']:.2f} to {row['high']:.2f}) | {beside} |")
    calls = everybody[everybody["measure"] == "present"].sort_values("value", ascending=False)
    called = [f"{au_title(row['au'])} {row['value']:.0f} %" for row in calls.to_dict("records") if row["au"] != "mean"]
    ranks = []
    for row in everybody[everybody["measure"] == "rank"].to_dict("records"):
        name = row["au"] if row["au"] == "mean" else au_title(row["au"])
        ranks.append(f"{name} {row['value']:.2f} ({row['low']:.2f} to {row['high']:.2f})")
    lines += ["", f"On neutral London faces it calls present: {', '.join(called)}.", ""]
    lines += [f"Rank agreement with MediaPipe's blendshapes within one expression: {', '.join(ranks)}.", ""]
    lines += ["| London, group | smile against neutral, AUC | called present on neutral faces, mean over AUs |"]
    lines += ["| --- | --- | ---: |"]
    for group, part in real[real["group"] != "all"].groupby("group", sort=False):
        aucs = [f"{au_title(r['au'])} {r['value']:.2f}" for r in part[part["measure"] == "auc"].to_dict("records")]
        mean = part[part["measure"] == "present"]["value"].iloc[-1]
        lines.append(f"| {group} | {', '.join(aucs)} | {mean:.1f} % |")
    return "\n".join(lines)


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
    for name, table in (
        (f"found and aligned by {measured.finder}", measured.found),
        ("cut out by the renderer", measured.cropped),
    ):
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
