"""Compares the labels of a dataset with what is published about them: base rates of AUs, images per expression."""

import pandas as pd

from metafacs.datasets.audit.finding import CHECK, DIFFERS, NOTE, Finding
from metafacs.datasets.audit.material import Material
from metafacs.datasets.cropping import NO_FOLD
from metafacs.datasets.protocols import BASE_RATES, RAFDB_COUNTS
from metafacs.facs import AU_SETS, PRESENT_FROM, au_code, au_column, au_title

RATE_POINTS = 2.0
"""Base rates further from the published ones than this many percentage points are flagged."""


def rates(material: Material) -> pd.DataFrame:
    """Per AU: `labelled` and `unknown` faces, `percent` present, `published` percent and `difference` in points."""
    published = BASE_RATES.get(material.protocol, {})
    entries = []
    for column in material.dataset.aus:
        own = material.rows[column]
        labelled = int(own.notna().sum())
        percent = 100 * float((own == 1).sum()) / labelled if labelled else float("nan")
        wanted = 100 * published.get(au_code(column), float("nan"))
        entry = {"au": au_title(column), "labelled": labelled, "unknown": len(own) - labelled}
        entries.append({**entry, "percent": percent, "published": wanted, "difference": percent - wanted})
    columns = ["au", "labelled", "unknown", "percent", "published", "difference"]
    return pd.DataFrame(entries, columns=columns).set_index("au")


def check_rates(material: Material) -> list[Finding]:
    """Base rates that are not the published ones, AUs that are not labelled, and rules that are not the usual ones."""
    table, found = rates(material), []
    far = table[table["difference"].abs() > RATE_POINTS]
    if len(far):
        told = ", ".join(
            f"{title} {row.percent:.1f} % ({row.published:.1f} % published)" for title, row in far.iterrows()
        )
        action = "is the release whole, are the labels those of the release, is the rule of presence the usual one?"
        text = f"base rates more than {RATE_POINTS:g} points from the published ones: {told}"
        found.append(Finding(DIFFERS, "base rates", text, action))
    elif table["difference"].notna().any():
        most = float(table["difference"].abs().max())
        found.append(Finding(NOTE, "base rates", f"all within {most:.2f} points of the published ones"))
    return found + _check_rules(material) + _check_unknown(table)


def _check_rules(material: Material) -> list[Finding]:
    options = material.dataset.card.settings.get("options", {})
    usual = [au_column(au) for au in AU_SETS.get(material.protocol, ())]
    absent = [au_title(column) for column in usual if column not in material.dataset.aus]
    found = []
    if material.protocol == "disfa" and options.get("present_from", PRESENT_FROM) != PRESENT_FROM:
        text = f"an AU counts as present from intensity {options['present_from']}; results are published for 2"
        found.append(Finding(DIFFERS, "labels", text, f"prepare with --present_from {PRESENT_FROM}"))
    if material.protocol == "disfa" and options.get("camera", "left") != "left":
        text = "the right camera; ME-GraphAU and JAA-Net use the left one, LibreFace and FMAE the right one"
        found.append(Finding(CHECK, "camera", text, "compare only with results from the same camera"))
    if absent:
        text = f"without {', '.join(absent)} of the benchmark's {len(usual)} AUs"
        found.append(Finding(DIFFERS, "labels", text, f"prepare with --aus {material.protocol}"))
    return found


def _check_unknown(table: pd.DataFrame) -> list[Finding]:
    some = table[table["unknown"] > 0]
    if not len(some):
        return []
    told = ", ".join(f"{title} {count:,}" for title, count in some["unknown"].items())
    found = [Finding(NOTE, "unknown labels", f"faces whose label is unknown (left empty): {told}")]
    never = some[some["labelled"] == 0]
    if len(never):
        text = f"no face at all is labelled for {', '.join(map(str, never.index))}"
        found.append(Finding(CHECK, "unknown labels", text, "leave these AUs out with --aus, or mend the labels"))
    return found


def expressions(material: Material) -> pd.DataFrame:
    """Per fold and expression: `listed` images, `faces`, and the `published` number (only RAF-DB's are known)."""
    named = material.rows[material.rows["expression"].notna()]
    faces = named.groupby(["fold", "expression"]).size()
    listed = material.listed.expressions if material.listed else {}
    published = RAFDB_COUNTS if material.protocol == "rafdb" else {}
    keys = dict.fromkeys(
        [(str(fold), str(name)) for fold, name in faces.index]
        + [(fold or NO_FOLD, name) for fold, own in listed.items() for name in own]
        + [(fold, name) for fold, own in published.items() for name in own]
    )
    entries = [
        {
            "fold": fold,
            "expression": name,
            "listed": listed.get("" if fold == NO_FOLD else fold, {}).get(name, 0),
            "faces": int(faces.get((fold, name), 0)),
            "published": published.get(fold, {}).get(name, float("nan")),
        }
        for fold, name in sorted(keys)
    ]
    return pd.DataFrame(entries, columns=["fold", "expression", "listed", "faces", "published"])


def check_expressions(material: Material) -> list[Finding]:
    """Images per expression against RAF-DB's."""
    table = expressions(material)
    wrong = table[table["published"].notna() & (table["published"] != table["listed"])]
    if not table["published"].notna().any():
        return []
    if not len(wrong):
        return [Finding(NOTE, "expressions", "images per expression are exactly the published ones")]
    told = ", ".join(
        f"{row.fold} {row.expression} {row.listed:,} ({row.published:,.0f} published)"
        for row in wrong.itertuples(index=False)
    )
    action = "is the list of labels whole, and its coding RAF-DB's (1 surprise ... 7 neutral)?"
    return [Finding(DIFFERS, "expressions", f"images per expression: {told}", action)]
