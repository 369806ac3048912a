"""Small valid raw trees for fuzzing, and which of their rows each line of their label files speaks of."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from metafacs.facs import EXPRESSIONS
from tests.datasets import trees

ALL = ""
"""The prefix that every row's tag begins with: a header speaks of all rows."""
Prefixes = Callable[[str, Sequence[str]], list[str]]


@dataclass(frozen=True)
class Tree:
    """A tree that a reader reads.

    Attributes:
        reader: the reader's name.
        write: makes the tree and returns the reader's options.
        prefixes: from a label file (path in the tree) and its lines, how the tags ("sequence#frame") of the rows begin
            that each line speaks of; `ALL` where it speaks of all.
        ordered: lines belong to the lines at the same place of another file.
    """

    reader: str
    write: Callable[[Path], Mapping[str, object]]
    prefixes: Prefixes
    ordered: bool = False


def tag(row: object) -> str:
    """What names a row."""
    return f"{row.sequence}#{row.frame}"  # type: ignore[attr-defined]


def _number(cell: str) -> str:
    try:
        return str(int(float(cell.strip(' "'))))
    except (ValueError, OverflowError):
        return cell


def _first(line: str) -> str:
    return line.replace(",", " ").replace(";", " ").split()[0].strip('"') if line.strip(",; ") else line


def _stem(path: str) -> str:
    return path.rpartition("/")[2].rpartition(".")[0]


def _bp4d(file: str, lines: Sequence[str]) -> list[str]:
    sequence = "/".join(_stem(file).split("_")[:2])
    header = 1 if "AU_OCC" in file else 0
    return [ALL] * header + [f"{sequence}#{_number(_first(line))}" for line in lines[header:]]


def _disfa(file: str, lines: Sequence[str]) -> list[str]:
    return [f"{_stem(file)[:5]}#{_number(_first(line))}" for line in lines]


def _gft(file: str, lines: Sequence[str]) -> list[str]:
    if not file.startswith("annotations/"):
        return [ALL for _ in lines]
    return [ALL] + [f"{_stem(file)}#{_number(_first(line))}" for line in lines[1:]]


def _ckplus(file: str, lines: Sequence[str]) -> list[str]:
    return ["/".join(_stem(file).split("_")[:2]) + "#" for _ in lines]


def _named(file: str, lines: Sequence[str]) -> list[str]:
    return [f"{_first(line).rpartition('.')[0] or _first(line)}#" for line in lines]


def _affectnet(file: str, lines: Sequence[str]) -> list[str]:
    if not file.endswith(".csv"):
        return [f"{file.split('_')[0].replace('val', 'test')}/{_stem(file).split('_')[0]}#" for _ in lines]
    fold = "train" if "training" in file else "test"
    return [ALL] + [f"{fold}/{_stem(_first(line))}#" for line in lines[1:]]


def _ferplus(file: str, lines: Sequence[str]) -> list[str]:
    return [ALL] + [f"fer{number:07d}#" for number in range(len(lines) - 1)]


def _table(file: str, lines: Sequence[str]) -> list[str]:
    frames = [_number(_stem("/" + _first(line))) for line in lines[1:]]
    return [ALL] + [f"F001/T1#{frame}" for frame in frames]


def _lists(file: str, lines: Sequence[str]) -> list[str]:
    person = {"1": "F007", "2": "M011", "3": "F001"}[file.rpartition(".")[0][-1]]
    return [f"{person}/T1#{frame}" for frame in (9, 10)] + [f"{person}/"] * (len(lines) - 2)


def _write_bp4d(raw: Path) -> dict[str, object]:
    trees.bp4d(raw, {("F001", "T1"): range(2440, 2444), ("M011", "T8"): range(95, 100)}, levels=True)
    return {}


def _write_clips(raw: Path) -> dict[str, object]:
    trees.bp4d(raw, {("F001", "T1"): range(7, 12)}, images=None)
    (raw / "F001_T1.avi").write_bytes(b"readers never look inside")
    return {}


def _write_disfa(raw: Path) -> dict[str, object]:
    trees.disfa(raw, ["SN001", "SN013"], frames=4)
    return {}


def _write_affectnet_lists(raw: Path) -> dict[str, object]:
    header = "subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,expression,valence,arousal"
    for name, count in (("training", 4), ("validation", 2)):
        lines = [f"{k}/{name}{k}.jpg,0,0,9,9,1;2,{k},0.1,-0.2" for k in range(count)]
        trees.text(raw / f"{name}.csv", [header, *lines])
        for k in range(count):
            trees.picture(raw / f"Manually_Annotated_Images/{k}/{name}{k}.jpg")
    return {}


def _write_folders(raw: Path) -> dict[str, object]:
    for part in ("train", "test"):
        for code in range(1, 8):
            trees.picture(raw / f"{part}/{code}/{part}_{code:05d}_aligned.jpg")
    return {}


def _write_ferplus(raw: Path) -> dict[str, object]:
    votes = [[9, 1, 0, 0, 0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 10, 0, 0, 0], [0, 8, 0, 0, 2, 0, 0, 0, 0, 0]]
    trees.ferplus(raw, votes, ["Training", "PublicTest", "PrivateTest"])
    return {}


def _write_full(raw: Path) -> dict[str, object]:
    """A table with every kind of column, separated by tabs."""
    votes = [f"votes_{name}" for name in EXPRESSIONS]
    head = ["path", "subject", "session", "frame", "split", "AU01", "AU06_intensity", "emotion", *votes]
    rows = [
        [f"F001/T1/{k:05d}.jpg", "F001", "T1", k, "P1", k % 2, (0, 5, 2.5)[k % 3], EXPRESSIONS[k % 7], *([1] * 7)]
        for k in range(2440, 2446)
    ]
    trees.text(raw / "labels.tsv", ["\t".join(map(str, row)) for row in (head, *rows)])
    for k in range(2440, 2446):
        trees.picture(raw / f"F001/T1/{k:05d}.jpg")
    return {}


def _given(name: str) -> Callable[[Path], Mapping[str, object]]:
    return lambda raw: trees.miniature(name, raw)


TREES: dict[str, Tree] = {
    "bp4d": Tree("bp4d", _write_bp4d, _bp4d),
    "bp4d clips": Tree("bp4d", _write_clips, _bp4d),
    "disfa": Tree("disfa", _write_disfa, _disfa),
    "gft": Tree("gft", _given("gft"), _gft),
    "ckplus": Tree("ckplus", _given("ckplus"), _ckplus),
    "rafau": Tree("rafau", _given("rafau"), _named),
    "rafdb": Tree("rafdb", _given("rafdb"), _named),
    "rafdb folders": Tree("rafdb", _write_folders, _named),
    "affectnet": Tree("affectnet", _given("affectnet"), _affectnet),
    "affectnet lists": Tree("affectnet", _write_affectnet_lists, _affectnet),
    "ferplus": Tree("ferplus", _write_ferplus, _ferplus, ordered=True),
    "table": Tree("table", _given("table"), _table),
    "full table": Tree("table", _write_full, _table),
    "lists": Tree("lists", _given("lists"), _lists, ordered=True),
}
"""Every layout that a reader knows, by a name for it."""
