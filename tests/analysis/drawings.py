"""Small runs to draw, and the figures that were drawn of them."""

import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from metafacs.data.prepared import PreparedDataset


def keep_figures(monkeypatch: pytest.MonkeyPatch, module: ModuleType) -> list[Figure]:
    """The figures that a module saves, so that tests can look into them."""
    kept: list[Figure] = []
    save = module.save

    def keep(figure: Figure, out: Path) -> list[Path]:
        kept.append(figure)
        return save(figure, out)

    monkeypatch.setattr(module, "save", keep)
    return kept


def smallest_letters(figure: Figure) -> float:
    """Size of the smallest letters that can be seen in a figure, points."""
    from matplotlib.text import Text

    texts = [text for text in figure.findobj(Text) if text.get_visible() and str(text.get_text()).strip()]
    return min(float(text.get_fontsize()) for text in texts)


def training_run(folder: Path, method: str, seed: int = 0, lines: int = 40) -> Path:
    random = np.random.default_rng([seed, len(method)])
    run = folder / f"{method}-{seed}"
    run.mkdir(parents=True)
    (run / "config.yaml").write_text(f"method: {method}\ndata: {{test_fold: P1}}\nseed: {seed}\n")
    with (run / "metrics.jsonl").open("w") as file:
        for k in range(1, lines + 1):
            record = {"event": "train", "step": 50 * k, "loss_primary": 1 / k + 0.05 * random.random()}
            if method != "stl":
                record["loss_auxiliary"] = 2 / k + 0.05 * random.random()
            if method == "mal":
                weight = 0.5 + 0.3 * k / lines
                record |= {"weight_primary": weight, "weight_auxiliary": 1 - weight}
            file.write(json.dumps(record) + "\n")
        file.write('{"event": "train", "st')
    return run


def weighted_run(folder: Path, fe: PreparedDataset, method: str = "mal", seed: int = 0, noise: float = 0.05) -> Path:
    """A run whose weights rise with consistency, on the expression dataset given."""
    run = folder / f"{method}-w{seed}"
    run.mkdir(parents=True)
    data = f"{{auxiliary: {fe.folder}, primary: '', test_fold: P1}}"
    (run / "config.yaml").write_text(f"method: {method}\ndata: {data}\nseed: {seed}\n")
    table = fe.to_pandas().reset_index(drop=True)
    table = table[["dataset", "subject", "sequence", "frame", "expression", "cause"]]
    consistency = fe.consistency()
    random = np.random.default_rng(seed)
    weight = 0.2 + 0.5 * consistency + noise * random.random(len(table))
    table = table.assign(stream="auxiliary", row=range(len(table)), step=10, consistency=consistency, weight=weight)
    pd.DataFrame(table).to_parquet(run / "sample_weights.parquet")
    return run
