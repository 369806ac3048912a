"""RAF-DB, basic expressions: a list of names and codes, or a folder for each code."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from metafacs.datasets.base import DATASETS, UNKNOWN_PEOPLE, Listing, RawDataset, RowTable, Skip, SourceCard
from metafacs.datasets.folders import PictureFolders, files_below, find_file, find_folder
from metafacs.datasets.protocols import Protocol
from metafacs.datasets.textfiles import AGAIN, read_lines, whole_number
from metafacs.errors import InputError
from metafacs.faces.kinds import PICTURES

LIST = "list_patition_label.txt"
"""So it is called in the release."""

CODES = dict(enumerate(("surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral"), start=1))
"""RAF-DB's expression codes."""
_CODES = ", ".join(f"{code} {name}" for code, name in CODES.items())

COUNTS = {
    "train": dict(zip(CODES.values(), (1290, 281, 717, 4772, 1982, 705, 2524), strict=True)),
    "test": dict(zip(CODES.values(), (329, 74, 160, 1185, 478, 162, 680), strict=True)),
}
"""Images per expression, by RAF-DB's own split."""


@DATASETS.register("rafdb")
@dataclass
class RAFDB(RawDataset):
    """Reads RAF-DB's basic set: list_patition_label.txt with Image/aligned or Image/original, or train/1 to test/7."""

    images: Literal["aligned", "original"] = "aligned"
    """"aligned" (100x100 faces of the release) or "original" (photographs, to be aligned here)."""

    card = SourceCard(
        title="RAF-DB (Real-world Affective Faces Database), basic expressions",
        what="photographs from the web, each labelled by about 40 people; the release gives the winner of seven",
        count="15,339 faces: 12,271 train, 3,068 test",
        split="its own train and test",
        licence="for non-commercial research, on request; faces may not be passed on",
        citation="S. Li, W. Deng, J. Du, Reliable crowdsourcing and deep locality-preserving learning for expression "
        "recognition in the wild, CVPR 2017",
        obtain="write to the authors from an address of your university, as their page says",
        url="http://www.whdeng.cn/raf/model1.html",
    )

    published = Protocol(
        frames={"RAF-DB": {fold: sum(counts.values()) for fold, counts in COUNTS.items()}}, expressions=COUNTS
    )

    def __post_init__(self) -> None:
        if self.images not in ("aligned", "original"):
            raise InputError(f"--images {self.images}; RAF-DB has aligned and original ones")
        self.aligned = self.images == "aligned"

    def read(self, raw: Path) -> Listing:
        """See `RawDataset.read`."""
        labels = find_file(raw, [LIST, "list_partition_label.txt"])
        return self._from_folders(raw) if labels is None else self._from_list(raw, labels)

    def _from_list(self, raw: Path, labels: Path) -> Listing:
        folder = find_folder(raw, [self.images])
        if folder is None:
            raise InputError(f"{raw} has no folder {self.images}; expected as Image/{self.images}/train_00001...jpg")
        place = folder.relative_to(raw).as_posix()
        place = f"{place}/{self.images}" if (folder / self.images).is_dir() else place
        pictures, rows, skipped = PictureFolders(raw), RowTable([]), []
        codes: dict[str, tuple[int, int]] = {}
        for number, line in read_lines(labels, "the list of labels"):
            name, code = _entry(line, labels, number)
            if name in codes:
                _check_same(codes[name], (code, number), name, labels)
                skipped.append(Skip(f"{labels.name}, line {number}", "repeats an image"))
                continue
            codes[name] = code, number
            stem = f"{place}/{name}_aligned" if self.images == "aligned" else f"{place}/{name}"
            image = pictures.find(stem) or pictures.find(f"{place}/{name}")
            if image is None:
                skipped.append(Skip(f"{labels.name}, line {number}", f"no picture {stem}.jpg"))
                continue
            rows.add(_row(image, name, name.split("_")[0].lower(), code))
        return rows.listing(raw, skipped, [f"pictures: {place}", UNKNOWN_PEOPLE], "rafdb", people_known=False)

    def _from_folders(self, raw: Path) -> Listing:
        listed: dict[str, tuple[str, int, list[str]]] = {}
        for path in files_below(raw, PICTURES):
            parts = path.split("/")
            if len(parts) < 3 or parts[-3].lower() not in ("train", "test") or not parts[-2].isdecimal():
                continue
            if int(parts[-2]) not in CODES:
                raise InputError(f"{raw / path}: folder {parts[-2]} is not a code of RAF-DB; they are {_CODES}")
            name = parts[-1].rpartition(".")[0].removesuffix("_aligned")
            key = name if name.lower().startswith(("train_", "test_")) else f"{parts[-3].lower()}_{name}"
            listed.setdefault(key, (parts[-3].lower(), int(parts[-2]), []))[2].append(path)
        if not listed:
            raise InputError(
                f"{raw} has neither EmoLabel/{LIST} nor folders train/1 to test/7; give the folder of RAF-DB's basic "
                "set"
            )
        rows, skipped = RowTable([]), []
        for name, (fold, code, paths) in listed.items():
            if len(paths) > 1:
                skipped.append(Skip(name, f"lies in several folders: {', '.join(paths[:3])}", len(paths)))
                continue
            rows.add(_row(paths[0], name, fold, code))
        notes = ["folders train/1 to test/7: their numbers are the codes", UNKNOWN_PEOPLE]
        return rows.listing(raw, skipped, notes, "rafdb", people_known=False)


def _row(image: str, name: str, fold: str, code: int) -> dict[str, object]:
    return {"image": image, "subject": name, "sequence": name, "fold": fold, "expression": CODES[code]}


def _entry(line: str, path: Path, number: int) -> tuple[str, int]:
    """Name without ending and code of one line ("train_00001.jpg 5")."""
    cells = line.split()
    if len(cells) != 2:
        raise InputError(f"{path}, line {number:,}: '{line}' is not a name and a code; cut off there? {AGAIN}")
    code = whole_number(cells[1], path, number, "the code")
    if code not in CODES:
        raise InputError(f"{path}, line {number:,}: code {code}; RAF-DB's basic set has {_CODES}")
    name = cells[0].rpartition(".")[0] or cells[0]
    if not name.lower().startswith(("train_", "test_")):
        raise InputError(f"{path}, line {number:,}: '{cells[0]}' begins with neither train_ nor test_, so has no fold")
    return name, code


def _check_same(first: tuple[int, int], second: tuple[int, int], name: str, path: Path) -> None:
    if first[0] != second[0]:
        raise InputError(f"{path}: lines {first[1]} and {second[1]} give {name} different codes; correct the list")
