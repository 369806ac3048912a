"""What a prepared dataset is: the columns of `faces.arrow` and the card, `dataset.json`, that describes it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from metafacs import __version__
from metafacs.cards import check_aus, read_card
from metafacs.errors import InputError
from metafacs.facs import ACTION_UNITS, EXPRESSIONS, au_column, intensity_column
from metafacs.files import write_text

FACES_FILE = "faces.arrow"
CARD_FILE = "dataset.json"
README_FILE = "README.md"
"""Tells Hugging Face `datasets` which file holds the rows, so that `load_dataset(FOLDER)` opens them."""
PARTS_FOLDER = ".parts"
FORMAT = 2
"""Version of the schema and the card; a reader refuses versions it does not know."""

CAUSE = "cause"
"""The column that says why an expression is ambiguous."""
TRUTH_TYPES = {"int8": pa.int8(), "float32": pa.float32(), "string": pa.string()}
"""Types that a column of rendered truth may have, by name."""
_FORMERLY = ("card_sha256", "table_sha256", "image_blocks")
"""Entries of cards of earlier versions, which are left unread."""
NO_FOLD = "all"
"""The fold of rows that belong to none."""
LANDMARKS = 68
"""Points of one face, in the order of the 68-point iBUG markup."""

_IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
_POINTS = pa.list_(pa.list_(pa.float32(), 2))
_FEATURES = {
    "image": {"_type": "Image"},
    "votes": {"_type": "List", "feature": {"_type": "Value", "dtype": "int16"}},
    "landmarks": {
        "_type": "List",
        "feature": {"_type": "List", "feature": {"_type": "Value", "dtype": "float32"}, "length": 2},
    },
}


def true_column(column: str) -> str:
    """The column that holds the truth about a rendered face, never read by training.

    Example:
        >>> true_column("AU01")
        'true_AU01'
    """
    return f"true_{column}"


def true_levels(aus: Sequence[str], sides: bool = False) -> dict[str, str]:
    """Columns, with their type, of the rendered intensities (0-5) of AU columns.

    Args:
        aus: AU columns.
        sides: also those of the person's right and left side; the plain one is the level of both on average.

    Example:
        >>> true_levels(["AU12"], sides=True)
        {'true_AU12': 'int8', 'true_AU12_right': 'int8', 'true_AU12_left': 'int8'}
    """
    endings = ("", "_right", "_left") if sides else ("",)
    return {f"{true_column(column)}{ending}": "int8" for column in aus for ending in endings}


def schema(aus: Sequence[str], truths: Mapping[str, str] | None = None) -> pa.Schema:
    """The columns of a prepared dataset; every one of them may hold nulls.

    `image` is a JPEG of the aligned face; `AU01` is 0, 1 or null (not labelled); `AU01_intensity` is 0-5 or null
    (not known); `votes` counts annotators per expression; `landmarks` is 68x2 (x, y) in pixels of the image.

    Args:
        aus: AU columns, in order.
        truths: further columns, known of rendered faces only, and their types (`TRUTH_TYPES`): `cause`, why an
            expression is ambiguous, and columns that begin with `true_`.

    Returns:
        The schema, with metadata that lets Hugging Face `datasets` decode the images.

    Raises:
        InputError: a name is not an AU column such as "AU01", or comes twice, or a truth has another name or type.
    """
    check_aus(aus)
    truths = truths or {}
    _check_truths(truths)
    named = [("image", _IMAGE), ("dataset", pa.string()), ("subject", pa.string()), ("sequence", pa.string())]
    named += [("frame", pa.int32()), ("fold", pa.string())]
    named += [(column, pa.int8()) for column in aus]
    named += [(intensity_column(column), pa.int8()) for column in aus]
    named += [("expression", pa.string()), ("votes", pa.list_(pa.int16())), ("landmarks", _POINTS)]
    named += [(column, TRUTH_TYPES[kind]) for column, kind in truths.items()]
    features = {name: _FEATURES.get(name, {"_type": "Value", "dtype": str(kind)}) for name, kind in named}
    return pa.schema(named, metadata={"huggingface": json.dumps({"info": {"features": features}})})


@dataclass
class DatasetCard:
    """The card of a prepared dataset.

    Attributes:
        name: short name, also the default of the `dataset` column.
        source: where the faces come from.
        licence: what may be done with them.
        aus: AU columns, in order; may be empty.
        expressions: expression names, in the order of `votes`.
        crop: how faces were cut out; "size" (pixels of the square image) is checked where given.
        settings: what made the dataset; JSON values. Equal settings mean the dataset can be reused.
        truths: columns of rendered truth, with their types, as `schema` takes them.
        people_known: whether `subject` says who it is; without that every image counts as a person of its own, and no
            split can keep people apart.
        rows: number of faces; filled in by the writer, like everything below.
        counts: subjects, rows per fold, rows per expression, labelled rows per AU.
        faces_bytes: size of `faces.arrow`.
        faces_sha256: SHA-256 of `faces.arrow`, hexadecimal.
        tool_version: the metafacs version that wrote it.
        format: version of schema and card.
    """

    name: str
    source: str
    licence: str
    aus: list[str]
    expressions: list[str] = field(default_factory=lambda: list(EXPRESSIONS))
    crop: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    truths: dict[str, str] = field(default_factory=dict)
    people_known: bool = True
    rows: int = 0
    counts: dict[str, Any] = field(default_factory=dict)
    faces_bytes: int = 0
    faces_sha256: str = ""
    tool_version: str = __version__
    format: int = FORMAT

    def schema(self) -> pa.Schema:
        """The columns of the dataset this card describes."""
        return schema(self.aus, self.truths)

    @property
    def true_aus(self) -> list[str]:
        """AU columns whose rendered intensity is stored besides."""
        return [column for column in map(au_column, ACTION_UNITS) if true_column(column) in self.truths]

    def write(self, folder: Path) -> None:
        """Writes the card into `folder`, atomically."""
        write_text(folder / CARD_FILE, json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n")

    def write_readme(self, folder: Path) -> None:
        """Writes `README_FILE` into `folder`, unless there is one."""
        head = f"---\nconfigs:\n- config_name: default\n  data_files: {FACES_FILE}\n---\n"
        if not (folder / README_FILE).exists():
            text = f"{head}\n# {self.name}\n\n{self.source}. Licence: {self.licence}. {CARD_FILE} says more.\n"
            write_text(folder / README_FILE, text)

    @classmethod
    def read(cls, folder: Path) -> "DatasetCard":
        """Reads the card in `folder`.

        Raises:
            InputError: there is no card (nothing prepared, or half-written), or it cannot be used.
        """
        path = folder / CARD_FILE
        if not path.is_file():
            raise InputError(_without_card(folder))
        try:
            entries = dict(json.loads(path.read_text(encoding="utf-8")))
            version = int(entries["format"])
        except (ValueError, TypeError, KeyError, OSError) as error:
            raise InputError(
                f"{path} is not the card of a prepared dataset ({error}); prepare the dataset again"
            ) from error
        if version != FORMAT:
            raise InputError(
                f"{path} has format {version}, this metafacs ({__version__}) reads format {FORMAT}; "
                f"use the version that wrote it ({entries.get('tool_version', 'unknown')}) or prepare it again"
            )
        try:
            card = read_card(cls, {name: value for name, value in entries.items() if name not in _FORMERLY})
            card.schema()
        except InputError as error:
            raise InputError(f"{path}: {error}; prepare the dataset again") from error
        return card


def _check_truths(truths: Mapping[str, str]) -> None:
    wrong = [column for column in truths if column != CAUSE and not column.startswith(true_column(""))]
    if wrong:
        raise InputError(f"columns of truth must begin with '{true_column('')}' or be '{CAUSE}', these do not: {wrong}")
    unknown = {column: kind for column, kind in truths.items() if str(kind) not in TRUTH_TYPES}
    if unknown:
        raise InputError(f"columns of truth have unknown types: {unknown}; known: {', '.join(TRUTH_TYPES)}")


def _without_card(folder: Path) -> str:
    if not folder.is_dir():
        return f"there is no folder {folder}; give the folder of a prepared dataset"
    if (folder / FACES_FILE).exists() or (folder / PARTS_FOLDER).exists():
        return (
            f"{folder} is half-written: it has no {CARD_FILE}, which is written last; "
            "run the command that was preparing it again, it goes on where it stopped"
        )
    return (
        f"{folder} is not a prepared dataset: it has no {CARD_FILE}; make one with `metafacs prepare` or "
        "`metafacs synth`, or from your own faces with `PreparedWriter`"
    )
