"""The audit of a prepared dataset: a verdict, what was found, tables; as text, JSON and a page."""

import json
import math
import textwrap
from collections.abc import Callable
from dataclasses import asdict, dataclass
from numbers import Integral
from pathlib import Path
from typing import Any

import pandas as pd

from metafacs.data.montage import describe, sample_rows
from metafacs.datasets.audit.duplicates import check_duplicates, find_duplicates
from metafacs.datasets.audit.labels import check_expressions, check_rates, expressions, rates
from metafacs.datasets.audit.losses import (
    check_losses,
    check_notes,
    check_rows,
    check_videos,
    reasons,
    subjects,
    videos,
)
from metafacs.datasets.audit.material import CHECK, DIFFERS, NOTE, Finding, Material
from metafacs.datasets.audit.published import SourceMatch, check_frames, check_people, fold_names, matches
from metafacs.datasets.preparation import AUDIT_FILES
from metafacs.errors import InputError
from metafacs.files import write_text
from metafacs.pages import data_url, render

TEXT_FILE, JSON_FILE, PAGE_FILE = AUDIT_FILES
PERSONAL = (
    "Faces are personal data: keep this dataset, its pictures and this report where only people who signed the "
    "agreement can see them, and delete them when it ends."
)
LEVELS = {DIFFERS: "Differs", CHECK: "To check", NOTE: "Noted"}
TITLES = {
    "folds": "Frames per fold: in the release (labelled, with a picture), prepared, and as published",
    "aus": "Base rates, percent of labelled faces",
    "expressions": "Expressions",
    "subjects": "People",
    "left_out": "Left out",
    "videos": "Videos",
    "runs": "Stretches that repeat one picture",
}
WIDTH = 118
"""Characters of a line of text."""
MOST_ROWS, MOST_ON_PAGE = 60, 200
"""Rows of a table in the text and on the page; the JSON has all."""
FACES = 24
"""Faces on the page."""
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Audit:
    """What an audit found.

    Attributes:
        name: of the dataset.
        verdict: one sentence.
        matches: whether it is the published protocol; None where nothing is published.
        findings: what was found, what matters most first.
        tables: by the names of `TITLES`; only those with rows.
        facts: the dataset's card, licence, citation, counts.
        folds_elsewhere: what other repositories call its folds, or "".
    """

    name: str
    verdict: str
    matches: bool | None
    findings: list[Finding]
    tables: dict[str, pd.DataFrame]
    facts: dict[str, Any]
    folds_elsewhere: str

    def of(self, level: str) -> list[Finding]:
        """The findings of one level."""
        return [finding for finding in self.findings if finding.level == level]

    def to_json(self) -> str:
        """Everything, as JSON."""
        entries = {
            "name": self.name,
            "verdict": self.verdict,
            "matches": self.matches,
            "facts": self.facts,
            "findings": [asdict(finding) for finding in self.findings],
            "tables": {
                name: json.loads(table.reset_index().to_json(orient="records")) for name, table in self.tables.items()
            },
            "folds_elsewhere": self.folds_elsewhere,
            "personal_data": PERSONAL,
        }
        return json.dumps(entries, indent=1, ensure_ascii=False) + "\n"

    def to_text(self) -> str:
        """Everything a terminal can show."""
        lines = [f"Audit of {self.name}", "", *_wrapped(f"VERDICT: {self.verdict}"), ""]
        for level, title in LEVELS.items():
            findings = self.of(level)
            lines += [f"{title} ({len(findings)})"] if findings else []
            for finding in findings:
                lines += _wrapped(f"- {finding.topic}: {finding.text}", "  ")
                lines += _wrapped(f"  -> {finding.action}", "     ") if finding.action else []
            lines += [""] if findings else []
        for name, table in self.tables.items():
            lines += [TITLES[name], *_table_lines(table), ""]
        if self.folds_elsewhere:
            lines += [*_wrapped(f"Folds elsewhere: {self.folds_elsewhere}."), ""]
        lines += [line for name, text in self.facts.items() for line in _wrapped(f"{name.replace('_', ' ')}: {text}")]
        return "\n".join([*lines, "", *_wrapped(PERSONAL)]) + "\n"

    def to_page(self, material: Material) -> str:
        """Everything with some faces, as one HTML file.

        Args:
            material: what was audited.
        """
        grids = []
        for name, table in self.tables.items():
            header, rows, numbers = _cells(table, MOST_ON_PAGE)
            words = [k for k, number in enumerate(numbers) if k and not number]
            grid = {"title": TITLES[name], "header": header, "rows": rows, "text": words}
            grids.append({**grid, "open": name in ("folds", "aus"), "more": max(0, len(table) - MOST_ON_PAGE)})
        return render(
            "audit.html",
            title=f"Audit of {self.name}",
            audit=self,
            personal=PERSONAL,
            levels=LEVELS,
            grids=grids,
            faces=[_face(material, row) for row in sample_rows(material.rows, FACES, 0)],
            total=len(material.dataset),
            facts=[(name.replace("_", " "), cell(text)) for name, text in self.facts.items()],
        )


def write_audit(folder: Path, progress: Progress | None = None) -> Audit:
    """Audits the prepared dataset in `folder` and writes `audit.txt`, `audit.json` and `audit.html` there.

    The same dataset gives the same files.

    Raises:
        InputError: there is no prepared dataset, or its files are damaged.
    """
    result, material = audit(folder, progress)
    write_text(folder / JSON_FILE, result.to_json())
    write_text(folder / PAGE_FILE, result.to_page(material))
    write_text(folder / TEXT_FILE, result.to_text())
    return result


def audit(folder: Path, progress: Progress | None = None) -> tuple[Audit, Material]:
    """Audits a prepared dataset; reads every picture's bytes.

    Args:
        folder: of the dataset.
        progress: is told what is being done, how much of it is done, and of how much.

    Returns:
        What was found, and what it was found in.

    Raises:
        InputError: there is no prepared dataset, or its files are damaged.
    """
    material = Material.gather(folder)
    tell = (lambda done, total: progress("comparing faces", done, total)) if progress else None
    duplicates = find_duplicates(material.dataset, material.rows, tell)
    findings = [
        *check_frames(material),
        *check_people(material),
        *check_rates(material),
        *check_expressions(material),
        *check_losses(material),
        *check_duplicates(duplicates),
        *check_videos(material.listed),
        *check_rows(material),
        *check_notes(material),
    ]
    if material.listed is None:
        text = "the dataset was not prepared from a release by this version, so nothing says what the release held"
        findings.append(Finding(NOTE, "history", text))
    findings.sort(key=lambda finding: list(LEVELS).index(finding.level))
    sources = matches(material)
    verdict, same = _conclude(material, findings, sources)
    tables = {
        "folds": _folds(material, sources),
        "aus": rates(material),
        "expressions": expressions(material),
        "subjects": subjects(material),
        "left_out": reasons(material),
        "videos": videos(material.listed),
        "runs": duplicates.runs,
    }
    return Audit(
        name=material.dataset.card.name,
        verdict=verdict,
        matches=same,
        findings=findings,
        tables={name: table for name, table in tables.items() if len(table)},
        facts=_facts(material),
        folds_elsewhere=fold_names(material.protocol),
    ), material


def _conclude(material: Material, findings: list[Finding], sources: list[SourceMatch]) -> tuple[str, bool | None]:
    """The verdict, and whether the dataset is the published one (None where nothing is published)."""
    differing = [finding for finding in findings if finding.level == DIFFERS]
    checks = [finding.topic for finding in findings if finding.level == CHECK]
    after = f"{len(checks)} thing{'s' if len(checks) > 1 else ''} to check: {', '.join(dict.fromkeys(checks))}"
    after = f"; {after}" if checks else ""
    topics = ", ".join(dict.fromkeys(finding.topic for finding in differing))
    if not any(finding.topic == "frames" for finding in findings):
        outcome = f"; differs from what is published in: {topics}" if differing else ""
        outcome = outcome or ("" if checks else "; no fault was found")
        return f"no published counts to compare frames with{outcome}{after}", False if differing else None
    if differing:
        near = f" (nearest source: {sources[0].source})" if sources and sources[0].near else ""
        return f"differs from the published protocol{near} in: {topics}{after}", False
    source = next((f" as {match.source} counts it" for match in sources if match.exact), "")
    lost = material.lost("face") + material.lost("picture")
    without = f"; {lost:,} labelled pictures without a usable face are left out" if lost else ""
    return f"matches the published protocol ({material.name}{source}){without}{after}", True


def _folds(material: Material, sources: list[SourceMatch]) -> pd.DataFrame:
    listed = {fold or "all": count for fold, count in (material.listed.folds if material.listed else {}).items()}
    names = sorted({*listed, *material.folds, *(fold for match in sources for fold in match.published)})
    table = pd.DataFrame(index=pd.Index(names, name="fold"))
    if material.dataset.card.people_known:
        table["people"] = material.rows.groupby("fold")["subject"].nunique().reindex(names, fill_value=0)
    if material.listed:
        table["release"] = [listed.get(fold, 0) for fold in names]
    table["prepared"] = [material.folds.get(fold, 0) for fold in names]
    for match in sources:
        table[match.source] = pd.array([match.published.get(fold) for fold in names], "Int64")
    return table


_CROP = ("kind", "size", "margin", "quality", "finder", "choice", "every")


def _facts(material: Material) -> dict[str, Any]:
    card, source = material.dataset.card, material.source
    facts: dict[str, Any] = {"source": card.source, "licence": card.licence}
    if source:
        facts = {"source": source.title, "what": source.what, "count": source.count, "split": source.split}
        facts |= {"licence": source.licence, "citation": source.citation, "obtain": source.obtain}
        facts |= {"page": source.url, "tried": source.tried}
    crop = {name: value for name, value in card.crop.items() if name in _CROP}
    facts |= {"faces": card.rows, "crop": _listed(crop), "options": _listed(card.settings.get("options", {}))}
    facts["made_by"] = f"metafacs {card.tool_version}"
    return {name: text for name, text in facts.items() if text}


def _listed(values: Any) -> str:
    if not isinstance(values, dict):
        return str(values)
    return ", ".join(f"{name} {_listed(value)}" for name, value in values.items() if value not in ("", None))


def _face(material: Material, row: int) -> dict[str, Any]:
    """A face for the page: its row, its picture ("" where it cannot be read) and what is known of it."""
    caption = "\n".join(text for text, _ in describe(material.dataset, material.rows.iloc[row], row))
    try:
        picture = data_url(material.dataset.image_bytes(row), "jpeg")
    except InputError:
        picture = ""
    return {"row": row, "picture": picture, "caption": caption}


def _cells(table: pd.DataFrame, most: int) -> tuple[list[str], list[list[str]], list[bool]]:
    """The header of a table, the texts of its first rows, and which columns hold numbers."""
    shown = table.reset_index() if table.index.name else table
    header = [str(name).replace("_", " ") for name in shown.columns]
    rows = [[cell(value) for value in row] for row in shown.head(most).itertuples(index=False)]
    return header, rows, [pd.api.types.is_numeric_dtype(shown[name]) for name in shown.columns]


def _table_lines(table: pd.DataFrame) -> list[str]:
    header, rows, numbers = _cells(table, MOST_ROWS)
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    lines = []
    for row in [header, *rows]:
        texts = zip(row, widths, numbers, strict=True)
        lines.append(("  " + "  ".join(text.rjust(n) if right else text.ljust(n) for text, n, right in texts)).rstrip())
    return [*lines, f"  and {len(table) - MOST_ROWS:,} more"] if len(table) > MOST_ROWS else lines


def cell(value: Any) -> str:
    """A value as text: empty where missing, two digits, thousands parted."""
    if value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, float):
        return f"{value:,.0f}" if value == int(value) and abs(value) >= 100 else f"{value:.2f}"
    return f"{value:,}" if isinstance(value, Integral) and not isinstance(value, bool) else str(value)


def _wrapped(text: str, indent: str = "") -> list[str]:
    return textwrap.wrap(text, WIDTH, subsequent_indent=indent, break_on_hyphens=False) or [""]
