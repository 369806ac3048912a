"""A picture of how methods fare as the data change."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from metafacs.analysis.style import COLUMN, METHOD_COLOURS, METHOD_MARKERS, save, style
from metafacs.evaluation.comparison import method_title


def trends(panels: Mapping[str, pd.DataFrame], x: str, label: str, out: Path) -> list[Path]:
    """Draws average F1 against what changes, a line for each method.

    Args:
        panels: title -> rows with `x`, `method`, `f1` and `f1_sd`, as the claims write them.
        x: the column that changes.
        label: of the horizontal axis.
        out: where to write, without the ending.
    """
    methods = list(dict.fromkeys(name for table in panels.values() for name in table["method"]))
    with style():
        figure = Figure(figsize=(COLUMN, 0.5 + 1.7 * len(panels)), layout="constrained")
        axes = figure.subplots(len(panels), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
        for axis, (title, table) in zip(axes, panels.items(), strict=True):
            for k, method in enumerate(methods):
                line = table[table["method"] == method].sort_values(x)
                look = {"fmt": f"-{METHOD_MARKERS[k % 7]}", "color": METHOD_COLOURS[k % 7], "markersize": 3.5}
                sd = line["f1_sd"].fillna(0)
                axis.errorbar(line[x], line["f1"], sd, capsize=2, label=method_title(method), **look)
            axis.set_title(title, loc="left")
            axis.set_ylabel("Average F1 × 100")
        places = sorted({float(value) for table in panels.values() for value in table[x]})
        axes[-1].set_xticks(places, [f"{place:g}" for place in places])
        axes[-1].set_xlabel(label)
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=4, columnspacing=0.9)
        return save(figure, out)
