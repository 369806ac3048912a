"""The audit as one HTML file that needs nothing else: no script, no font, no picture from elsewhere."""

import base64
import html
import importlib.resources
from collections.abc import Iterator

import pandas as pd

from metafacs.data.montage import sample_rows
from metafacs.data.prepared import PreparedDataset
from metafacs.datasets.audit import plots
from metafacs.datasets.audit.finding import CHECK, DIFFERS, NOTE
from metafacs.datasets.audit.material import Material
from metafacs.datasets.audit.report import PERSONAL, Audit, cell, table_title
from metafacs.errors import InputError
from metafacs.facs import au_title, intensity_column

FACES = 24
"""Faces of the montage."""
MOST_ROWS = 200
"""Rows of a table on the page; the JSON has all."""
_LEVELS = {DIFFERS: "Differs", CHECK: "To check", NOTE: "Noted"}


def page(found: Audit, material: Material) -> str:
    """The whole page."""
    style = importlib.resources.files("metafacs.datasets.audit").joinpath("page.css").read_text(encoding="utf-8")
    body = "\n".join([*_top(found), *_plots(found), *_faces(material), *_tables(found), *_card(found)])
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>Audit of {_safe(found.name)}</title>\n<style>\n{style}</style></head>\n<body><main>\n"
        f"{body}\n</main></body></html>\n"
    )


def _top(found: Audit) -> Iterator[str]:
    kind = {True: "good", False: "bad", None: "open"}[found.matches]
    yield f"<h1>Audit of {_safe(found.name)}</h1>"
    yield f'<p class="verdict {kind}"><strong>Verdict:</strong> {_safe(found.verdict)}.</p>'
    yield f'<p class="warning">{_safe(PERSONAL)}</p>'
    yield "<h2>What was found</h2>"
    yield '<div class="scroll"><table class="findings"><thead><tr><th>Level</th><th>About</th><th>Found</th>'
    yield "<th>What to do</th></tr></thead><tbody>"
    for one in found.findings:
        cells = "".join(f"<td>{_safe(text)}</td>" for text in (one.topic, one.text, one.action))
        yield f'<tr class="{one.level}"><td><span class="level">{_LEVELS[one.level]}</span></td>{cells}</tr>'
    yield "</tbody></table></div>"


def _plots(found: Audit) -> Iterator[str]:
    drawn = []
    if "aus" in found.tables:
        drawn.append(("Base rates", plots.plot_rates(found.tables["aus"])))
    if "expressions" in found.tables:
        drawn.append(("Faces per expression", plots.plot_expressions(found.tables["expressions"])))
    if "subjects" in found.tables:
        people = found.tables["subjects"]
        drawn.append(("Faces per person", plots.plot_subjects(people, "faces", "faces")))
        label = "faces not found, % of readable pictures"
        drawn.append(("Faces not found", plots.plot_subjects(people, "no_face_percent", label)))
    if drawn:
        yield '<h2>Plots</h2>\n<div class="plots">'
        for title, picture in drawn:
            yield f"<figure><figcaption>{title}</figcaption>{_image(picture, 'png', title)}</figure>"
        yield "</div>"


def _faces(material: Material) -> Iterator[str]:
    dataset, rows = material.dataset, material.rows
    chosen = sample_rows(rows, FACES, 0)
    yield f'<h2>Some faces</h2>\n<p>{len(chosen)} of {len(dataset):,}, with their labels.</p>\n<div class="faces">'
    for row in chosen:
        try:
            shown = _image(dataset.image_bytes(row), "jpeg", f"face of row {row}")
        except InputError:
            shown = '<span class="nothing">no picture</span>'
        yield f"<figure>{shown}<figcaption>{_caption(dataset, rows.iloc[row], row)}</figcaption></figure>"
    yield "</div>"


def _caption(dataset: PreparedDataset, labels: pd.Series, row: int) -> str:
    lines = []
    if not pd.isna(labels["expression"]):
        lines.append(f"<b>{_safe(labels['expression'])}</b>")
    known = [column for column in dataset.aus if not pd.isna(labels[column])]
    if known:
        active = [column for column in known if labels[column]]
        levels = [labels[intensity_column(column)] for column in active]
        told = [
            au_title(column) + ("" if pd.isna(level) else f":{level}")
            for column, level in zip(active, levels, strict=True)
        ]
        lines.append(f"<b>{' '.join(told) or 'no AU'}</b>")
    unknown = [au_title(column) for column in dataset.aus if column not in known]
    if unknown and known:
        lines.append(f"unknown: {' '.join(unknown)}")
    place = [str(labels[name]) for name in ("subject", "sequence", "frame", "fold") if not pd.isna(labels[name])]
    return "<br>".join([*lines, _safe(f"{' '.join(dict.fromkeys(place))}, row {row}")])


def _tables(found: Audit) -> Iterator[str]:
    for name, table in found.tables.items():
        shown = table.reset_index() if table.index.name else table
        yield f"<details{' open' if name in ('folds', 'aus') else ''}><summary>{_safe(table_title(name))}</summary>"
        yield '<div class="scroll"><table><thead><tr>'
        yield "".join(f"<th>{_safe(str(column).replace('_', ' '))}</th>" for column in shown.columns)
        yield "</tr></thead><tbody>"
        right = [pd.api.types.is_numeric_dtype(shown[column]) for column in shown.columns]
        for row in shown.head(MOST_ROWS).itertuples(index=False):
            cells = zip(row, right, strict=True)
            yield "<tr>" + "".join(f"<td{_number(r)}>{_safe(cell(value))}</td>" for value, r in cells) + "</tr>"
        more = f"<p>and {len(shown) - MOST_ROWS:,} more, in audit.json</p>" if len(shown) > MOST_ROWS else ""
        yield f"</tbody></table></div>{more}</details>"


def _card(found: Audit) -> Iterator[str]:
    if found.folds_elsewhere:
        yield f"<h2>Folds elsewhere</h2>\n<p>{_safe(found.folds_elsewhere)}.</p>"
    yield '<h2>The dataset</h2>\n<dl class="card">'
    for name, text in found.facts.items():
        yield f"<dt>{_safe(name.replace('_', ' '))}</dt><dd>{_safe(cell(text))}</dd>"
    yield "</dl>"


def _number(right: bool) -> str:
    return ' class="number"' if right else ""


def _image(content: bytes, kind: str, title: str) -> str:
    return f'<img alt="{_safe(title)}" src="data:image/{kind};base64,{base64.b64encode(content).decode()}">'


def _safe(text: object) -> str:
    return html.escape(str(text))
