"""Compares the labels of a dataset with what is published about them: base rates of AUs, images per expression."""

import pandas as pd

from metafacs.data.card import NO_FOLD
from metafacs.datasets.audit.material import CHECK, DIFFERS, NOTE, Finding, Material
from metafacs.facs import au_code, au_column, au_title

RATE_POINTS = 2.0
"""Base rates further from the published ones than this many percentage points are flagged."""


def rates(material: Material) -> pd.DataFrame:
    """Per AU: `labelled` and `unknown` faces, `percent` present, `published` percent and `difference` in points."""
    columns = material.dataset.aus
    faces = material.rows[columns]
    labelled = faces.notna().sum()
    published = [100 * material.protocol.base_rates.get(au_code(column), float("nan")) for column in columns]
    table = pd.DataFrame(
        {
            "labelled": labelled,
            "unknown": len(faces) - labelled,
            "percent": 100 * (faces == 1).sum() / labelled,
            "published": published,
        }
    ).set_index(pd.Index([au_title(column) for column in columns], name="au"))
    return table.assign(difference=table["percent"] - table["published"])


def check_rates(material: Material) -> list[Finding]:
    """Base rates that are not the published ones, AUs that are not labelled, and rules that are not the usual ones."""
    table, findings = rates(material), []
    far = table[table["difference"].abs() > RATE_POINTS]
    if len(far):
        shown = ", ".join(f"{au} {row.percent:.1f} % ({row.published:.1f} % published)" for au, row in far.iterrows())
        action = "is the release whole, are the labels those of the release, is the rule of presence the usual one?"
        text = f"base rates more than {RATE_POINTS:g} points from the published ones: {shown}"
        findings.append(Finding(DIFFERS, "base rates", text, action))
    elif table["difference"].notna().any():
        most = float(table["difference"].abs().max())
        findings.append(Finding(NOTE, "base rates", f"all within {most:.2f} points of the published ones"))
    return findings + _check_rules(material) + _check_unknown(table)


def _check_rules(material: Material) -> list[Finding]:
    """Options and AUs other than those of published results."""
    options, findings = material.dataset.card.settings.get("options", {}), []
    for rule in material.protocol.rules:
        value = options.get(rule.option, rule.usual)
        if value != rule.usual:
            level = CHECK if rule.comparable else DIFFERS
            findings.append(Finding(level, rule.option, rule.meaning.format(value=value), rule.action))
    usual = [au_column(code) for code in material.protocol.aus]
    absent = [au_title(column) for column in usual if column not in material.dataset.aus]
    if absent:
        text = f"without {', '.join(absent)} of the benchmark's {len(usual)} AUs"
        action = f"prepare with --aus {','.join(map(str, material.protocol.aus))}"
        findings.append(Finding(DIFFERS, "labels", text, action))
    return findings


def _check_unknown(table: pd.DataFrame) -> list[Finding]:
    some = table[table["unknown"] > 0]
    if not len(some):
        return []
    shown = ", ".join(f"{au} {count:,}" for au, count in some["unknown"].items())
    findings = [Finding(NOTE, "unknown labels", f"faces whose label is unknown (left empty): {shown}")]
    never = some[some["labelled"] == 0]
    if len(never):
        text = f"no face at all is labelled for {', '.join(map(str, never.index))}"
        findings.append(Finding(CHECK, "unknown labels", text, "leave these AUs out with --aus, or mend the labels"))
    return findings


def expressions(material: Material) -> pd.DataFrame:
    """Per fold and expression: `listed` images, `faces`, and the `published` number where it is known."""
    named = material.rows[material.rows["expression"].notna()]
    listed = {
        (fold or NO_FOLD, name): count
        for fold, counts in (material.listed.expressions if material.listed else {}).items()
        for name, count in counts.items()
    }
    published = {
        (fold, name): count for fold, counts in material.protocol.expressions.items() for name, count in counts.items()
    }
    faces = {(str(fold), str(name)): len(rows) for (fold, name), rows in named.groupby(["fold", "expression"])}
    entries = [
        (*key, listed.get(key, 0), faces.get(key, 0), published.get(key, float("nan")))
        for key in sorted({*listed, *faces, *published})
    ]
    return pd.DataFrame(entries, columns=["fold", "expression", "listed", "faces", "published"])


def check_expressions(material: Material) -> list[Finding]:
    """Images per expression against the published ones."""
    table = expressions(material)
    known = table[table["published"].notna()]
    wrong = known[known["published"] != known["listed"]]
    if not len(known):
        return []
    if not len(wrong):
        return [Finding(NOTE, "expressions", "images per expression are exactly the published ones")]
    shown = ", ".join(
        f"{row.fold} {row.expression} {row.listed:,} ({row.published:,.0f} published)"
        for row in wrong.itertuples(index=False)
    )
    action = "is the list of labels whole, and its coding that of the release?"
    return [Finding(DIFFERS, "expressions", f"images per expression: {shown}", action)]
