"""A comparison as text, Markdown, LaTeX and CSV; scores are in percent here, and nowhere else."""

import csv
import io
import math
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import pandas as pd

from metafacs.evaluation.comparison import AVERAGE, Comparison, method_title
from metafacs.evaluation.published import PAPER_TABLES, paper_aus, paper_scores
from metafacs.facs import au_title

Mark = Literal["", "best", "second"]
FLOOR_TITLE = "all present"
PAPER_NOTE = (
    "measured by the paper on the real dataset, with its own networks: not comparable with scores on rendered data"
)
_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$", "×": r"$\times$", "−": "$-$",
    "–": "--", "†": r"$^\dagger$", "‡": r"$^\ddagger$",
}  # fmt: skip


@dataclass(frozen=True)
class Table:
    """One table ready to be printed.

    Attributes:
        title: what the numbers are; one line.
        header: the first entry heads the row names.
        rows: the text of every entry, the row's name first.
        marks: best and second best of a column, as {(row, column): mark}.
        rule_before: the rows with a line above them.
        notes: sentences to print below.
    """

    title: str
    header: list[str]
    rows: list[list[str]]
    marks: dict[tuple[int, int], Mark] = field(default_factory=dict)
    rule_before: tuple[int, ...] = ()
    notes: list[str] = field(default_factory=list)


def tables(
    comparison: Comparison, paper: str | None = None, *, spread: bool = False, best_threshold: bool = False
) -> list[Table]:
    """The tables of a comparison: scores, differences to the first method, and on demand two more.

    Args:
        comparison: what `compare` returned.
        paper: "bp4d", "disfa" or "gft": add the paper's own table, apart from the measured one.
        spread: print the standard deviation over the seeds in every entry, not only beside the average.
        best_threshold: add F1 at the threshold that is best on the test labels.
    """
    chosen = [_score_table(comparison, spread)]
    if len(comparison.methods) > 1:
        chosen.append(_difference_table(comparison))
    if best_threshold:
        chosen.append(_best_threshold_table(comparison))
    if paper is not None:
        chosen.append(_paper_table(paper))
    return chosen


def to_text(tables: Sequence[Table]) -> str:
    """Aligned plain text; * marks the best of a column and + the second best."""
    return "\n".join(_text(table) for table in tables)


def to_markdown(tables: Sequence[Table]) -> str:
    """Markdown; the best of a column is bold, the second best underlined."""
    return "\n".join(_markdown(table) for table in tables)


def to_latex(tables: Sequence[Table]) -> str:
    r"""LaTeX tables (packages `booktabs` and `graphicx`); the best of a column is bold, the second best underlined."""
    return "\n".join(_latex(table) for table in tables)


def to_csv(comparison: Comparison, paper: str | None = None) -> str:
    """Everything that the tables print and more, for programs; one line per row and statistic, in percent.

    Columns: `source` ("measured", "floor", "paper" or "paper, quoted"), `method`, `metric` ("f1", "accuracy", "auc",
    "f1_at_best_threshold"), `statistic`, the AU columns, `average`, `seeds` and `cells`. Statistics are "mean" and "sd"
    over the seeds, "sd over cells", and "difference mean", "difference sd", "difference low", "difference high"
    (95 % interval) to the first method with the number of pairs in "difference pairs". Entries that are not defined
    are empty.
    """
    published = paper_scores(paper) if paper is not None else pd.DataFrame()
    aus = list(dict.fromkeys([*comparison.aus, *paper_aus(published)]))
    counts = comparison.counts()
    buffer = io.StringIO()
    head = ["source", "method", "metric", "statistic"]
    writer = csv.DictWriter(buffer, [*head, *aus, AVERAGE, "seeds", "cells"], restval="", lineterminator="\n")
    writer.writeheader()

    def line(
        source: str, method: str, metric: str, statistic: str, values: pd.Series, scale: float = 100, digits: int = 4
    ) -> None:
        entries = {str(name): f"{value * scale:.{digits}f}" for name, value in values.items() if not math.isnan(value)}
        if source == "measured":
            entries |= {name: str(int(count)) for name, count in _row(counts, method).items()}
        writer.writerow(dict(zip(head, (source, method, metric, statistic), strict=True)) | entries)

    for metric in ("f1", "accuracy", "auc", "f1_at_best_threshold"):
        _measured_lines(comparison, metric, line)
    line("floor", FLOOR_TITLE, "f1", "mean", comparison.floor())
    for method, row in published.iterrows():
        source = "paper, quoted" if row["quoted"] else "paper"
        line(source, str(method), "f1", "mean", row[[*paper_aus(published), AVERAGE]].astype(float), 1)
    return buffer.getvalue()


def forms(tables: Sequence[Table], comparison: Comparison, paper: str | None = None) -> dict[str, str]:
    """The tables of a comparison in every form, by the ending of the file to write them to."""
    text, markdown, latex = to_text(tables), to_markdown(tables), to_latex(tables)
    return {"txt": text, "md": markdown, "tex": latex, "csv": to_csv(comparison, paper)}


def _measured_lines(comparison: Comparison, metric: str, line: Callable[..., None]) -> None:
    statistics = {
        "mean": comparison.means(metric),
        "sd": comparison.deviations(metric),
        "sd over cells": comparison.deviations(metric, over="cells"),
    }
    for statistic, table in statistics.items():
        for method, values in table.iterrows():
            line("measured", method, metric, statistic, values)
    differences = comparison.differences(metric)
    for method in comparison.methods[1:]:
        for statistic in ("mean", "sd", "low", "high"):
            line("measured", method, metric, f"difference {statistic}", differences.loc[method][statistic])
        line("measured", method, metric, "difference pairs", differences.loc[method]["pairs"], 1, 0)


def _score_table(comparison: Comparison, spread: bool) -> Table:
    means, deviations, counts = comparison.means(), comparison.deviations(), comparison.counts()
    extra = {"AUC": comparison.means("auc")[AVERAGE], "Acc.": comparison.means("accuracy")[AVERAGE]}
    values = [means[column] for column in [*comparison.aus, AVERAGE]] + list(extra.values())
    rows = []
    for method in comparison.methods:
        deviation = _row(deviations, method)
        row = [
            _percent(mean, deviation[column] if spread or column == AVERAGE else math.nan)
            for column, mean in _row(means, method).items()
        ]
        row += [_percent(series[method]) for series in extra.values()]
        rows.append([method_title(method), *row, *(str(int(count)) for count in _row(counts, method).values())])
    floor = [_percent(value) for value in comparison.floor()]
    rows.append([FLOOR_TITLE, *floor, *[""] * 4])
    header = ["Method", *map(au_title, comparison.aus), "Avg.", *extra, "seeds", "runs"]
    return Table(_score_title(comparison), header, rows, _marks(values), (len(rows) - 1,), _score_notes(comparison))


def _score_title(comparison: Comparison) -> str:
    thresholds = ", ".join(f"{value:g}" for value in comparison.thresholds)
    return f"{comparison.title}, threshold {thresholds}, test folds {', '.join(comparison.folds)}"


def _score_notes(comparison: Comparison) -> list[str]:
    how = "averaged over" if comparison.protocol == "folds" else "taken over the pooled images of"
    notes = [
        f"Within each seed, scores are {how} the folds; the table shows the mean over the seeds, "
        "and ± the standard deviation over them where there are two or more.",
        "AUC and Acc. (accuracy) are averages over the AUs, × 100. "
        f"{FLOOR_TITLE[0].upper()}{FLOOR_TITLE[1:]}: what a predictor scores that finds every AU in every image.",
    ]
    if comparison.protocol == "pooled":
        notes.append("AUC is averaged over the folds: probabilities of different networks do not rank together.")
    if (comparison.counts()["seeds"] < 2).any():
        notes.append("A method with one seed has no ±: differences of 1-2 points on one seed mean little.")
    return notes + [f"Note: {warning}." for warning in comparison.warnings]


def _difference_table(comparison: Comparison) -> Table:
    differences = comparison.differences()
    rows = []
    for method in comparison.methods[1:]:
        of_method = differences.loc[[method]].droplevel("method")
        average = _row(of_method, AVERAGE)
        interval = "" if math.isnan(average["low"]) else f"{_signed(average['low'])} to {_signed(average['high'])}"
        means = [_signed(mean) for mean in of_method["mean"]]
        rows.append([method_title(method), *means, interval, _percent(average["sd"]), str(int(average["pairs"]))])
    header = ["Method", *map(au_title, comparison.aus), "Avg.", "95 % CI", "sd", "pairs"]
    reference = method_title(comparison.reference)
    notes = [
        "Pairs are runs with the same fold and seed; CI (Student's t) and sd are of the average's differences. "
        "Folds share training subjects, so the true interval is somewhat wider."
    ]
    if (differences["pairs"] < 2).any():
        notes.append("An interval needs at least two pairs.")
    return Table(f"Difference to {reference}, paired by fold and seed (F1 × 100)", header, rows, notes=notes)


def _best_threshold_table(comparison: Comparison) -> Table:
    means = comparison.means("f1_at_best_threshold")
    rows = [[method_title(str(name)), *map(_percent, values)] for name, values in means.iterrows()]
    header = ["Method", *map(au_title, comparison.aus), "Avg."]
    notes = [
        "An upper bound, not a result: each AU's threshold was chosen on the test labels of its fold. "
        "Not comparable with the F1 above."
    ]
    title = "F1 × 100 at the best threshold, chosen on the test labels and averaged over the folds"
    return Table(title, header, rows, notes=notes)


def _paper_table(dataset: str) -> Table:
    scores = paper_scores(dataset)
    aus = paper_aus(scores)
    rows = []
    for method, row in scores.iterrows():
        name = f"{method}†" if row["quoted"] else str(method)
        average = _percent(row[AVERAGE] / 100) + ("‡" if row["disagrees"] else "")
        rows.append([name, *(_percent(row[au] / 100) for au in aus), average])
    notes = ["† copied by the paper from another paper, not run by it."]
    if scores["disagrees"].any():
        listed = "; ".join(
            f"{method} {row[AVERAGE]:.1f} ({row['row_mean']:.2f})"
            for method, row in scores[scores["disagrees"]].iterrows()
        )
        notes.append(f"‡ the printed average differs by more than 0.1 from the mean of its own row: {listed}.")
    title = f"Paper ({PAPER_TABLES[dataset]}, {dataset.upper()}), F1 × 100: {PAPER_NOTE}"
    header = ["Method", *map(au_title, aus), "Avg."]
    return Table(title, header, rows, _marks([scores[au] / 100 for au in [*aus, AVERAGE]]), notes=notes)


def beside_paper(comparison: Comparison, dataset: str, rows: Mapping[str, tuple[str, str]]) -> Table:
    """Average F1 of each method beside the one that the paper prints.

    Args:
        comparison: what `compare` returned.
        dataset: "bp4d", "disfa" or "gft".
        rows: of each method: the paper's row, and why the two do not compare, empty where they might.
    """
    here, paper = comparison.means()[AVERAGE], paper_scores(dataset)[AVERAGE] / 100
    lines = [
        [
            name,
            _percent(float(here.get(name, math.nan))),
            _percent(float(paper.get(row, math.nan))),
            why if not why or name not in here.index else f"not comparable: {why}",
        ]
        for name, (row, why) in rows.items()
        if name in here.index or row in paper.index
    ]
    title = f"Average F1 × 100 here and in the paper's {PAPER_TABLES[dataset]} ({dataset.upper()})"
    notes = [
        "The paper's are measured on the real dataset, most of them copied from other papers, with other protocols."
    ]
    return Table(title, ["Method", "here", "paper", ""], lines, notes=notes)


def _row(table: pd.DataFrame, name: str) -> dict[str, float]:
    return {str(column): float(value) for column, value in table.loc[[name]].iloc[0].items()}


def _percent(value: float, deviation: float = math.nan) -> str:
    if math.isnan(value):
        return "–"
    return f"{100 * value:.1f}" + ("" if math.isnan(deviation) else f" ± {100 * deviation:.1f}")


def _signed(value: float) -> str:
    if math.isnan(value):
        return "–"
    rounded = round(100 * value, 1) + 0.0  # + 0.0 turns -0.0 into 0.0
    return f"{rounded:+.1f}".replace("-", "−") if rounded else "0.0"


def _marks(columns: Sequence[pd.Series]) -> dict[tuple[int, int], Mark]:
    """Best and second best by the digits that are printed, so that rows that read the same are marked the same."""
    marks: dict[tuple[int, int], Mark] = {}
    for column, values in enumerate(columns, start=1):
        if len(values) < 2:
            continue
        printed = [round(float(value) * 100, 1) for value in values]
        ranked = sorted({value for value in printed if not math.isnan(value)}, reverse=True)
        names: tuple[Mark, Mark] = ("best", "second")
        for mark, level in zip(names, ranked, strict=False):
            marks.update({(row, column): mark for row, value in enumerate(printed) if value == level})
    return marks


def _text(table: Table) -> str:
    signs = {"best": "*", "second": "+", "": " "} if table.marks else {"": ""}
    grid = [[name + signs[""] if k else name for k, name in enumerate(table.header)]]
    for r, row in enumerate(table.rows):
        grid.append([entry + signs[table.marks.get((r, k), "")] if k else entry for k, entry in enumerate(row)])
    widths = [max(len(row[k]) for row in grid) for k in range(len(table.header))]
    lines = [
        "  ".join(
            entry.rjust(width) if k else entry.ljust(width)
            for k, (entry, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in grid
    ]
    rule = "─" * max(map(len, lines))
    for position in sorted((0, *table.rule_before), reverse=True):
        lines.insert(position + 1, rule)
    legend = ["* best of the column, + second best"] if table.marks else []
    width = max(len(rule), 100)
    notes = [textwrap.fill(note, width, subsequent_indent="  ") for note in [*legend, *table.notes]]
    return "\n".join([textwrap.fill(table.title, width), "", *lines, "", *notes, ""])


def _markdown(table: Table) -> str:
    styles = {"best": "**{}**", "second": "<u>{}</u>", "": "{}"}

    def line(entries: Sequence[str]) -> str:
        return "| " + " | ".join(entry.replace("|", r"\|") for entry in entries) + " |"

    lines = [f"**{table.title}**", "", line(table.header), line(["---"] + ["---:"] * (len(table.header) - 1))]
    for r, row in enumerate(table.rows):
        lines.append(line([styles[table.marks.get((r, k), "")].format(entry) for k, entry in enumerate(row)]))
    legend = ["- Bold: best of the column; underlined: second best."] if table.marks else []
    return "\n".join([*lines, "", *legend, *(f"- {note}" for note in table.notes), ""])


def _latex(table: Table) -> str:
    styles = {"best": r"\textbf{%s}", "second": r"\underline{%s}", "": "%s"}
    lines = [
        r"\begin{table*}[t]",
        r"\centering",
        rf"\caption{{{_tex(table.title)}}}",
        r"\resizebox{\textwidth}{!}{%",
        rf"\begin{{tabular}}{{l{'c' * (len(table.header) - 1)}}}",
        r"\toprule",
        " & ".join(_tex(name) for name in table.header) + r" \\",
        r"\midrule",
    ]
    for r, row in enumerate(table.rows):
        if r in table.rule_before:
            lines.append(r"\midrule")
        entries = [styles[table.marks.get((r, k), "")] % _tex(entry) for k, entry in enumerate(row)]
        lines.append(" & ".join(entries) + r" \\")
    legend = ["Bold: best of the column; underlined: second best."] if table.marks else []
    notes = " ".join(_tex(note) for note in [*legend, *table.notes])
    lines += [r"\bottomrule", r"\end{tabular}}", rf"\par\smallskip\footnotesize {notes}", r"\end{table*}", ""]
    return "\n".join(lines)


def _tex(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in text)
