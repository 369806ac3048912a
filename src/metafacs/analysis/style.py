"""The look of all figures: one column of a page wide, no letter below 7 points, colours that most eyes tell apart."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from metafacs.files import atomic_file

COLUMN = 8.5 / 2.54
"""Width of every figure in inches: a column of a two-column page, at which figures are printed as they are drawn."""
SMALLEST = 7
"""Size of the smallest letters, points."""
STREAM_TITLES = {"primary": "AU", "auxiliary": "FE"}
# Okabe and Ito's palette: told apart under the common colour blindnesses.
STREAM_COLOURS = {"primary": "#0072B2", "auxiliary": "#D55E00"}
METHOD_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
METHOD_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
LINE_STYLES = ("-", (0, (4, 1.5)), (0, (1, 1.2)), (0, (4, 1.2, 1, 1.2)))
GREY = "#6E6E6E"
STYLE: Any = {
    "font.size": SMALLEST,
    "axes.labelsize": 7.5,
    "axes.titlesize": 7.5,
    "xtick.labelsize": SMALLEST,
    "ytick.labelsize": SMALLEST,
    "legend.fontsize": SMALLEST,
    "legend.frameon": False,
    "legend.handlelength": 2.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "axes.grid": True,
    "axes.axisbelow": True,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "grid.color": "#E4E4E4",
    "grid.linewidth": 0.5,
    "lines.linewidth": 1.3,
    "pdf.fonttype": 42,
}


@dataclass(frozen=True)
class Words:
    """What stands around a figure in a report: a title of a few words, and what a reader has to know.

    Both may have placeholders: `{method}`, `{of}` (which runs the weights are of), `{reference}`.
    """

    title: str
    caption: str

    def about(self, **values: str) -> "Words":
        """With the placeholders filled."""
        return Words(self.title.format(**values), self.caption.format(**values))


@contextmanager
def style() -> Iterator[None]:
    """The look of all figures; the settings of whoever calls are back in place afterwards."""
    with matplotlib.rc_context(STYLE):
        yield


def save(figure: Figure, out: Path) -> list[Path]:
    """Writes a figure as `.png` (300 dots an inch) and `.pdf`; `out` may have either ending or none."""
    stem = out.with_suffix("") if out.suffix in (".png", ".pdf") else out
    files = []
    for ending, metadata in ((".png", {}), (".pdf", {"CreationDate": None})):
        path = stem.with_name(stem.name + ending)
        with atomic_file(path) as partial:
            figure.savefig(partial, dpi=300, metadata=metadata, format=ending[1:])
        files.append(path)
    return files
