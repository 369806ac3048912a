"""AffectNet: numbered images with one small array a label, or lists of images and codes."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np

from metafacs.datasets.base import DATASETS, UNKNOWN_PEOPLE, Listing, RawDataset, RowTable, Skip, SourceCard
from metafacs.datasets.folders import PictureFolders, check_raw, find_file, find_folder
from metafacs.datasets.textfiles import AGAIN, check_file, position, read_csv, whole_number
from metafacs.errors import InputError
from metafacs.facs import EXPRESSIONS

CODES = dict(enumerate(("neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger", "contempt")))
"""AffectNet's expression codes."""
_REST = {8: "none", 9: "uncertain", 10: "no face"}
_FOLDERS = {"train_set": "train", "val_set": "test"}
_LISTS = {"training.csv": "train", "validation.csv": "test"}
_IMAGES = ("Manually_Annotated_Images", "Manually_Annotated")
_COLUMNS = (
    *("subDirectory_filePath", "face_x", "face_y", "face_width", "face_height", "facial_landmarks"),
    *("expression", "valence", "arousal"),
)
"""The columns of the lists, for those that come without a header."""

_Entry = tuple[str, str, int]
"""Where it stands, path of the image without its ending, code."""


@DATASETS.register("affectnet")
@dataclass
class AffectNet(RawDataset):
    """Reads AffectNet: train_set and val_set with images/ and annotations/, or training.csv and validation.csv.

    The validation set is the test part of all published results, so it becomes the fold "test". Contempt, which is not
    one of the seven expressions, and the codes for none, uncertain and no face are left out and counted.
    """

    card = SourceCard(
        title="AffectNet",
        what="faces from web searches, each labelled by one person: eight expressions, valence and arousal",
        count="about 287,651 training and 3,999 validation images with eight expressions",
        split="its training set, and its validation set as the test",
        licence="for non-commercial research, on request; faces may not be passed on",
        citation="A. Mollahosseini, B. Hasani, M. H. Mahoor, AffectNet: a database for facial expression, valence, and "
        "arousal computing in the wild, IEEE Transactions on Affective Computing 10(1), 2019",
        obtain="ask Mohammad Mahoor's group at the University of Denver; a faculty member must sign",
        url="http://mohammadmahoor.com/affectnet/",
    )

    def read(self, raw: Path) -> Listing:
        """See `RawDataset.read`."""
        check_raw(raw)
        folders = {fold: found for name, fold in _FOLDERS.items() if (found := find_folder(raw, [name]))}
        lists = {} if folders else {fold: found for name, fold in _LISTS.items() if (found := find_file(raw, [name]))}
        if not folders and not lists:
            raise InputError(
                f"{raw} has neither train_set and val_set (with images/ and annotations/) nor training.csv and "
                "validation.csv (the lists of manually annotated images); give the folder that holds them"
            )
        rows, skipped, pictures = RowTable([]), [], PictureFolders(raw)
        absent = sorted({"train", "test"} - set(folders or lists))
        notes = [f"there is no {' and no '.join(absent)} part"] if absent else []
        notes.append(UNKNOWN_PEOPLE)
        notes.append("the official validation set is the fold 'test', as in publications")
        codes: dict[str, int] = {}
        for fold, place in (folders or lists).items():
            entries = array_entries(raw, place) if folders else list_entries(raw, place)
            for where, stem, code in entries:
                reason = _why_not(code)
                image = None if reason else pictures.find(stem)
                if image is None:
                    skipped.append(Skip(where, reason or f"no picture {stem}.jpg"))
                    continue
                if image in codes:
                    other = f"gives an image code {code}, before {codes[image]}"
                    skipped.append(Skip(where, "repeats an image" if codes[image] == code else other))
                    continue
                codes[image] = code
                name = stem.rpartition("/")[2]
                person = {"subject": f"{fold}/{name}", "sequence": f"{fold}/{name}", "fold": fold}
                rows.add({"image": image, **person, "expression": CODES[code]})
        return rows.listing(raw, skipped, notes, people_known=False)


def array_entries(raw: Path, folder: Path) -> Iterator[_Entry]:
    """What annotations/*_exp.npy of one part say.

    Raises:
        InputError: folders are missing, or a file is not an array of one code. No pickle is ever loaded.
    """
    annotations = folder / "annotations"
    if not annotations.is_dir() or not (folder / "images").is_dir():
        raise InputError(f"{folder} needs the folders images and annotations; {AGAIN}")
    inside = folder.relative_to(raw).as_posix()
    place = "images" if inside == "." else f"{inside}/images"
    files = sorted(annotations.glob("*_exp.npy"), key=lambda path: (len(path.name), path.name))
    if not files:
        raise InputError(f"{annotations} has no file named like 0_exp.npy; {AGAIN}")
    for path in files:
        yield path.name, f"{place}/{path.name.removesuffix('_exp.npy')}", read_code(path)


def list_entries(raw: Path, path: Path) -> Iterator[_Entry]:
    """What one list says (columns subDirectory_filePath and expression, with or without a header).

    Raises:
        InputError: it cannot be read, or the folder of images is missing.
    """
    folder = next((found for name in _IMAGES if (found := find_folder(raw, [name]))), None)
    if folder is None:
        raise InputError(f"{raw} has no folder {_IMAGES[0]} for the images that {path.name} lists")
    place = folder.relative_to(raw).as_posix()
    rows = read_csv(path, "the list of images")
    first, names = next(rows)
    if len(names) == len(_COLUMNS) and names[6].isdigit():
        rows, names = chain([(first, names)], rows), list(_COLUMNS)  # no header
    image_at, code_at = position(names, "subDirectory_filePath", path), position(names, "expression", path)
    for line, row in rows:
        code = whole_number(row[code_at], path, line, "the code")
        yield f"{path.name}, line {line}", f"{place}/" + row[image_at].replace("\\", "/").rpartition(".")[0], code


def read_code(path: Path) -> int:
    """The code in an `_exp.npy` file: an array of one number, or of its text.

    Raises:
        InputError: it is empty, pickled, not an array, or holds no code.
    """
    check_file(path, "the code")
    try:
        array = np.load(path, allow_pickle=False)
        cells = [str(value.decode() if isinstance(value, bytes) else value) for value in array.reshape(-1)[:2]]
    except Exception as error:  # of a damaged header, numpy raises whatever Python's tokenizer and its own types do
        raise InputError(f"{path} is not an array of one expression code ({error}); {AGAIN}") from error
    if len(cells) != 1:
        raise InputError(f"{path} holds {array.size} values, not one expression code; {AGAIN}")
    code = whole_number(cells[0].strip(), path, 1, "the expression code")
    if code not in CODES and code not in _REST:
        raise InputError(f"{path}: expression code {code}; AffectNet's are 0 to 10")
    return code


def _why_not(code: int) -> str:
    if code not in CODES:
        return f"expression code {code}" + (f" ({_REST[code]})" if code in _REST else " does not exist")
    return "" if CODES[code] in EXPRESSIONS else f"{CODES[code]} is none of the seven expressions"
