"""What is not in a prepared dataset, and why: pictures without labels or the reverse, damaged ones, faces not found."""

from collections import Counter

import pandas as pd

from metafacs.data.validation import validate
from metafacs.datasets.audit.finding import CHECK, DIFFERS, NOTE, Finding
from metafacs.datasets.audit.material import Material
from metafacs.datasets.cropping import NO_FOLD
from metafacs.datasets.preparation import SKIPPED_FILE

MOST_LOST = 0.01
"""A larger share of faces not found spoils the comparison with others."""
MOST_LOST_OF_ONE = 0.1
"""The same of one person."""
MOST_LISTED = 5
"""So many examples are named; the files have all."""

_FAULTS = ("picture", "image", "video", "clip", "repeats", "file", "several folders")
_ABSENT = "people of the published folds who are not here"
_SHIFTS = ("off by one", "counted from another number")


def subjects(material: Material) -> pd.DataFrame:
    """Per subject: `fold`, `faces`, `unreadable` pictures, `no_face` and `no_face_percent` of the readable ones.

    Empty where everybody has about one picture.
    """
    rows, skipped = material.rows, material.skipped
    own = skipped[skipped["subject"] != ""].groupby(["subject", "stage"])["rows"].sum().unstack(fill_value=0)
    groups = rows.groupby("subject", sort=True)
    names = sorted({*groups.groups, *own.index})
    if len(names) > len(rows) / 2:
        names = []
    own = own.reindex(index=names, columns=["picture", "face"], fill_value=0)
    faces = groups.size().reindex(names, fill_value=0).astype(int)
    table = pd.DataFrame({"fold": groups["fold"].first().reindex(names).fillna(""), "faces": faces}, index=names)
    table["unreadable"], table["no_face"] = own["picture"].astype(int), own["face"].astype(int)
    table["no_face_percent"] = 100 * table["no_face"] / (table["faces"] + table["no_face"]).clip(lower=1)
    return table.rename_axis("subject")


def reasons(material: Material) -> pd.DataFrame:
    """Rows left out by `stage` and `reason`, with one example each, most first."""
    counted: Counter[tuple[str, str]] = Counter()
    example: dict[tuple[str, str], str] = {}
    for one in material.skipped.itertuples():
        key = str(one.stage), str(one.reason)
        counted[key] += int(str(one.rows))
        example.setdefault(key, str(one.where))
    entries = [(*key, rows, example[key]) for key, rows in counted.most_common()]
    return pd.DataFrame(entries, columns=["stage", "reason", "rows", "example"])


def check_losses(material: Material) -> list[Finding]:
    """Everything that was left out."""
    return [*_check_listing(material), *_check_pictures(material), *_check_faces(material)]


def check_notes(material: Material) -> list[Finding]:
    """What the reader said; suspicions of a shift are to be checked."""
    found = []
    for note in material.listed.notes if material.listed else []:
        if note.startswith(_ABSENT) and material.protocol:
            continue  # said already, with what to do
        if any(words in note for words in _SHIFTS):
            found.append(Finding(CHECK, "off by one", note, "look at labels beside pictures before training on them"))
        else:
            found.append(Finding(NOTE, "reader", note))
    return found


def check_rows(material: Material) -> list[Finding]:
    """Rows in no fold, and what is wrong with rows whatever dataset they are of."""
    found = []
    strangers = material.folds.get(NO_FOLD, 0)
    if strangers and len(material.folds) > 1:
        text = f"{strangers:,} faces are in no fold (fold '{NO_FOLD}')"
        found.append(Finding(CHECK, "folds", text, "leave them out, or give their people a fold"))
    kinds: dict[tuple[str, str], list[str]] = {}
    for problem in validate(material.dataset, images=False):
        row = f"row {problem.row}: " if problem.row is not None else ""
        kinds.setdefault((problem.column, problem.message if problem.row is None else ""), []).append(
            f"{row}{problem.message}"
        )
    for (column, _), messages in kinds.items():
        more = f" and {len(messages) - 1:,} more such rows" if len(messages) > 1 else ""
        level = DIFFERS if column == "fold" else CHECK
        found.append(Finding(level, column or "rows", messages[0] + more, "metafacs inspect lists all"))
    return found


def _check_listing(material: Material) -> list[Finding]:
    table = reasons(material)
    found = []
    for row in table[table["stage"] == "listing"].itertuples():
        fault = any(word in str(row.reason) for word in _FAULTS)
        text = f"{row.rows:,} labelled rows left out by the reader: {row.reason} (as {row.example})"
        action = f"{SKIPPED_FILE} lists them; unpack or extract what is missing" if fault else ""
        found.append(Finding(CHECK if fault else NOTE, "labels without pictures" if fault else "rules", text, action))
    return found


def _check_pictures(material: Material) -> list[Finding]:
    lost = material.lost("picture")
    if not lost:
        return []
    shown = material.stage("picture").head(MOST_LISTED)
    told = "; ".join(f"{row.where}: {row.reason}" for row in shown.itertuples())
    action = f"{SKIPPED_FILE} lists them; copy or extract them again"
    return [Finding(CHECK, "unreadable pictures", f"{lost:,} pictures cannot be read, as {told}", action)]


def _check_faces(material: Material) -> list[Finding]:
    lost, here = material.lost("face"), len(material.rows)
    if not lost:
        return [Finding(NOTE, "faces", "a face was found in every readable picture")]
    share = lost / (lost + here)
    text = f"no face found in {lost:,} pictures ({100 * share:.2f} % of the readable ones); they are left out"
    action = "look at them; try --upsample 1, --width 0, another --detector, or the dataset's own landmarks"
    worse = DIFFERS if material.protocol else CHECK
    found = [Finding(worse, "faces", text, action) if share > MOST_LOST else Finding(NOTE, "faces", text)]
    table = subjects(material)
    hard = table[table["no_face_percent"] > 100 * MOST_LOST_OF_ONE]
    if len(hard):
        told = ", ".join(f"{name} {row.no_face_percent:.0f} %" for name, row in hard.head(10).iterrows())
        found.append(Finding(CHECK, "faces", f"people of whom many faces were not found: {told}", action))
    return found
