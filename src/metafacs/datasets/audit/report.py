"""The audit of a prepared dataset: a verdict, what was found, tables; as text and JSON."""

import json
import math
import textwrap
from collections.abc import Callable
from dataclasses import asdict, dataclass
from numbers import Integral
from pathlib import Path
from typing import Any

import pandas as pd

from metafacs.datasets.audit.duplicates import check_duplicates, find_duplicates
from metafacs.datasets.audit.finding import CHECK, DIFFERS, NOTE, Finding
from metafacs.datasets.audit.labels import check_expressions, check_rates, expressions, rates
from metafacs.datasets.audit.lag import check_lag, fit_lags
from metafacs.datasets.audit.losses import check_losses, check_notes, check_rows, reasons, subjects
from metafacs.datasets.audit.material import Material
from metafacs.datasets.audit.published import SourceMatch, check_frames, check_people, fold_names, matches
from metafacs.datasets.audit.videos import check_videos, videos

PERSONAL = (
    "Faces are personal data: keep this dataset, its pictures and this report where only people who signed the "
    "agreement can see them, and delete them when it ends."
)
WIDTH = 118
"""Characters of a line of text."""
MOST_ROWS = 60
"""Rows of a table in the text; the JSON has all."""
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Audit:
    """What an audit found.

    Attributes:
        name: of the dataset.
        verdict: one sentence.
        matches: whether it is the published protocol; None where nothing is published.
        findings: what was found, what matters most first.
        tables: "folds", "subjects", "aus", "expressions", "left_out", "videos", "runs"; only those with rows.
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
        tables = {
            name: json.loads(table.reset_index().to_json(orient="records")) for name, table in self.tables.items()
        }
        entries: dict[str, Any] = {
            "name": self.name,
            "verdict": self.verdict,
            "matches": self.matches,
            "facts": self.facts,
        }
        entries |= {"findings": [asdict(finding) for finding in self.findings], "tables": tables}
        entries |= {"folds_elsewhere": self.folds_elsewhere, "personal_data": PERSONAL}
        return json.dumps(entries, indent=1, ensure_ascii=False) + "\n"

    def to_text(self) -> str:
        """Everything a terminal can show."""
        lines = [f"Audit of {self.name}", "", *_wrapped(f"VERDICT: {self.verdict}"), ""]
        for level, title in ((DIFFERS, "Differs"), (CHECK, "To check"), (NOTE, "Noted")):
            own = self.of(level)
            lines += [f"{title} ({len(own)})"] if own else []
            for finding in own:
                lines += _wrapped(f"- {finding.topic}: {finding.text}", "  ")
                lines += _wrapped(f"  -> {finding.action}", "     ") if finding.action else []
            lines += [""] if own else []
        for name, table in self.tables.items():
            lines += [f"{table_title(name)}", *table_lines(table), ""]
        if self.folds_elsewhere:
            lines += [*_wrapped(f"Folds elsewhere: {self.folds_elsewhere}."), ""]
        lines += [line for name, text in self.facts.items() for line in _wrapped(f"{name.replace('_', ' ')}: {text}")]
        return "\n".join([*lines, "", *_wrapped(PERSONAL)]) + "\n"


def audit(folder: Path, progress: Progress | None = None) -> tuple[Audit, Material]:
    """Audits a prepared dataset; reads every picture's bytes, and decodes some.

    Args:
        folder: of the dataset.
        progress: is told what is being done, how much of it is done, and of how much.

    Returns:
        What was found, and what it was found in.

    Raises:
        InputError: there is no prepared dataset, or its files are damaged.
    """
    material = Material.gather(folder)
    dataset, rows = material.dataset, material.rows
    twice = find_duplicates(dataset, rows, _titled(progress, "comparing faces"))
    findings = [*check_frames(material), *check_people(material), *check_rates(material)]
    findings += [*check_expressions(material), *check_losses(material), *check_duplicates(twice, rows)]
    findings += check_videos(material.listed)
    if dataset.aus:
        findings += check_lag(fit_lags(dataset, rows, _titled(progress, "comparing labels with pictures")))
    findings += [*check_rows(material), *check_notes(material)]
    if material.listed is None:
        text = "the dataset was not prepared from a release by this version, so nothing says what the release held"
        findings.append(Finding(NOTE, "history", text))
    order = (DIFFERS, CHECK, NOTE)
    findings.sort(key=lambda finding: order.index(finding.level))
    found = matches(material)
    verdict, same = conclude(material, findings, found)
    tables = {"folds": _folds(material, found), "aus": rates(material), "expressions": expressions(material)}
    tables |= {"subjects": subjects(material), "left_out": reasons(material)}
    tables |= {"videos": videos(material.listed), "runs": twice.runs}
    kept = {name: table for name, table in tables.items() if len(table)}
    elsewhere = fold_names(material.protocol)
    return Audit(dataset.card.name, verdict, same, findings, kept, _facts(material), elsewhere), material


def conclude(material: Material, findings: list[Finding], found: list[SourceMatch]) -> tuple[str, bool | None]:
    """The verdict, and whether the dataset is the published one (None where nothing is published)."""
    differing = [finding for finding in findings if finding.level == DIFFERS]
    checks = sum(finding.level == CHECK for finding in findings)
    after = f"; {checks} thing{'s' if checks > 1 else ''} to check" if checks else ""
    topics = ", ".join(dict.fromkeys(finding.topic for finding in differing))
    if not any(finding.topic == "frames" for finding in findings):
        told = f"differs from what is published in: {topics}" if differing else "no fault was found"
        return f"no published counts to compare frames with; {told}{after}", False if differing else None
    if differing:
        near = f" (nearest source: {found[0].source})" if found and found[0].near else ""
        return f"differs from the published protocol{near} in: {topics}{after}", False
    source = next((f" as {match.source} counts it" for match in found if match.exact), "")
    lost = material.lost("face") + material.lost("picture")
    without = f"; {lost:,} labelled pictures without a usable face are left out" if lost else ""
    return f"matches the published protocol ({material.protocol}{source}){without}{after}", True


def table_title(name: str) -> str:
    """A table's title."""
    return {
        "folds": "Frames per fold: in the release (labelled, with a picture), prepared, and as published",
        "aus": "Base rates, percent of labelled faces",
        "expressions": "Expressions",
        "subjects": "People",
        "left_out": "Left out",
        "videos": "Videos",
        "runs": "Stretches that repeat one picture",
    }[name]


def table_lines(table: pd.DataFrame) -> list[str]:
    """A table as lines of text."""
    shown = table.reset_index() if table.index.name else table
    cells = [[str(name).replace("_", " ") for name in shown.columns]]
    cells += [[cell(value) for value in row] for row in shown.head(MOST_ROWS).itertuples(index=False)]
    right = [pd.api.types.is_numeric_dtype(shown[name]) for name in shown.columns]
    widths = [max(len(row[k]) for row in cells) for k in range(len(right))]
    lines = []
    for row in cells:
        texts = zip(row, widths, right, strict=True)
        lines.append(("  " + "  ".join(f"{text:>{n}}" if r else f"{text:<{n}}" for text, n, r in texts)).rstrip())
    return [*lines, f"  and {len(shown) - MOST_ROWS:,} more"] if len(shown) > MOST_ROWS else lines


def cell(value: Any) -> str:
    """A value as text: empty where missing, two digits, thousands parted."""
    if value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, float):
        return f"{value:,.0f}" if value == int(value) and abs(value) >= 100 else f"{value:.2f}"
    return f"{value:,}" if isinstance(value, Integral) and not isinstance(value, bool) else str(value)


def _folds(material: Material, found: list[SourceMatch]) -> pd.DataFrame:
    listed = material.listed.folds if material.listed else {}
    rows = material.rows
    people = rows.groupby("fold")["subject"].nunique()
    named = {fold or "all": count for fold, count in listed.items()}
    names = sorted({*named, *material.folds, *(fold for match in found for fold in match.published)})
    table = pd.DataFrame(index=pd.Index(names, name="fold"))
    table["people"] = people.reindex(names, fill_value=0)
    if material.listed:
        table["release"] = [named.get(fold, 0) for fold in names]
    table["prepared"] = [material.folds.get(fold, 0) for fold in names]
    for match in found:
        table[match.source] = pd.array([match.published.get(fold) for fold in names], "Int64")
    return table


def _facts(material: Material) -> dict[str, Any]:
    card, source = material.dataset.card, material.source
    facts: dict[str, Any] = {"source": source.title if source else card.source}
    if source:
        facts |= {"what": source.what, "count": source.count, "split": source.split}
    facts["licence"] = source.licence if source else card.licence
    if source:
        facts |= {"citation": source.citation, "obtain": source.obtain, "page": source.url, "tried": source.tried}
    facts |= {"faces": card.rows, "crop": _told(card.crop), "options": _told(card.settings.get("options", {}))}
    facts["made_by"] = f"metafacs {card.tool_version}"
    return {name: text for name, text in facts.items() if text}


def _told(values: Any) -> str:
    if not isinstance(values, dict):
        return str(values)
    kept = ("kind", "size", "margin", "quality", "finder", "choice", "every")
    shown = {name: value for name, value in values.items() if name in kept} if "template" in values else values
    return ", ".join(f"{name} {_told(value)}" for name, value in shown.items() if value not in ("", None))


def _titled(progress: Progress | None, title: str) -> Callable[[int, int], None] | None:
    return None if progress is None else lambda done, total: progress(title, done, total)


def _wrapped(text: str, indent: str = "") -> list[str]:
    return textwrap.wrap(text, WIDTH, subsequent_indent=indent, break_on_hyphens=False) or [""]
