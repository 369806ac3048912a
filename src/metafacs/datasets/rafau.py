"""RAF-AU: a list of images and the AUs in them, joined by "+"."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from metafacs.datasets.base import DATASETS, UNKNOWN_PEOPLE, Listing, RawDataset, RowTable, Skip, SourceCard
from metafacs.datasets.folders import PictureFolders, find_file, find_folder
from metafacs.datasets.protocols import folds_from_lists
from metafacs.datasets.textfiles import AGAIN, read_lines
from metafacs.errors import InputError
from metafacs.facs import ACTION_UNITS, au_column, parse_aus

DEFAULT_AUS = "1,2,4,5,6,7,9,10,12,14,15,16,17,18,20,22,23,24,25,26,27"
"""The AUs of the face that OpenGraphAU takes from RAF-AU, without tongue, lip bite and nostrils."""

_TOKEN = re.compile(r"(?:AU)?(?P<side>[LRTB])?(?P<code>\d{1,2})(?P<level>[A-E])?", re.IGNORECASE)


@DATASETS.register("rafau")
@dataclass
class RAFAU(RawDataset):
    """Reads RAF-AU: RAFAU_label.txt with aligned/0001_aligned.jpg or original/0001.jpg.

    An AU on one side only (L12, R12; T and B: upper and lower half) counts as present.
    """

    aus: str = DEFAULT_AUS
    """which AUs, as a list such as "1,2,4"."""
    images: Literal["aligned", "original"] = "aligned"
    """"aligned" (faces of the release) or "original" (photographs, to be aligned here)."""
    unlabelled: Literal["absent", "skip"] = "absent"
    """what "null" means: "absent" (no AU seen: all are 0) or "skip" (leave the image out, as OpenGraphAU)."""
    test: str = ""
    """a text file (path) with the names of the test images, one a line, such as 0001.jpg; all others train."""

    card = SourceCard(
        title="RAF-AU",
        what="faces with blended expressions from the web, coded by two FACS coders; sides coded apart",
        count="about 4,600 faces, 26 AUs",
        split="none published; OpenGraphAU uses lists of its own",
        licence="for non-commercial research, on request; faces may not be passed on",
        citation="W. Yan et al., RAF-AU database: in-the-wild facial expressions with subjective emotion judgement and "
        "objective AU annotations, ACCV 2020",
        obtain="write to the authors of RAF-DB from an address of your university, as their page says",
        url="http://www.whdeng.cn/raf/model1.html",
    )

    def __post_init__(self) -> None:
        if self.images not in ("aligned", "original") or self.unlabelled not in ("absent", "skip"):
            raise InputError(
                f"--images {self.images}, --unlabelled {self.unlabelled}; aligned or original, absent or skip"
            )
        self.au_columns = parse_aus(self.aus)

    def read(self, raw: Path) -> Listing:
        """See `RawDataset.read`."""
        labels, folder = find_file(raw, ["RAFAU_label.txt"]), find_folder(raw, [self.images])
        if labels is None or folder is None:
            lacking = "file RAFAU_label.txt" if labels is None else f"folder {self.images}"
            raise InputError(f"{raw} has no {lacking}; give the folder of RAF-AU with both")
        place = "" if folder == raw else f"{folder.relative_to(raw).as_posix()}/"
        tests = {_stem(name) for name in folds_from_lists({"test": Path(self.test)})} if self.test else set()
        pictures, rows, skipped, empty = PictureFolders(raw), RowTable(self.au_columns), [], 0
        known: dict[str, tuple[set[int], int]] = {}
        for number, line in read_lines(labels, "the list of AUs"):
            where = f"{labels.name}, line {number}"
            stem, codes, reason = _entry(line, labels, number)
            if stem in known and known[stem][0] != codes:
                raise InputError(f"{labels}: lines {known[stem][1]} and {number} give {stem} different AUs; correct it")
            image = self._picture(pictures, place, stem)
            reason = reason or ("repeats an image" if stem in known else "")
            reason = reason or ("" if image else f"no picture {place}{stem}.jpg or {stem}_aligned.jpg")
            reason = reason or ("no AU (null)" if not codes and self.unlabelled == "skip" else "")
            known[stem] = codes, number
            if reason:
                skipped.append(Skip(where, reason))
                continue
            empty += not codes
            present = {column: int(any(au_column(code) == column for code in codes)) for column in self.au_columns}
            fold = ("test" if stem in tests else "train") if tests else ""
            rows.add({"image": image, "subject": stem, "sequence": stem, "fold": fold, **present})
        notes = [UNKNOWN_PEOPLE]
        notes += [f"{empty} images have no AU at all ('null'): all AUs count as absent"] if empty else []
        notes += [] if tests else ["no fold: RAF-AU has no published split; give the test images with --test"]
        return rows.listing(raw, skipped, notes, people_known=False)

    def _picture(self, pictures: PictureFolders, place: str, stem: str) -> str | None:
        padded = stem.zfill(4)
        tried = [f"{place}{name}{end}" for name in (stem, padded) for end in ("_aligned", "")]
        images = (pictures.find(path) for path in (tried if self.images == "aligned" else tried[::-1]))
        return next((path for path in images if path), None)


def _stem(name: str) -> str:
    return name.rpartition(".")[0] or name


def _entry(line: str, path: Path, number: int) -> tuple[str, set[int], str]:
    """Name without ending, AU codes, and why the line cannot be used ("" if it can)."""
    cells = line.split()
    if len(cells) != 2 or cells[1].endswith("+"):
        raise InputError(f"{path}, line {number:,}: '{line}' is not a name and AUs; cut off there? {AGAIN}")
    if cells[1].lower() == "null":
        return _stem(cells[0]), set(), ""
    codes = set()
    for token in cells[1].split("+"):
        match = _TOKEN.fullmatch(token)
        if match is None or int(match["code"]) not in ACTION_UNITS:
            return _stem(cells[0]), set(), f"'{token}' is not an AU"
        codes.add(int(match["code"]))
    return _stem(cells[0]), codes, ""
