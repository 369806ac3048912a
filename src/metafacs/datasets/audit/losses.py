"""What is not in a prepared dataset, and why: pictures without labels or the reverse, damaged ones, faces not found."""

import pandas as pd

from metafacs.data.card import NO_FOLD
from metafacs.data.splits import NO_FOLDS
from metafacs.data.validation import validate
from metafacs.datasets.audit.material import CHECK, DIFFERS, NOTE, Finding, Material
from metafacs.datasets.listed import Clip, Listed
from metafacs.datasets.preparation import SEVERAL, SKIPPED_FILE
from metafacs.datasets.protocols import ABSENT

MOST_LOST = 0.01
"""A larger share of faces not found spoils the comparison with others."""
MOST_LOST_OF_ONE = 0.1
"""The same of one person."""
MOST_LISTED = 5
"""So many examples are named; the files have all."""

_FAULTS = ("picture", "image", "video", "clip", "repeats", "file", "several folders")
_SHIFTS = ("off by one", "counted from another number")


def subjects(material: Material) -> pd.DataFrame:
    """Per subject: `fold`, `faces`, `unreadable` pictures, `no_face` and `no_face_percent` of the readable ones.

    Empty where everybody has about one picture.
    """
    rows, skipped = material.rows, material.skipped
    lost = skipped[skipped["subject"] != ""].groupby(["subject", "stage"])["rows"].sum().unstack(fill_value=0)
    groups = rows.groupby("subject", sort=True)
    names = sorted({*groups.groups, *lost.index})
    if len(names) > len(rows) / 2:
        names = []
    lost = lost.reindex(index=names, columns=["picture", "face"], fill_value=0).astype(int)
    faces = groups.size().reindex(names, fill_value=0).astype(int)
    table = pd.DataFrame({"fold": groups["fold"].first().reindex(names).fillna(""), "faces": faces}, index=names)
    table = table.assign(unreadable=lost["picture"], no_face=lost["face"])
    table["no_face_percent"] = 100 * table["no_face"] / (table["faces"] + table["no_face"]).clip(lower=1)
    return table.rename_axis("subject")


def reasons(material: Material) -> pd.DataFrame:
    """Rows left out by `stage` and `reason`, with one example each, most first."""
    groups = material.skipped.groupby(["stage", "reason"], sort=False)
    table = groups.agg(rows=("rows", "sum"), example=("where", "first")).reset_index()
    return table.sort_values("rows", ascending=False, kind="stable", ignore_index=True)


def videos(listed: Listed | None) -> pd.DataFrame:
    """Per video: `first` and `last` labelled frame (from 0), `frames` it has, `surplus` of them behind the labels."""
    clips = listed.videos if listed else []
    entries = [(clip.video, clip.first, clip.last, clip.frames, _surplus(clip)) for clip in clips]
    table = pd.DataFrame(entries, columns=["video", "first", "last", "frames", "surplus"])
    return table.astype({"frames": "Int64", "surplus": "Int64"}).set_index("video")


def _surplus(clip: Clip) -> int | None:
    return None if clip.frames is None else clip.frames - clip.last - 1


def check_videos(listed: Listed | None) -> list[Finding]:
    """Videos that end before their labels, or that go on after labels that begin with the first frame."""
    known = [(clip, surplus) for clip in (listed.videos if listed else []) if (surplus := _surplus(clip)) is not None]
    short = [(clip, surplus) for clip, surplus in known if surplus < 0]
    long = [(clip, surplus) for clip, surplus in known if surplus > 0 and clip.first == 0]
    findings = []
    for what, some, action in (
        ("fewer", short, "are labels counted from 1 where the reader takes 0, or is the video cut off?"),
        ("more", long, "is the first or the last picture the surplus one? Look at labels beside pictures"),
    ):
        if some:
            by_one = sum(abs(surplus) == 1 for _, surplus in some)
            topic = "off by one" if by_one else "length of videos"
            shown = ", ".join(f"{clip.video} {clip.frames:,} for {clip.last + 1:,}" for clip, _ in some[:MOST_LISTED])
            text = f"{len(some)} videos have {what} frames than labels ({by_one} of them by just one): {shown}"
            findings.append(Finding(CHECK, topic, text, action))
    return findings


def check_losses(material: Material) -> list[Finding]:
    """Everything that was left out."""
    return [*_check_listing(material), *_check_pictures(material), *_check_faces(material)]


def check_notes(material: Material) -> list[Finding]:
    """What the reader said; suspicions of a shift are to be checked."""
    findings = []
    for note in material.listed.notes if material.listed else []:
        if note.startswith(ABSENT) and material.name:
            continue  # said already, with what to do
        if any(words in note for words in _SHIFTS):
            action = "look at labels beside pictures before training on them"
            findings.append(Finding(CHECK, "off by one", note, action))
        else:
            findings.append(Finding(NOTE, "reader", note))
    return findings


def check_rows(material: Material) -> list[Finding]:
    """Rows in no fold, and what is wrong with rows whatever dataset they are of."""
    findings = []
    strangers = material.folds.get(NO_FOLD, 0)
    if strangers and len(material.folds) > 1:
        text = f"{strangers:,} faces are in no fold (fold '{NO_FOLD}')"
        findings.append(Finding(CHECK, "folds", text, "leave them out, or give their people a fold"))
    elif strangers and material.dataset.aus:
        findings.append(Finding(CHECK, "folds", "no face is in a fold: `metafacs train` will refuse this", NO_FOLDS))
    kinds: dict[tuple[str, str], list[str]] = {}
    for problem in validate(material.dataset, images=False):
        row = f"row {problem.row}: " if problem.row is not None else ""
        kind = problem.column, problem.message if problem.row is None else ""
        kinds.setdefault(kind, []).append(f"{row}{problem.message}")
    for (column, _), messages in kinds.items():
        more = f" and {len(messages) - 1:,} more such rows" if len(messages) > 1 else ""
        level = DIFFERS if column == "fold" else CHECK
        findings.append(Finding(level, column or "rows", messages[0] + more, "metafacs inspect lists all"))
    return findings


def _check_listing(material: Material) -> list[Finding]:
    table = reasons(material)
    findings = []
    for row in table[table["stage"] == "listing"].itertuples():
        fault = any(word in str(row.reason) for word in _FAULTS)
        text = f"{row.rows:,} labelled rows left out by the reader: {row.reason} (as {row.example})"
        action = f"{SKIPPED_FILE} lists them; unpack or extract what is missing"
        findings.append(
            Finding(CHECK, "labels without pictures", text, action) if fault else Finding(NOTE, "rules", text)
        )
    return findings


def _check_pictures(material: Material) -> list[Finding]:
    lost = material.lost("picture")
    if not lost:
        return []
    shown = "; ".join(f"{row.where}: {row.reason}" for row in material.stage("picture").head(MOST_LISTED).itertuples())
    action = f"{SKIPPED_FILE} lists them; copy or extract them again"
    return [Finding(CHECK, "unreadable pictures", f"{lost:,} pictures cannot be read, as {shown}", action)]


def _check_faces(material: Material) -> list[Finding]:
    lost, here = material.lost("face"), len(material.rows)
    several = material.dataset.card.counts.get(SEVERAL, 0)
    text = f"{several:,} pictures have several faces; taken was that of the frame before, in photographs the largest"
    findings = [Finding(NOTE, "faces", text)] if several else []
    if not lost:
        return [Finding(NOTE, "faces", "a face was found in every readable picture"), *findings]
    share = lost / (lost + here)
    text = f"no face found in {lost:,} pictures ({100 * share:.2f} % of the readable ones); they are left out"
    action = f"look at them; {SKIPPED_FILE} says how small faces were sought and which flag seeks smaller ones; try "
    action += "another --detector, or the dataset's own landmarks"
    worse = DIFFERS if material.name else CHECK
    findings.append(Finding(worse, "faces", text, action) if share > MOST_LOST else Finding(NOTE, "faces", text))
    table = subjects(material)
    hard = table[table["no_face_percent"] > 100 * MOST_LOST_OF_ONE]
    if len(hard):
        shown = ", ".join(f"{name} {row.no_face_percent:.0f} %" for name, row in hard.head(10).iterrows())
        findings.append(Finding(CHECK, "faces", f"people of whom many faces were not found: {shown}", action))
    return findings
