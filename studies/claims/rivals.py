"""Claim 2: MAL against every rival.

    python studies/claims/rivals.py [--small] [--device cuda] [--methods mal,mtl,mtan]

All methods on the same folds, seeds, data, network, optimiser and number of steps. Prints and writes `rivals.csv`: the
scores of each method, and what MAL gains over it, paired by fold and seed. With 15 rivals, an interval that leaves out
zero now and then is chance.
"""

from collections.abc import Sequence

import common
import pandas as pd

from metafacs.analysis.figures import draw_all
from metafacs.evaluation.comparison import compare
from metafacs.methods import METHODS


def main(arguments: Sequence[str] | None = None) -> None:
    rest = [f"{name}={name}:au_reduction=sum" for name in METHODS if name not in ("mal", "stl")]
    methods = ",".join([common.MAL, common.STL, *rest])
    study = common.read_study("rivals", __doc__ or "", methods, arguments, folds="P1")
    runs = study.runs()
    comparison = compare(runs, reference="mal")
    rows = []
    for method, row in common.average_rows(comparison).iterrows():
        entry = {"method": str(method), **row.to_dict()}
        if method != "mal":
            rival = common.gain(comparison, str(method))
            gain = {"mean": -rival["mean"], "low": -rival["high"], "high": -rival["low"], "pairs": rival["pairs"]}
            entry |= {f"mal_gains_{name}": value for name, value in gain.items()}
            entry["mal_scores"] = common.verdict(gain)
        rows.append(entry)
    study.write(pd.DataFrame(rows).sort_values("f1", ascending=False))
    draw_all(runs, compare(runs, reference="stl" if "stl" in comparison.methods else None), study.out / study.name)


if __name__ == "__main__":
    main()
