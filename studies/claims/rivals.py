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
    made = common.study("rivals", __doc__ or "", ",".join([common.MAL, common.STL, *rest]), arguments, folds="P1")
    runs = common.finished(made)
    comparison = compare(runs, reference="mal")
    rows = []
    for method, row in common.average_rows(comparison).iterrows():
        entry = {"method": str(method), **row.to_dict()}
        if method != "mal":
            rival = common.gain(comparison, str(method))
            found = {"mean": -rival["mean"], "low": -rival["high"], "high": -rival["low"], "pairs": rival["pairs"]}
            entry |= {f"mal_gains_{name}": value for name, value in found.items()}
            entry["mal_scores"] = common.told(found)
        rows.append(entry)
    common.write(made, pd.DataFrame(rows).sort_values("f1", ascending=False))
    draw_all(runs, compare(runs, reference="stl" if "stl" in comparison.methods else None), made.out / made.name)


if __name__ == "__main__":
    main()
