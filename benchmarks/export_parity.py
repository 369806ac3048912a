"""What int8 gives and costs beside float32: size, speed and F1 of an exported detector; a CSV and a picture.

Takes a small trained detector (that of STL which `metafacs demo` leaves behind), exports it in float32 and in int8 and
scores both on people who never trained. Larger, untrained backbones add size and speed only: how fast whole numbers are
depends on the size of the network.

    metafacs demo --out demo
    python benchmarks/export_parity.py --model demo/runs/stl --data demo/data/au --out benchmarks/results

The detector that ships with metafacs, on the people whom its card scores, calibrated on people it learned from:

    python studies/starter/held_out.py --out held_out
    python benchmarks/export_parity.py --model src/metafacs/starter --data held_out --calibrate held_out \\
        --name starter_int8
"""

import argparse
from dataclasses import replace
from pathlib import Path

import pandas as pd
import torch

from metafacs.data.prepared import PreparedDataset
from metafacs.export.cost import AVERAGE, accuracy, calibration_rows, dataset_faces, speeds
from metafacs.export.graph import to_graph
from metafacs.export.parity import Picture, check_parity, rendered_faces
from metafacs.export.quantisation import quantised
from metafacs.export.session import Session
from metafacs.inference.detector import recipe_of
from metafacs.models.network import Network, build_network
from metafacs.runs import DETECTOR
from metafacs.training.checkpoint import DetectorCard, load_detector

LARGER = {"resnet18": (112, 128), "resnet34": (224, 248)}
"""Untrained backbones: side that the network sees, and before the cut."""
NAME = "export_int8"
BATCHES = (1, 16)
NAMES = ("float32", "int8")


def both(network: Network, card: DetectorCard, size: int, faces: Picture) -> tuple[list[Session], float]:
    """The detector in float32 and, calibrated on `faces`, in int8, and how far float32 is from PyTorch."""
    graph = to_graph(network, card, size)
    plain = Session(graph.SerializeToString())
    small = Session(quantised(graph, faces).SerializeToString())
    return [plain, small], check_parity(plain, network, card, size)


def measured(name: str, sessions: list[Session], size: int) -> dict[str, object]:
    """Size and speed of both."""
    row: dict[str, object] = {"network": name, "face_pixels": size}
    row |= {f"MB_{kind}": round(s.size / 1e6, 3) for kind, s in zip(NAMES, sessions, strict=True)}
    faces = rendered_faces(size).repeat(2, axis=0)
    for batch in BATCHES:
        times = speeds(sessions, faces[:batch], rounds=5)
        row |= {f"ms_batch{batch}_{kind}": round(ms, 3) for kind, ms in zip(NAMES, times, strict=True)}
        row[f"speedup_batch{batch}"] = round(times[0] / times[1], 2)
    return row


def draw(table: pd.DataFrame, scores: pd.DataFrame, path: Path) -> None:
    """Size, speed and F1 of int8 beside float32."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 3.2), layout="constrained")
    size, speed, f1 = figure.subplots(1, 3, width_ratios=(1, 1, 2.2))
    names = [name.replace(" (", "\n(") for name in table["network"]]
    size.bar(names, 100 * table["MB_int8"] / table["MB_float32"], color="0.4")
    size.set_ylabel("size, % of float32")
    for k, batch in enumerate(BATCHES):
        at = [place + 0.4 * k - 0.2 for place in range(len(table))]
        speed.bar(at, table[f"speedup_batch{batch}"], 0.38, label=f"{batch} at a time", color=("0.65", "0.3")[k])
    speed.axhline(1, color="k", lw=0.6)
    speed.set_xticks(range(len(table)), names)
    speed.set_ylabel("times as fast as float32")
    speed.legend(frameon=False, fontsize=8)
    for k, kind in enumerate(NAMES):
        at = [place + 0.4 * k - 0.2 for place in range(len(scores))]
        f1.bar(at, scores[f"f1_{kind}"], 0.38, label=kind, color=("0.65", "0.3")[k])
    f1.set_xticks(range(len(scores)), [str(au) for au in scores.index], rotation=60)
    f1.set_ylabel("F1 x 100")
    f1.legend(frameon=False, fontsize=8, loc="upper left")
    for panel in (size, speed, f1):
        panel.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=130)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    parser.add_argument("--model", type=Path, default=Path("demo/runs/stl"), help="a run folder")
    parser.add_argument("--data", type=Path, default=Path("demo/data/au"), help="its dataset")
    parser.add_argument("--calibrate", type=Path, help="a dataset, for the trained one; else faces that ship")
    parser.add_argument("--name", default=NAME, help="of the files; another one: this detector alone, and no picture")
    given = parser.parse_args()
    torch.set_num_threads(1)
    network, card = load_detector(given.model / DETECTOR)
    size = recipe_of(card).size
    faces = rendered_faces(size)
    if given.calibrate:
        calibration = PreparedDataset.open(given.calibrate)
        faces = dataset_faces(calibration, calibration_rows(calibration, card), size)
    sessions, apart = both(network, card, size, faces)
    scores = accuracy(sessions[0], sessions[1], PreparedDataset.open(given.data), card, size)
    average = {str(name): round(float(value), 2) for name, value in scores.loc[AVERAGE].to_dict().items()}
    rows = [{**measured(f"{card.backbone} (trained)", sessions, size), "parity": f"{apart:.1e}", **average}]
    print(rows[0], flush=True)
    for backbone, (side, resize) in LARGER.items() if given.name == NAME else ():
        other = replace(card, backbone=backbone, backbone_options={}, side=side, resize=resize)
        torch.manual_seed(0)
        larger = build_network(backbone, len(card.aus), len(card.expressions), "scratch").eval()
        sessions, apart = both(larger, other, 256, rendered_faces(256))
        rows.append({**measured(backbone, sessions, 256), "parity": f"{apart:.1e}"})
        print(rows[-1], flush=True)
    table = pd.DataFrame(rows)
    given.out.mkdir(parents=True, exist_ok=True)
    table.to_csv(given.out / f"{given.name}.csv", index=False)
    scores.round(2).to_csv(given.out / f"{given.name}_aus.csv")
    if given.name == NAME:
        draw(table, scores, given.out / f"{NAME}.png")
    print(table.T.to_string())
    print(scores.round(1).to_string())


if __name__ == "__main__":
    main()
