"""Claim 3: bad expression data harm MTL and not MAL.

    python studies/claims/negative_transfer.py [--small] [--device cuda]

AU data of a few people (a third of those there are). A quarter, half or three quarters of the expression images are bad
in one of three ways, which are kept apart; the rest is clear. *Unrelated*: gaze or head pose carry the expression and
the face shows none, so that labels can be learned but say nothing of AUs. *Unreadable*: hardly any expression, labelled
by guesses. *Mislabelled*: a clear face with the label of another expression. The paper's meta network sees the image
alone and so cannot know a wrong label on a clear face; `mal_loss` is told the loss instead. What perfect weights could
gain is measured too: `good_only` is MTL on the good images alone. Prints and writes `negative_transfer.csv`: a row per
kind, share and method, with the gain over STL, which sees no expression data, and the weights of good and bad images.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import common
import numpy as np
import pandas as pd
from average_f1 import fewer_people, sizes
from trends import trends

from metafacs.analysis.sample_weights import read_method_weights
from metafacs.data.card import CAUSE
from metafacs.data.prepared import PreparedDataset
from metafacs.evaluation.comparison import compare

KINDS: Mapping[str, Mapping[str, float]] = {
    "unrelated": {"gaze": 0.5, "head pose": 0.5},
    "unreadable": {"unreadable": 1.0},
    "mislabelled": {"wrong label": 1.0},
}
"""Kind -> how the bad images divide among the causes."""
SHARES = (25, 50, 75)
GOOD_ONLY = "good_only"


def main(arguments: Sequence[str] | None = None) -> None:
    methods = ",".join([common.MTL, common.MAL, common.MAL_LOSS])
    study = common.read_study("negative_transfer", __doc__ or "", methods, arguments, seeds="0", folds="P1", steps=300)
    whole, clear = PreparedDataset.open(study.au_data()), study.fe_data("clear", {})
    few = sizes(study.scale.subjects)[1]
    people = {fold: fewer_people(whole, fold, few) for fold in study.folds}

    def over_folds(name: str, fe: Path, methods: str = study.methods) -> list[Path]:
        return [run for f, au in people.items() for run in study.train(f"{name}_{f}", au, fe, methods, f)]

    alone = over_folds("stl", clear, common.STL)
    grids = {("none", 0): over_folds("clear", clear)}
    ceiling = f"{GOOD_ONLY}={study.methods.split(',')[0].partition('=')[2] or 'mtl'}"
    for kind, mix in KINDS.items():
        for share in SHARES:
            causes = {cause: part * share / 100 for cause, part in mix.items()}
            fe = study.fe_data(f"{kind}_{share}", causes)
            good = good_part(PreparedDataset.open(fe), list(mix))
            runs = over_folds(f"{kind}_{share}", fe)
            grids[kind, share] = [*runs, *over_folds(f"{kind}_{share}_good", good, ceiling)]
    table = pd.DataFrame([row for place, runs in grids.items() for row in rows(*place, alone, runs)])
    study.write(table)
    start = table[table["kind"] == "none"]
    panels = {kind: pd.concat([start, table[table["kind"] == kind]]) for kind in KINDS}
    trends(panels, "share", "Bad expression images (%)", study.out / study.name / "negative_transfer")


def good_part(whole: PreparedDataset, causes: Sequence[str]) -> Path:
    """The expression images that none of `causes` spoils."""
    rows = np.flatnonzero(~np.isin(whole.column(CAUSE).astype(str), list(causes)))
    folder = whole.folder.with_name(f"{whole.folder.name}_good")
    return common.part_of(whole, rows, folder, {"of": whole.card.faces_sha256, "without": list(causes)})


def rows(kind: str, share: int, alone: Sequence[Path], runs: Sequence[Path]) -> list[dict[str, object]]:
    """What each method scores on one kind and share of bad images; `alone` are the runs of STL."""
    comparison = compare([*alone, *runs], reference="stl")
    weights, bad = read_method_weights(runs), list(KINDS.get(kind, {}))
    entries: list[dict[str, object]] = []
    for method, row in common.average_rows(comparison).iterrows():
        entry: dict[str, object] = {"kind": kind, "share": share, "method": method}
        entry |= {str(name): value for name, value in row.items()}
        if method != "stl":
            gain = common.gain(comparison, str(method))
            entry |= {f"over_stl_{name}": value for name, value in gain.items()}
            entry["verdict"] = common.verdict(gain)
        if method in weights:
            faces = weights[str(method)].stream("auxiliary")
            wrong = faces["cause"].isin(bad)
            entry |= {"fe_weight_good": faces.loc[~wrong, "weight"].mean()}
            entry |= {"fe_weight_bad": faces.loc[wrong, "weight"].mean() if wrong.any() else np.nan}
        entries.append(entry)
    return entries


if __name__ == "__main__":
    main()
