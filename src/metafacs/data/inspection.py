"""What `metafacs inspect` says about a prepared dataset: counts, base rates, consistency, and every problem."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from metafacs.data.card import DatasetCard, true_column
from metafacs.data.montage import montage
from metafacs.data.reader import PreparedDataset
from metafacs.data.validation import Problem, validate
from metafacs.facs import ACTION_UNITS, INTENSITY_MAX, au_code, au_title, intensity_column
from metafacs.files import atomic_file

__all__ = ["Inspection", "inspect", "montage", "render_text"]


@dataclass(frozen=True)
class Inspection:
    """What was found in a dataset; every attribute but the first is a table, empty where it has nothing to say.

    Attributes:
        card: the dataset's card.
        subjects: per subject: fold(s), faces, sequences.
        folds: per fold: faces, subjects, sequences, faces with AU labels, faces with an expression.
        aus: per AU: labelled (0 or 1), present, subjects (who show it), and present_percent (of the labelled
            faces), also per fold.
        intensities: faces per intensity 0-5, per AU with known intensities (also the rendered `true_AU01`...).
        expressions: per expression: faces, percent, consistency (mean share of annotators who chose it, 0-1).
        causes: the same per cause (rendered data only).
        problems: row, subject, sequence, frame, column, message.
    """

    card: DatasetCard
    subjects: pd.DataFrame
    folds: pd.DataFrame
    aus: pd.DataFrame
    intensities: pd.DataFrame
    expressions: pd.DataFrame
    causes: pd.DataFrame
    problems: pd.DataFrame

    def tables(self) -> dict[str, pd.DataFrame]:
        """The tables by name."""
        return {entry.name: getattr(self, entry.name) for entry in fields(self) if entry.name != "card"}

    def write(self, folder: Path) -> None:
        """Writes every table as `<name>.csv` into `folder`."""
        for name, table in self.tables().items():
            with atomic_file(folder / f"{name}.csv") as partial:
                table.to_csv(partial, index=table.index.name is not None)


def inspect(dataset: PreparedDataset, progress: Callable[[int, int], None] | None = None) -> Inspection:
    """Reads the whole dataset, decodes every image, and gathers what a person wants to know before training.

    Args:
        dataset: what to look at.
        progress: called with (images decoded, images in all).

    Returns:
        The tables.
    """
    rows = dataset.to_pandas()
    rows["consistency"] = _consistency(rows, dataset.card.expressions)
    return Inspection(
        card=dataset.card,
        subjects=_subjects(rows),
        folds=_folds(rows, dataset.aus),
        aus=_aus(rows, dataset.aus),
        intensities=_intensities(rows, dataset),
        expressions=_by(rows, "expression", dataset.card.expressions),
        causes=_by(rows, "cause", []),
        problems=_problems(validate(dataset, progress=progress), rows),
    )


def render_text(inspection: Inspection, most: int = 20) -> RenderableType:
    """The inspection for a terminal.

    Args:
        inspection: what to show.
        most: rows shown of subjects (left out where each has one face) and of problems; the tables hold all.

    Returns:
        Something a rich console can print.
    """
    card, found = inspection.card, len(inspection.problems)
    blocks: list[RenderableType] = [
        Text(f"{card.name}: {card.rows} faces of {len(inspection.subjects)} subjects", style="bold"),
        Text(f"source: {card.source}\nlicence: {card.licence}\ncrop: {_listed(card.crop)}\n"),
    ]
    grids = [
        ("Folds", inspection.folds, None),
        ("Subjects", inspection.subjects if len(inspection.subjects) < card.rows else pd.DataFrame(), most),
        ("AUs: faces, subjects who show it, % present", inspection.aus.drop(columns="name"), None),
        ("Faces per intensity, 0 to 5", inspection.intensities, None),
        ("Expressions", inspection.expressions, None),
        ("Why expressions are ambiguous", inspection.causes, None),
        ("Problems", inspection.problems.drop(columns=["subject", "sequence", "frame"]), most),
    ]
    blocks += [_grid(title, table, most_rows) for title, table, most_rows in grids if len(table)]
    end = Text(f"{found} problems found", style="bold red") if found else Text("no problems found", style="green")
    return Group(*blocks, end)


def _subjects(rows: pd.DataFrame) -> pd.DataFrame:
    groups = rows.groupby("subject", sort=True)
    folds = groups["fold"].agg(lambda names: "+".join(sorted(names.dropna().unique())))
    return pd.DataFrame({"fold": folds, "faces": groups.size(), "sequences": groups["sequence"].nunique()})


def _folds(rows: pd.DataFrame, aus: list[str]) -> pd.DataFrame:
    clips = rows["subject"].fillna("") + "/" + rows["sequence"]
    rows = rows.assign(clip=clips, labelled=rows[aus].notna().any(axis=1))
    groups = rows.groupby("fold", sort=True)
    return pd.DataFrame(
        {
            "faces": groups.size(),
            "subjects": groups["subject"].nunique(),
            "sequences": groups["clip"].nunique(),
            "au_labelled": groups["labelled"].sum(),
            "expression_labelled": groups["expression"].count(),
        }
    )


def _aus(rows: pd.DataFrame, aus: list[str]) -> pd.DataFrame:
    entries = []
    for column in aus:
        labelled = rows[rows[column].isin([0, 1])]
        present = labelled[column].astype(float)
        entry = {"au": au_title(column), "name": ACTION_UNITS[au_code(column)].name, "labelled": len(labelled)}
        entry |= {"present": int(present.sum()), "subjects": labelled["subject"][present > 0].nunique()}
        entry |= {"present_percent": 100 * present.mean()}
        for fold, found in present.groupby(labelled["fold"]):
            entry[f"present_percent_{fold}"] = 100 * found.mean()
        if len(labelled):
            entries.append(entry)
    columns = ["au", "name", "labelled", "present", "subjects", "present_percent"]
    return pd.DataFrame(entries, columns=None if entries else columns).set_index("au")


def _intensities(rows: pd.DataFrame, dataset: PreparedDataset) -> pd.DataFrame:
    columns = [intensity_column(column) for column in dataset.aus]
    columns += [true_column(column) for column in dataset.card.true_aus]
    levels = range(INTENSITY_MAX + 1)
    counts = {name: rows[name].value_counts().reindex(levels, fill_value=0) for name in columns if rows[name].count()}
    return pd.DataFrame(counts, index=levels).T.rename_axis("column")


def _by(rows: pd.DataFrame, column: str, order: list[str]) -> pd.DataFrame:
    """Faces, percent and mean consistency per value of a column, values in `order` first."""
    found = list(rows[column].dropna().unique()) if column in rows else []
    names = [*(name for name in order if found), *sorted(set(found) - set(order))]
    entries = []
    for name in names:
        chosen = rows[rows[column] == name]
        percent = 100 * len(chosen) / int(rows[column].count())
        entries.append((name, len(chosen), percent, chosen["consistency"].mean()))
    return pd.DataFrame(entries, columns=[column, "faces", "percent", "consistency"]).set_index(column)


def _consistency(rows: pd.DataFrame, names: list[str]) -> list[float]:
    """Like `PreparedDataset.consistency`, but NaN, not an error, where votes are wrong."""
    shares = []
    for votes, expression in zip(rows["votes"], rows["expression"], strict=True):
        usable = votes is not None and len(votes) == len(names) and expression in names and votes.sum() > 0
        shares.append(votes[names.index(expression)] / votes.sum() if usable else np.nan)
    return shares


def _problems(problems: list[Problem], rows: pd.DataFrame) -> pd.DataFrame:
    where = ["subject", "sequence", "frame"]
    table = pd.DataFrame([asdict(problem) for problem in problems], columns=["row", "column", "message"])
    table["row"] = table["row"].astype("Int64")
    table = table.merge(rows[where], how="left", left_on="row", right_index=True)
    return table[["row", *where, "column", "message"]]


def _grid(title: str, table: pd.DataFrame, most: int | None = None) -> Table:
    named = table.reset_index() if table.index.name is not None else table
    shown = named.head(most) if most is not None else named
    grid = Table(title=title, title_justify="left", title_style="bold", caption_justify="left")
    if len(named) > len(shown):
        grid.caption = f"and {len(named) - len(shown)} more"
    for name, column in named.items():
        heading = str(name).replace("present_percent", "%").replace("_", " ")
        grid.add_column(heading, justify="right" if pd.api.types.is_numeric_dtype(column) else "left")
    for row in shown.itertuples(index=False):
        grid.add_row(*map(_cell, row))
    return grid


def _cell(value: Any) -> Text:
    if pd.isna(value):
        return Text("")
    return Text(f"{value:.2f}" if isinstance(value, float) else str(value))


def _listed(values: dict[str, object]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items()) or "not stated"
