"""Lists of people who trained before: ME-GraphAU's and JAA-Net's paths in one file, rows of labels in another."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from metafacs.datasets.base import (
    DATASETS,
    UNKNOWN_PEOPLE,
    Listing,
    RawDataset,
    RowTable,
    Skip,
    SourceCard,
    protocol_of,
    with_folds,
)
from metafacs.datasets.folders import PictureFolders, check_raw, files_below
from metafacs.datasets.textfiles import AGAIN, MOST, read_lines, whole_number
from metafacs.errors import InputError
from metafacs.faces.kinds import PICTURES
from metafacs.facs import au_column, au_title, parse_aus

UNKNOWN = (9, -1, 999)
"""Labels that stand for "not labelled": 9 in JAA-Net's lists, -1 in OpenGraphAU's, 999 in FMAE's."""

_PATHS = re.compile(r"_img_path(?=_|\.)|_path(?=\.)", re.IGNORECASE)
_SEQUENCE = re.compile(r"(?:^|/)(?P<subject>[FM]\d{3}|SN\d{3})(?:[/_](?P<task>T\d+))?[/_](?:.*?)(?P<frame>\d+)$", re.I)

_Labels = dict[str, int | None]


@DATASETS.register("lists")
@dataclass
class Lists(RawDataset):
    """Reads pairs of lists: image paths (F001/T1/2440.jpg), and labels, separated by spaces, in the same order.

    Without `paths`, all pairs below the raw folder are read: BP4D_test_img_path_fold1.txt with
    BP4D_test_label_fold1.txt (ME-GraphAU), BP4D_part1_path.txt with BP4D_part1_AUoccur.txt (JAA-Net). An image in
    several lists counts once. Folds are P1 to P3 by subject, whatever the lists are called.
    """

    paths: str = ""
    """list of image paths, relative to the raw folder."""
    labels: str = ""
    """list of labels, relative to the raw folder."""
    aus: str = ""
    """the AUs that the columns of labels stand for, in order; by default those of the dataset that the lists' names
    speak of (BP4D, DISFA)."""
    images: str = ""
    """the folder that image paths start from, relative to the raw folder; by default img beside or above the lists, or
    the raw folder."""
    unknown: Sequence[int] = UNKNOWN
    """labels that stand for "not labelled"."""

    card = SourceCard(
        title="Lists of ME-GraphAU or JAA-Net",
        what="frames of BP4D or DISFA with AU labels, as prepared for these tools",
        count="as many as the lists have; ME-GraphAU: 146,847 frames of BP4D, 130,814 of DISFA",
        split="three subject-exclusive parts, P1 to P3 here; the lists of different tools number them differently",
        licence="that of BP4D and DISFA: for research, by signed agreement; do not pass lists of labels on",
        citation="C. Luo et al., Learning multi-dimensional edge feature-based AU relation graph, IJCAI 2022; "
        "Z. Shao et al., JAA-Net, International Journal of Computer Vision 129, 2021; and the dataset's",
        obtain="make them with the tool's scripts from the released labels",
        url="https://github.com/CVI-SZU/ME-GraphAU",
    )

    def __post_init__(self) -> None:
        if bool(self.paths) != bool(self.labels):
            raise InputError("--paths and --labels belong together: give both, or neither")

    def read(self, raw: Path) -> Listing:
        """See `RawDataset.read`."""
        check_raw(raw)
        pairs = [(raw / self.paths, raw / self.labels)] if self.paths else find_pairs(raw)
        name = _dataset(pairs)
        protocol = protocol_of(name)
        aus = parse_aus(self.aus) if self.aus else [au_column(code) for code in protocol.aus]
        if not aus:
            raise InputError(f"{pairs[0][0]}: its name says no dataset; say with --aus what the columns of labels are")
        listed: dict[str, tuple[_Labels, str]] = {}
        repeated = 0
        for paths, labels in pairs:
            for where, named, values in read_pair(paths, labels, aus, frozenset(self.unknown)):
                known, first = listed.setdefault(named, (values, where))
                if known != values:
                    raise InputError(f"{first} and {where} give {named} different labels; one of the lists is wrong")
                repeated += first != where
        places = {named: _place(named) for named in listed}
        folds, notes = protocol.assign(subject for subject, _, _ in places.values()) if name else ({}, [_NO_FOLD])
        rows, skipped, pictures = RowTable(aus), [], PictureFolders(raw)
        bases = self._bases(raw, pairs)
        for named, (values, where) in listed.items():
            tried = [f"{base}/{named}" if base else named for base in bases]
            image = next((path for name in tried if (path := pictures.find(name, by_number=True))), None)
            if image is None:
                skipped.append(Skip(where, f"no picture {' or '.join(tried)}"))
                continue
            subject, sequence, frame = places[named]
            person = {"subject": subject, "sequence": sequence, "frame": frame, "fold": folds.get(subject, "")}
            rows.add({"image": image, **person, **values})
        notes.append(f"{len(pairs)} pairs of lists; {repeated:,} rows are in more than one and count once")
        people_known = all(places[named][0] != named.rpartition(".")[0] for named in listed)
        notes += [] if people_known else [UNKNOWN_PEOPLE]
        return rows.listing(raw, skipped, notes, name, people_known)

    def _bases(self, raw: Path, pairs: Sequence[tuple[Path, Path]]) -> list[str]:
        if self.images:
            return [self.images.strip("/")]
        around = [pairs[0][0].parent, pairs[0][0].parent.parent, raw]
        places = [place / inside for inside in ("img", "imgs", "") for place in around]
        inside = [place.relative_to(raw).as_posix() for place in places if place.is_relative_to(raw) and place.is_dir()]
        return ["" if place == "." else place for place in dict.fromkeys(inside)]


_NO_FOLD = "no fold: the lists' names say no dataset with published folds"


def find_pairs(raw: Path) -> list[tuple[Path, Path]]:
    """All lists of paths below `raw` with their lists of labels.

    Raises:
        InputError: there is none, or a list of paths has no partner.
    """
    names = [path for path in files_below(raw, frozenset({".txt"})) if _PATHS.search(path.rpartition("/")[2])]
    pairs = []
    for path in names:
        folder, _, name = path.rpartition("/")
        partners = [_PATHS.sub(end, name) for end in ("_label", "_AUoccur")]
        entries = {entry.name.lower(): entry for entry in (raw / folder).iterdir()}
        partner = next((entries[each.lower()] for each in partners if each.lower() in entries), None)
        if partner is None:
            raise InputError(f"{raw / path} has no list of labels beside it; expected {' or '.join(partners)}")
        pairs.append((raw / path, partner))
    if not pairs:
        raise InputError(
            f"{raw} has no list named like BP4D_test_img_path_fold1.txt or BP4D_part1_path.txt; give --paths"
        )
    return pairs


def read_pair(paths: Path, labels: Path, aus: Sequence[str], unknown: frozenset[int]) -> list[tuple[str, str, _Labels]]:
    """Where each row stands, its path and its labels.

    Raises:
        InputError: the lists have different lengths, or a row has another number of labels than there are AUs.
    """
    images, rows = read_lines(paths, "the list of image paths"), read_lines(labels, "the list of labels")
    if len(images) != len(rows):
        short = paths if len(images) < len(rows) else labels
        raise InputError(
            f"{paths} has {len(images):,} rows, {labels} {len(rows):,}: they belong together row by row; {short.name} "
            f"was cut off, {AGAIN}"
        )
    entries = []
    for (number, image), (line, row) in zip(images, rows, strict=True):
        if Path(image).suffix.lower() not in PICTURES:
            raise InputError(f"{paths}, line {number:,}: '{image}' is not a picture's path; cut off there? {AGAIN}")
        cells = row.replace(",", " ").split()
        if len(cells) != len(aus):
            titles = ", ".join(map(au_title, aus))
            raise InputError(f"{labels}, line {line:,}: {len(cells)} labels for {len(aus)} AUs ({titles}); see --aus")
        values = {au: _label(cell, labels, line, au, unknown) for au, cell in zip(aus, cells, strict=True)}
        entries.append((f"{paths.name}, line {number}", image.replace("\\", "/").lstrip("/"), values))
    return entries


def _label(cell: str, path: Path, line: int, au: str, unknown: frozenset[int]) -> int | None:
    value = whole_number(cell, path, line, au_title(au))
    if value not in (0, 1) and value not in unknown:
        raise InputError(
            f"{path}, line {line:,}: {au_title(au)} is {value}; labels are 0, 1 or unknown ({sorted(unknown)})"
        )
    return None if value in unknown else value


def _dataset(pairs: Sequence[tuple[Path, Path]]) -> str:
    """The dataset with published folds that the lists' names speak of, "" if there is none.

    Raises:
        InputError: they speak of two.
    """
    names = sorted({name for paths, _ in pairs for name in with_folds() if name in paths.name.lower()})
    if len(names) > 1:
        raise InputError(f"there are lists of {' and '.join(names)}; prepare one at a time, with --paths and --labels")
    return names[0] if names else ""


def _place(path: str) -> tuple[str, str, int]:
    """Subject, sequence and frame number that a path names."""
    stem = path.rpartition(".")[0]
    match = _SEQUENCE.search(stem)
    if match is None:
        return stem, stem, 0
    subject, task = match["subject"].upper(), match["task"]
    return subject, f"{subject}/{task.upper()}" if task else subject, int(match["frame"]) % MOST
