"""The predictions of one run on its test images: a Parquet file that says by itself what it holds."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from metafacs.errors import InputError
from metafacs.facs import au_code, au_column
from metafacs.files import atomic_file

PREDICTIONS_FILE = "predictions.parquet"
ROW_KEYS = ("dataset", "subject", "sequence", "frame")
INFO_KEYS = ("method", "backbone", "dataset", "fold", "seed", "threshold", "aus", "run", "tool_version")
_METADATA_KEY = b"metafacs"


@dataclass(frozen=True)
class Predictions:
    """One row per test image, and what made the rows.

    Attributes:
        table: columns `dataset`, `subject`, `sequence`, `fold` (text), `frame` (int), and for each AU its label
            `AU01` (Int8, <NA> = not labelled) and its probability `AU01_probability` (float32 in [0, 1]).
        info: at least `INFO_KEYS`; an optional `label` names this variant of the method in tables, `cautions` say why
            people of the test fold may have trained, `left_out` names AU columns that training could not learn.
        aus: the AU columns, in the order of the model's outputs.
        source: the file, for messages.
    """

    table: pd.DataFrame
    info: dict[str, Any]
    aus: list[str]
    source: Path

    def __len__(self) -> int:
        return len(self.table)

    def labels(self) -> np.ndarray:
        """(N, A) float64: 1 present, 0 absent, NaN not labelled."""
        return self.table[self.aus].to_numpy(dtype=np.float64, na_value=np.nan)

    def probabilities(self) -> np.ndarray:
        """(N, A) float64 in [0, 1]."""
        return self.table[[probability_column(au) for au in self.aus]].to_numpy(dtype=np.float64)

    def keys(self) -> pd.MultiIndex:
        """(N,) dataset, subject, sequence and frame of each row."""
        return pd.MultiIndex.from_frame(self.table[list(ROW_KEYS)])


def probability_column(au: str) -> str:
    """The column that holds an AU's predicted probability.

    Example:
        >>> probability_column("AU01")
        'AU01_probability'
    """
    return f"{au}_probability"


def prediction_rows(
    rows: pd.DataFrame, labels: np.ndarray, probabilities: np.ndarray, aus: Sequence[str]
) -> pd.DataFrame:
    """Puts the ids of the test images, their labels and a model's outputs into one table for `write_predictions`.

    Args:
        rows: N rows with the columns `dataset`, `subject`, `sequence`, `frame` and `fold`.
        labels: (N, A), 0, 1 or NaN where not labelled.
        probabilities: (N, A), in [0, 1].
        aus: the A AU columns.

    Raises:
        InputError: a shape does not fit.
    """
    expected = (len(rows), len(aus))
    for name, values in (("labels", labels), ("probabilities", probabilities)):
        if values.shape != expected:
            raise InputError(
                f"{name} have shape {values.shape}; {expected[0]} rows and {expected[1]} AUs need {expected}"
            )
    table = rows[[*ROW_KEYS, "fold"]].reset_index(drop=True)
    columns: dict[str, Any] = {}
    for k, au in enumerate(aus):
        columns[au] = labels[:, k]
        columns[probability_column(au)] = probabilities[:, k]
    return pd.concat([table, pd.DataFrame(columns)], axis=1)


def write_predictions(path: Path, rows: pd.DataFrame | Sequence[Mapping[str, Any]], info: Mapping[str, Any]) -> None:
    """Checks the rows and writes them to `path` (Parquet), whole or not at all.

    Args:
        path: the file to write; what stood there is replaced only when the new file is complete.
        rows: one row per test image with the columns that `Predictions` describes; others are left out.
        info: at least `INFO_KEYS`; kept in the file's schema metadata as JSON.

    Raises:
        InputError: an info key or a column is missing, or a value is impossible.
    """
    table = pd.DataFrame(rows) if not isinstance(rows, pd.DataFrame) else rows
    aus = _checked_info(info, path)
    table = _checked_table(table, aus, path)
    fields = [pa.field(name, pa.int32() if name == "frame" else pa.string()) for name in (*ROW_KEYS, "fold")]
    for au in aus:
        fields += [pa.field(au, pa.int8()), pa.field(probability_column(au), pa.float32())]
    schema = pa.schema(fields, metadata={_METADATA_KEY: json.dumps(dict(info), allow_nan=False).encode()})
    with atomic_file(path) as partial:
        pq.write_table(pa.Table.from_pandas(table, schema=schema, preserve_index=False), partial)


def read_predictions(path: Path) -> Predictions:
    """Reads and checks a predictions file.

    Args:
        path: the file, or the run folder that holds it under the name `predictions.parquet`.

    Raises:
        InputError: there is no such file, it is not a whole Parquet file, or what it holds breaks the contract.
    """
    if path.is_dir():
        path = path / PREDICTIONS_FILE
        if not path.exists():
            raise InputError(f"the run folder {path.parent} has no {PREDICTIONS_FILE}: the run has not finished")
    if not path.exists():
        raise InputError(f"there is no predictions file {path}")
    try:
        arrow = pq.read_table(path)
        info = json.loads((arrow.schema.metadata or {}).get(_METADATA_KEY, b"null"))
    except (pa.ArrowException, OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} is not a whole Parquet file ({error}); write the predictions again") from error
    if not isinstance(info, dict):
        raise InputError(
            f"{path} does not say what made it (no 'metafacs' metadata): not a predictions file of metafacs"
        )
    aus = _checked_info(info, path)
    return Predictions(_checked_table(_typed(arrow, aus, path), aus, path), info, aus, path)


def _typed(arrow: pa.Table, aus: Sequence[str], path: Path) -> pd.DataFrame:
    """Those of the wanted columns that are there, in the types that they have to be of.

    Raises:
        InputError: a column holds something else.
    """
    kinds = {name: pa.int64() if name == "frame" else pa.string() for name in (*ROW_KEYS, "fold")}
    kinds |= {name: pa.float64() for au in aus for name in (au, probability_column(au))}
    columns = {}
    for name in [name for name in kinds if name in arrow.column_names]:
        kind = kinds[name]
        try:
            columns[name] = arrow.column(name).cast(kind)
        except pa.ArrowException as error:
            actual = arrow.schema.field(name).type
            raise InputError(f"{path}: the column {name} holds {actual}, not {kind} ({error})") from error
    return pa.table(columns).to_pandas()


def _checked_info(info: Mapping[str, Any], path: Path) -> list[str]:
    missing = [key for key in INFO_KEYS if info.get(key) is None]
    if missing:
        raise InputError(
            f"{path}: the predictions do not say their {', '.join(missing)}; all of these are needed: {INFO_KEYS}"
        )
    aus = info["aus"]
    if not isinstance(aus, list) or not aus or not all(_is_column(au) for au in aus) or len(set(aus)) != len(aus):
        raise InputError(f"{path}: 'aus' is {aus!r}; it has to be a list of different AU columns like AU01")
    if isinstance(info["seed"], bool) or not isinstance(info["seed"], int):
        raise InputError(f"{path}: 'seed' is {info['seed']!r}; it has to be a whole number")
    for key in ("cautions", "left_out"):
        texts = info.get(key, [])
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise InputError(f"{path}: '{key}' is {texts!r}; it has to be a list of texts")
    thresholds = info["threshold"] if isinstance(info["threshold"], list) else [info["threshold"]]
    if len(thresholds) not in (1, len(aus)) or not all(_is_share(value) for value in thresholds):
        raise InputError(
            f"{path}: 'threshold' is {info['threshold']!r}; it has to be a number in [0, 1], or a list of {len(aus)}"
        )
    return list(aus)


def _is_column(au: object) -> bool:
    try:
        return isinstance(au, str) and au == au_column(au_code(au))
    except InputError:
        return False


def _is_share(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


def _checked_table(table: pd.DataFrame, aus: Sequence[str], path: Path) -> pd.DataFrame:
    needed = [*ROW_KEYS, "fold", *(name for au in aus for name in (au, probability_column(au)))]
    missing = [name for name in needed if name not in table.columns]
    if missing:
        raise InputError(f"{path}: the predictions have no column {', '.join(missing)}")
    if table.empty:
        raise InputError(f"{path}: the predictions have no rows; a run is scored on at least one test image")
    table = table[needed].reset_index(drop=True)
    empty = [name for name in (*ROW_KEYS, "fold") if table[name].isna().any()]
    if empty:
        raise InputError(f"{path}: the column '{empty[0]}' is empty in row {int(table[empty[0]].isna().argmax())}")
    for au in aus:
        _check_au(table, au, path)
    twice = table.duplicated(list(ROW_KEYS))
    if twice.any():
        row = dict(zip(ROW_KEYS, table.loc[twice, list(ROW_KEYS)].iloc[0].tolist(), strict=True))
        raise InputError(
            f"{path}: {int(twice.sum())} rows stand there twice, the first of them {row}; each image counts once"
        )
    return table.astype(dict.fromkeys(aus, "Int8"))


def _check_au(table: pd.DataFrame, au: str, path: Path) -> None:
    label = table[au].astype("Float64").to_numpy(dtype=np.float64, na_value=np.nan)
    wrong = ~(np.isnan(label) | (label == 0) | (label == 1))
    if wrong.any():
        row = int(wrong.argmax())
        raise InputError(f"{path}: the label of {au} in row {row} is {label[row]:g}; it has to be 0, 1 or null")
    name = probability_column(au)
    probability = table[name].astype("Float64").to_numpy(dtype=np.float64, na_value=np.nan)
    wrong = ~((probability >= 0) & (probability <= 1))
    if wrong.any():
        row = int(wrong.argmax())
        raise InputError(f"{path}: {name} in row {row} is {probability[row]:g}; it has to be in [0, 1]")
