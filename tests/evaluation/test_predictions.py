"""Predictions files: what is written is read back, and what breaks the contract is refused with its reason."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from metafacs.errors import InputError
from metafacs.evaluation.predictions import INFO_KEYS, prediction_rows, read_predictions, write_predictions
from tests.evaluation.runs import AUS, ids, info, write_run

LABELS = np.array([[1, 0, np.nan], [0, 1, 1], [1, np.nan, 0]])
PROBABILITIES = np.array([[0.0, 0.25, 1.0], [0.5, 0.75, 0.125], [1.0, 0.0, 0.5]])


@pytest.fixture
def rows() -> pd.DataFrame:
    return prediction_rows(ids(3), LABELS, PROBABILITIES, AUS)


def test_read_gives_what_was_written(tmp_path: Path, rows: pd.DataFrame) -> None:
    path = tmp_path / "predictions.parquet"
    write_predictions(path, rows, info(label="ours"))
    for source in (path, tmp_path):
        found = read_predictions(source)
        np.testing.assert_array_equal(found.labels(), LABELS)
        np.testing.assert_array_equal(found.probabilities(), PROBABILITIES)
        assert found.info == info(label="ours")
        assert found.aus == AUS
        assert found.keys().tolist() == [("rendered-au", f"P1-{k}", "T1", k) for k in range(3)]
        assert len(found) == 3


def test_rows_may_be_plain_dictionaries(tmp_path: Path, rows: pd.DataFrame) -> None:
    records = rows.astype(object).where(rows.notna(), None).to_dict("records")
    write_predictions(tmp_path / "p.parquet", records, info())
    np.testing.assert_array_equal(read_predictions(tmp_path / "p.parquet").labels(), LABELS)


def test_file_has_the_types_of_the_contract(tmp_path: Path, rows: pd.DataFrame) -> None:
    path = tmp_path / "p.parquet"
    write_predictions(path, rows.assign(more="left out"), info())
    schema = pq.read_schema(path)
    assert schema.field("AU01").type == pa.int8()
    assert schema.field("AU01_probability").type == pa.float32()
    assert schema.field("frame").type == pa.int32()
    assert "more" not in schema.names
    assert pq.read_table(path).column("AU12").null_count == 1


@pytest.mark.parametrize("key", INFO_KEYS)
def test_every_info_key_is_needed(tmp_path: Path, rows: pd.DataFrame, key: str) -> None:
    settings = info()
    del settings[key]
    with pytest.raises(InputError, match=rf"p\.parquet.*{key}"):
        write_predictions(tmp_path / "p.parquet", rows, settings)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"aus": []}, "aus"),
        ({"aus": ["AU01", "AU01"]}, "aus"),
        ({"aus": ["AU1"]}, "aus"),
        ({"aus": "AU01"}, "aus"),
        ({"seed": "0"}, "seed"),
        ({"seed": True}, "seed"),
        ({"threshold": 1.5}, "threshold"),
        ({"threshold": [0.5, 0.5]}, "threshold"),
        ({"threshold": float("nan")}, "threshold"),
    ],
)
def test_impossible_info_is_refused(tmp_path: Path, rows: pd.DataFrame, changes: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        write_predictions(tmp_path / "p.parquet", rows, info(**changes))


@pytest.mark.parametrize("value", [-0.01, 1.01, np.nan, np.inf])
def test_probability_outside_its_range_is_refused(tmp_path: Path, rows: pd.DataFrame, value: float) -> None:
    rows.loc[1, "AU04_probability"] = value
    with pytest.raises(InputError, match=r"p\.parquet: AU04_probability in row 1"):
        write_predictions(tmp_path / "p.parquet", rows, info())


@pytest.mark.parametrize("value", [2, -1, 0.5, 9])
def test_label_other_than_0_1_null_is_refused(tmp_path: Path, rows: pd.DataFrame, value: float) -> None:
    rows.loc[2, "AU12"] = value
    with pytest.raises(InputError, match="label of AU12 in row 2"):
        write_predictions(tmp_path / "p.parquet", rows, info())


def test_image_that_stands_there_twice_is_refused(tmp_path: Path, rows: pd.DataFrame) -> None:
    rows.loc[2, ["subject", "frame"]] = ["P1-0", 0]
    with pytest.raises(InputError, match=r"1 rows stand there twice.*'P1-0'"):
        write_predictions(tmp_path / "p.parquet", rows, info())


@pytest.mark.parametrize("column", ["subject", "frame", "fold", "AU04", "AU12_probability"])
def test_missing_column_is_refused(tmp_path: Path, rows: pd.DataFrame, column: str) -> None:
    with pytest.raises(InputError, match=f"no column {column}"):
        write_predictions(tmp_path / "p.parquet", rows.drop(columns=column), info())


def test_empty_id_and_no_rows_are_refused(tmp_path: Path, rows: pd.DataFrame) -> None:
    with pytest.raises(InputError, match="no rows"):
        write_predictions(tmp_path / "p.parquet", rows.iloc[:0], info())
    with pytest.raises(InputError, match="'subject' is empty in row 1"):
        write_predictions(tmp_path / "p.parquet", rows.assign(subject=["a", None, "b"]), info())


def test_refused_write_keeps_the_old_file(tmp_path: Path, rows: pd.DataFrame) -> None:
    path = tmp_path / "p.parquet"
    write_predictions(path, rows, info())
    before = path.read_bytes()
    with pytest.raises(InputError):
        write_predictions(path, rows.assign(AU01=7), info())
    assert path.read_bytes() == before


def test_file_cut_off_anywhere_is_refused(tmp_path: Path) -> None:
    whole = (write_run(tmp_path) / "predictions.parquet").read_bytes()
    cut = tmp_path / "cut.parquet"
    for size in [0, 1, 3, 4, *range(10, len(whole), 97), len(whole) - 8, len(whole) - 1]:
        cut.write_bytes(whole[:size])
        with pytest.raises(InputError, match=r"cut\.parquet is not a whole Parquet file"):
            read_predictions(cut)


def test_damaged_file_is_refused_or_read_but_never_crashes(tmp_path: Path) -> None:
    whole = (write_run(tmp_path) / "predictions.parquet").read_bytes()
    damaged = tmp_path / "damaged.parquet"
    random = np.random.default_rng(0)
    refused = 0
    for _ in range(150):
        content = bytearray(whole)
        for position in random.integers(0, len(whole), 20):
            content[position] = random.integers(256)
        damaged.write_bytes(content)
        try:
            read_predictions(damaged)
        except InputError as error:
            refused += 1
            assert "damaged.parquet" in str(error)
    assert refused > 100


def test_parquet_file_of_another_program_is_refused(tmp_path: Path, rows: pd.DataFrame) -> None:
    path = tmp_path / "other.parquet"
    rows.to_parquet(path)
    with pytest.raises(InputError, match="not a predictions file"):
        read_predictions(path)


@pytest.mark.parametrize("column", ["AU04", "AU04_probability", "frame", "subject"])
def test_columns_of_another_type_are_refused(column: str, tmp_path: Path, rows: pd.DataFrame) -> None:
    path = tmp_path / "p.parquet"
    write_predictions(path, rows, info())
    table = pq.read_table(path)
    odd = table.set_column(table.column_names.index(column), column, pa.array([["a"]] * 3))
    pq.write_table(odd, path)
    with pytest.raises(InputError, match=rf"p\.parquet: the column {column} holds list"):
        read_predictions(path)
    pq.write_table(table.append_column(column, table.column(column)), path)
    with pytest.raises(InputError, match=rf"p\.parquet.*{column}"):
        read_predictions(path)


@pytest.mark.parametrize("metadata", [b"[" * 100_000, b"\xff", b"[[]]"])
def test_damaged_metadata_is_refused(metadata: bytes, tmp_path: Path, rows: pd.DataFrame) -> None:
    path = tmp_path / "p.parquet"
    write_predictions(path, rows, info())
    pq.write_table(pq.read_table(path).replace_schema_metadata({b"metafacs": metadata, b"pandas": metadata}), path)
    with pytest.raises(InputError, match=r"p\.parquet"):
        read_predictions(path)


def test_missing_file_and_unfinished_run_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no predictions file"):
        read_predictions(tmp_path / "nothing")
    with pytest.raises(InputError, match="has not finished"):
        read_predictions(tmp_path)


def test_arrays_of_the_wrong_shape_are_refused() -> None:
    with pytest.raises(InputError, match="labels have shape"):
        prediction_rows(ids(3), LABELS[:2], PROBABILITIES, AUS)
    with pytest.raises(InputError, match="probabilities have shape"):
        prediction_rows(ids(3), LABELS, PROBABILITIES[:, :2], AUS)
