"""The elements of the report: one HTML file with its style and pictures inside, and nothing from anywhere else."""

import base64
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from metafacs.evaluation.tables import Table

STYLE = """
:root { color-scheme: light; --ink: #1b1b1b; --soft: #5d5d5d; --line: #d9d9d9; --band: #f5f6f8; --mark: #0072B2; }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 64rem; color: var(--ink); background: white;
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: .5rem 0; }
h2 { font-size: 1.2rem; margin: 2rem 0 .5rem; border-bottom: 2px solid var(--mark); padding-bottom: .2rem; }
h3 { font-size: 1rem; margin: 1.2rem 0 .4rem; }
p, li { max-width: 46rem; } ul { padding-left: 1.2rem; } a { color: var(--mark); }
.soft, figcaption, .notes { color: var(--soft); font-size: .85rem; }
.warning { background: #fff6e5; border-left: 4px solid #E69F00; padding: .6rem .9rem; border-radius: 3px; }
.warning ul { margin: .3rem 0; }
.wide { overflow-x: auto; border: 1px solid var(--line); border-radius: 4px; }
table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums; width: 100%; }
th, td { padding: .3rem .5rem; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--line); }
th:first-child, td:first-child { text-align: left; position: sticky; left: 0; background: white; font-weight: 600; }
thead th, thead th:first-child { background: var(--band); }
tr.rule td { border-top: 2px solid var(--soft); }
.best { font-weight: 700; } .second { text-decoration: underline; }
.text td { text-align: left; white-space: normal; overflow-wrap: anywhere; font-weight: 400; }
.figures { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 19rem), 1fr)); gap: 1.2rem; }
figure { margin: 0; } figure h3 { margin-top: 0; }
img { width: 100%; max-width: 27rem; height: auto; display: block; }
nav a { margin-right: 1rem; white-space: nowrap; }
@media print { .wide { overflow: visible; } figure { break-inside: avoid; } }
"""


def page(title: str, sections: Iterable[tuple[str, str]], lead: str) -> str:
    """A whole document.

    Args:
        title: of the document.
        sections: headings and their HTML.
        lead: HTML below the title.
    """
    parts = list(sections)
    links = "".join(f'<a href="#s{k}">{escape(name)}</a>' for k, (name, _) in enumerate(parts))
    body = "\n".join(
        f'<section id="s{k}"><h2>{escape(name)}</h2>\n{inner}</section>' for k, (name, inner) in enumerate(parts)
    )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        # nothing may be fetched, whatever a name in the tables might contain
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
        "style-src 'unsafe-inline'\">\n"
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<h1>{escape(title)}</h1>\n"
        f"{lead}\n<nav>{links}</nav>\n{body}\n</body>\n</html>\n"
    )


def paragraphs(lines: Sequence[str], kind: str = "") -> str:
    """Lines as a list, in a box of the class `kind` where given; nothing where there are none."""
    if not lines:
        return ""
    listed = "<ul>" + "".join(f"<li>{escape(line)}</li>" for line in lines) + "</ul>"
    return f'<div class="{kind}">{listed}</div>' if kind else listed


def table(made: Table) -> str:
    """A table of a comparison, with its marks and notes; it scrolls sideways where it is wider than the screen."""
    rows = []
    for r, row in enumerate(made.rows):
        cells = "".join(
            f'<td class="{mark}">{escape(text)}</td>'
            if (mark := made.marks.get((r, k), ""))
            else f"<td>{escape(text)}</td>"
            for k, text in enumerate(row)
        )
        rows.append(f'<tr class="rule">{cells}</tr>' if r in made.rule_before else f"<tr>{cells}</tr>")
    legend = ["Bold: best of the column; underlined: second best."] if made.marks else []
    return (
        f"<h3>{escape(made.title)}</h3>\n{_scrolled(made.header, rows)}\n{paragraphs([*legend, *made.notes], 'notes')}"
    )


def plain_table(header: Sequence[str], rows: Iterable[Sequence[str]], kind: str = "") -> str:
    """A table of text without marks."""
    cells = ["<tr>" + "".join(f"<td>{escape(text)}</td>" for text in row) + "</tr>" for row in rows]
    return _scrolled(header, cells, kind)


def figure(title: str, caption: str, picture: Path) -> str:
    """A PNG inside the document, with its title and caption."""
    data = base64.b64encode(picture.read_bytes()).decode("ascii")
    return (
        f'<figure><h3>{escape(title)}</h3><img alt="{escape(title)}" src="data:image/png;base64,{data}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def _scrolled(header: Sequence[str], rows: Sequence[str], kind: str = "") -> str:
    head = "".join(f"<th>{escape(text)}</th>" for text in header)
    named = f' class="{kind}"' if kind else ""
    return f'<div class="wide"><table{named}><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'
