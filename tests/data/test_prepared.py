import io
import itertools
import json
import os
import pickle
import re
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from PIL import Image

import datasets
from metafacs.data import prepared
from metafacs.data.prepared import DatasetCard, PreparedDataset, PreparedWriter, schema, true_levels
from metafacs.errors import InputError
from metafacs.facs import EXPRESSIONS
from tests.builders import make_prepared as build

SETTINGS = {"seed": 3, "sizes": [16, 16]}


def jpeg(seed: int, side: int = 16) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG")
    return buffer.getvalue()


def make_card(**changes: Any) -> DatasetCard:
    card = DatasetCard("noise", "random numbers", "CC0", ["AU01", "AU12"], crop={"size": 16})
    return replace(card, **changes)


def make_rows(part: int, count: int = 3) -> list[dict[str, Any]]:
    shared = {"subject": f"S{part}", "sequence": "T1", "fold": f"P{part % 3 + 1}", "AU01": part % 2}
    return [{**shared, "image": jpeg(10 * part + frame), "frame": frame} for frame in range(count)]


def write(folder: Path, parts: int = 3, **changes: Any) -> PreparedDataset:
    writer = PreparedWriter(folder, make_card(**changes), SETTINGS)
    for part in range(parts):
        writer.write_part(part, make_rows(part))
    return writer.finish(parts)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# What is written is what is read


def test_rows_come_back_in_the_order_of_parts(tmp_path: Path) -> None:
    writer = PreparedWriter(tmp_path / "a", make_card(), SETTINGS)
    for part in (2, 0, 1):
        writer.write_part(part, make_rows(part))
    dataset = writer.finish(3)
    assert len(dataset) == 9
    assert dataset.column("subject").tolist() == ["S0"] * 3 + ["S1"] * 3 + ["S2"] * 3
    assert dataset.column("frame").tolist() == [0, 1, 2] * 3
    assert dataset.column("dataset").tolist() == ["noise"] * 9
    assert [dataset.image_bytes(row) for row in (0, 4, 8)] == [jpeg(0), jpeg(11), jpeg(22)]
    assert sorted(contents(dataset.folder)) == ["README.md", "dataset.json", "faces.arrow"]


def test_labels_votes_and_landmarks_come_back(tmp_path: Path) -> None:
    points = np.arange(136, dtype=np.float32).reshape(68, 2)
    votes = [1, 0, 0, 3, 6, 0, 0]
    rows: list[dict[str, Any]] = [
        {"AU01": 1, "AU12": np.nan, "AU01_intensity": 4.0, "landmarks": points},
        {"AU01": np.int8(0), "AU12": 1.0, "expression": "anger", "votes": np.array(votes)},
        {"AU01": None, "expression": "fear"},
    ]
    writer = PreparedWriter(tmp_path / "a", make_card(), {})
    writer.write_part(0, [{"image": jpeg(0), "fold": "train", **row} for row in rows])
    dataset = writer.finish(1)
    np.testing.assert_array_equal(
        dataset.au_labels(["AU12", "AU01"]), np.array([[np.nan, 1], [1, 0], [np.nan, np.nan]], np.float32)
    )
    np.testing.assert_array_equal(dataset.matrix(["AU01_intensity"]).ravel(), [4, np.nan, np.nan])
    assert dataset.matrix(["AU01"]).dtype == np.float32
    assert dataset.expression_labels().tolist() == [-1, EXPRESSIONS.index("anger"), EXPRESSIONS.index("fear")]
    np.testing.assert_array_equal(dataset.votes(), [[np.nan] * 7, votes, [np.nan] * 7])
    np.testing.assert_allclose(dataset.consistency(), [np.nan, 0.6, np.nan])
    found = dataset.landmarks(0)
    assert found is not None
    np.testing.assert_array_equal(found, points)
    assert dataset.landmarks(1) is None


def test_image_is_decoded_as_rgb(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.new("L", (16, 12), 77).save(buffer, "PNG")
    writer = PreparedWriter(tmp_path / "a", make_card(), {})
    writer.write_part(0, [{"image": buffer.getvalue(), "fold": "train"}])
    image = writer.finish(1).image(0)
    assert image.shape == (12, 16, 3) and image.dtype == np.uint8
    assert (image == 77).all()


@pytest.mark.parametrize("row", [-1, 9])
def test_rows_outside_are_index_errors(tmp_path: Path, row: int) -> None:
    with pytest.raises(IndexError, match=f"row {row} of 9"):
        write(tmp_path / "a").image(row)


def test_card_counts_what_was_written(tmp_path: Path) -> None:
    card = write(tmp_path / "a", parts=4).card
    assert card == DatasetCard.read(tmp_path / "a")
    assert card.rows == 12
    assert card.counts == {
        "subjects": 4,
        "folds": {"P1": 6, "P2": 3, "P3": 3},
        "expressions": {},
        "labelled": {"AU01": 12, "AU12": 0},
    }
    assert card.settings == SETTINGS
    assert card.faces_bytes == (tmp_path / "a" / "faces.arrow").stat().st_size


def test_columns_unknown_to_the_dataset_are_named(tmp_path: Path) -> None:
    dataset = write(tmp_path / "a")
    with pytest.raises(InputError, match="has no labels for AU04, AU05; it has AU01, AU12"):
        dataset.au_labels(["AU01", "AU04", "AU05"])
    with pytest.raises(InputError, match="has no column 'smile'; it has image, dataset, subject"):
        dataset.column("smile")


def test_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    write(tmp_path / "a")
    write(tmp_path / "b")
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_many_small_parts_become_few_batches(tmp_path: Path) -> None:
    writer = PreparedWriter(tmp_path / "a", make_card(), SETTINGS)
    for part in range(600):
        writer.write_part(part, make_rows(part, 1))
    dataset = writer.finish(600)
    assert [len(chunk) for chunk in dataset.table.column("frame").chunks] == [512, 88]
    assert dataset.image_bytes(599) == jpeg(5990)


def test_pickling_opens_the_folder_again(tmp_path: Path) -> None:
    dataset = write(tmp_path / "a")
    pickled = pickle.dumps(dataset)
    assert len(pickled) < 500
    assert pickle.loads(pickled).image_bytes(8) == dataset.image_bytes(8)


# The schema, and other readers


def test_schema_of_expression_data_has_true_intensities() -> None:
    plain, rendered = schema(["AU01"]), schema(["AU01"], {"cause": "string", **true_levels(["AU01", "AU26"])})
    assert plain.names == [
        *("image", "dataset", "subject", "sequence", "frame", "fold"),
        *("AU01", "AU01_intensity", "expression", "votes", "landmarks"),
    ]
    assert rendered.names == [*plain.names, "cause", "true_AU01", "true_AU26"]
    assert rendered.field("true_AU26").type == pa.int8()


@pytest.mark.parametrize(
    ("truths", "message"),
    [({"AU02": "int8"}, "must begin with 'true_' or be 'cause'"), ({"true_age": "int64"}, "unknown types.*int64")],
)
def test_schema_refuses_other_truths(truths: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        schema(["AU01"], truths)


def test_truths_keep_their_types(tmp_path: Path) -> None:
    truths = {"true_age": "float32", "true_expression": "string", **true_levels(["AU12"], sides=True)}
    writer = PreparedWriter(tmp_path / "a", DatasetCard("a", "", "", ["AU12"], truths=truths), {})
    row = {"image": jpeg(0), "fold": "P1", "true_age": 33.5, "true_expression": "fear", "true_AU12_left": 3}
    writer.write_part(0, [row])
    dataset = writer.finish(1)
    found = dataset.to_pandas().iloc[0]
    assert (found["true_age"], found["true_expression"], found["true_AU12_left"]) == (33.5, "fear", 3)
    assert pd.isna(found["true_AU12"]) and dataset.card.true_aus == ["AU12"]


@pytest.mark.parametrize("aus", [["AU1"], ["AU01", "AU01"], ["AU03"], ["smile"]])
def test_schema_refuses_wrong_columns(aus: list[str]) -> None:
    with pytest.raises(InputError, match=r"not AU columns, or named twice.*'AU01', 'AU12'"):
        schema(aus)


def test_opens_in_hugging_face_datasets(fe_dataset: PreparedDataset, au_dataset: PreparedDataset) -> None:
    for dataset in (fe_dataset, au_dataset):
        found = datasets.Dataset.from_file(str(dataset.folder / "faces.arrow"))
        assert isinstance(found.features["image"], datasets.Image)
        assert len(found) == len(dataset)
        np.testing.assert_array_equal(np.asarray(found[5]["image"].convert("RGB")), dataset.image(5))
    row = datasets.Dataset.from_file(str(fe_dataset.folder / "faces.arrow"))[7]
    assert row["votes"] == fe_dataset.votes()[7].tolist() and sum(row["votes"]) == 40
    assert row["AU01"] is None and row["true_AU01"] in range(6)
    row = datasets.Dataset.from_file(str(au_dataset.folder / "faces.arrow"))[7]
    assert np.shape(row["landmarks"]) == (68, 2) and row["AU01"] in (0, 1)


def test_hugging_face_loads_the_folder(
    au_dataset: PreparedDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "au"
    shutil.copytree(au_dataset.folder, folder)
    for name in ("audit.json", "listing.json"):  # what `prepare` leaves beside it
        (folder / name).write_text("{}")
    (folder / "skipped.csv").write_text("stage\n")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    found = datasets.load_dataset(str(folder), cache_dir=str(tmp_path / "cache"))["train"]
    assert len(found) == len(au_dataset) and found[7]["AU01"] == au_dataset[7]["AU01"]
    np.testing.assert_array_equal(np.asarray(found[7]["image"].convert("RGB")), au_dataset.image(7))


def test_a_readme_that_is_there_stays(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("mine")
    build(tmp_path, subjects=1, frames=1)
    assert (tmp_path / "README.md").read_text() == "mine"


def test_rows_by_number(au_dataset: PreparedDataset) -> None:
    row, count = au_dataset[7], len(au_dataset)
    np.testing.assert_array_equal(row["image"], au_dataset.image(7))
    table = au_dataset.table.drop_columns(["image"]).to_pylist()
    assert {name: value for name, value in row.items() if name != "image"} == table[7]
    assert au_dataset[-1]["frame"] == table[-1]["frame"] and au_dataset[np.int64(3)]["subject"] == table[3]["subject"]
    assert sum(1 for _ in au_dataset) == count
    for wrong in (count, -count - 1):
        with pytest.raises(IndexError):
            au_dataset[wrong]
    with pytest.raises(TypeError):
        au_dataset[1.0]  # type: ignore[index]


def test_to_pandas_keeps_labels_as_nullable_integers(fe_dataset: PreparedDataset, au_dataset: PreparedDataset) -> None:
    frame = au_dataset.to_pandas()
    assert "image" not in frame and len(frame) == 48
    assert frame["AU01"].dtype == pd.Int8Dtype() and set(frame["AU01"]) == {0, 1}
    assert fe_dataset.to_pandas()["AU01"].isna().all()
    assert au_dataset.to_pandas(images=True)["image"][3]["bytes"] == au_dataset.image_bytes(3)


# Interrupted work


def test_interrupted_work_goes_on_where_it_stopped(tmp_path: Path) -> None:
    whole = write(tmp_path / "whole")
    folder = tmp_path / "a"
    PreparedWriter(folder, make_card(), SETTINGS).write_part(1, make_rows(1))
    again = PreparedWriter(folder, make_card(), SETTINGS)
    assert [again.has_part(part) for part in range(3)] == [False, True, False]
    with pytest.raises(InputError, match=r"half-written.*run the command that was preparing it again"):
        PreparedDataset.open(folder)
    with pytest.raises(InputError, match=r"2 of 3 parts of .* are missing: 0, 2; write them"):
        again.finish(3)
    for part in (0, 2):
        again.write_part(part, make_rows(part))
    again.finish(3)
    assert contents(folder) == contents(whole.folder)


def test_unfinished_parts_of_other_settings_are_neither_lost_nor_mixed(tmp_path: Path) -> None:
    PreparedWriter(tmp_path / "a", make_card(), SETTINGS).write_part(0, make_rows(0), {"left out": 2})
    with pytest.raises(InputError, match=r"seed is 3, asked for 4; give the same, remove .*\.parts, or name another"):
        PreparedWriter(tmp_path / "a", make_card(), SETTINGS | {"seed": 4})
    with pytest.raises(InputError, match=r"aus is \['AU01', 'AU12'\], asked for \['AU01'\]"):
        PreparedWriter(tmp_path / "a", make_card(aus=["AU01"]), SETTINGS)
    again = PreparedWriter(tmp_path / "a", make_card(), SETTINGS)
    assert again.has_part(0) and again.note(0) == {"left out": 2}


def test_a_finished_dataset_is_reused(tmp_path: Path) -> None:
    before = contents(write(tmp_path / "a").folder)
    (tmp_path / "a" / ".parts").mkdir()  # its maker was killed when all else was done
    writer = PreparedWriter(tmp_path / "a", make_card(), SETTINGS)
    assert writer.finished and writer.has_part(0)
    assert len(writer.finish(3)) == 9
    with pytest.raises(InputError, match="is a finished dataset"):
        writer.write_part(0, make_rows(0))
    assert contents(tmp_path / "a") == before


@pytest.mark.parametrize(
    ("card", "settings", "message"),
    [
        ({}, {"seed": 4}, r"seed is 3, asked for 4; remove it or name another folder"),
        ({}, {"rays": 2}, r"rays is nothing, asked for 2"),
        ({"aus": ["AU01"]}, {}, r"aus is \['AU01', 'AU12'\], asked for \['AU01'\]"),
        ({"crop": {"size": 32}}, {}, "crop.size is 16, asked for 32"),
        ({"name": "other"}, {}, "name is noise, asked for other"),
    ],
)
def test_a_finished_dataset_of_other_settings_is_refused(
    tmp_path: Path, card: dict[str, Any], settings: dict[str, Any], message: str
) -> None:
    before = contents(write(tmp_path / "a").folder)
    with pytest.raises(InputError, match=message):
        PreparedWriter(tmp_path / "a", make_card(**card), SETTINGS | settings)
    assert contents(tmp_path / "a") == before


def write_one_part(writer: PreparedWriter, part: int) -> None:
    writer.write_part(part, make_rows(part))


def test_parts_may_be_written_by_several_processes(tmp_path: Path) -> None:
    expected = contents(write(tmp_path / "alone", parts=6).folder)
    writer = PreparedWriter(tmp_path / "a", make_card(), SETTINGS)
    with ProcessPoolExecutor(2) as pool:
        list(pool.map(write_one_part, itertools.repeat(writer), range(6)))
    writer.finish(6)
    assert contents(tmp_path / "a") == expected


KILLED = """
import os, signal, sys
from pathlib import Path
from metafacs import files, parts
from metafacs.data import card, writer
from tests.data.test_prepared import SETTINGS, make_card, make_rows

def die(*args, **kwargs):
    os.kill(os.getpid(), signal.SIGKILL)

folder, when = Path(sys.argv[1]), sys.argv[2]
mine = writer.PreparedWriter(folder, make_card(), SETTINGS)
mine.write_part(0, make_rows(0))
if when == "while a part is synced":
    files.os.fsync = die
mine.write_part(1, make_rows(1))
mine.write_part(2, make_rows(2))
if when == "while faces are joined":
    writer._Tally.add = die
if when == "before the card":
    card.DatasetCard.write = die
if when == "before parts are removed":
    parts.PartsFolder._empty = die
mine.finish(3)
"""


@pytest.mark.parametrize(
    "when",
    ["while a part is synced", "while faces are joined", "before the card", "before parts are removed"],
)
def test_a_killed_writer_leaves_nothing_that_looks_whole(tmp_path: Path, when: str) -> None:
    expected = contents(write(tmp_path / "whole").folder)
    folder, root = tmp_path / "a", Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": f"{root}:{root / 'src'}"}
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, folder, when], env=environment, capture_output=True, check=False
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    if when == "before parts are removed":
        assert len(PreparedDataset.open(folder)) == 9
    else:
        with pytest.raises(InputError, match="half-written"):
            PreparedDataset.open(folder)
    again = PreparedWriter(folder, make_card(), SETTINGS)
    for part in range(3):
        if not again.has_part(part):
            again.write_part(part, make_rows(part))
    again.finish(3)
    assert contents(folder) == expected


MEMORY = """
import sys
from pathlib import Path
import numpy as np
import pyarrow as pa
from metafacs.data.prepared import DatasetCard, PreparedWriter

writer = PreparedWriter(Path(sys.argv[1]), DatasetCard("noise", "", "", []), {})
for part in range(24):
    writer.write_part(part, [{"image": np.random.bytes(2**20), "fold": "train"} for _ in range(6)])
dataset = writer.finish(24)
dataset.image_bytes(143)
print(dataset.card.faces_bytes, pa.default_memory_pool().max_memory())
"""


def test_memory_does_not_grow_with_the_dataset(tmp_path: Path) -> None:
    run = subprocess.run([sys.executable, "-c", MEMORY, tmp_path / "a"], capture_output=True, check=True)
    size, peak = map(int, run.stdout.split())
    assert size > 144 * 2**20
    assert peak < 60 * 2**20


# Rows that do not fit


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"smile": 1}, "part 0 of .* has unknown columns smile; known: image, dataset"),
        ({"image": None}, "part 0 of .*, row 1, has no image; every face needs one"),
        ({"fold": None}, "row 1, has no fold"),
        ({"AU01": 0.5}, "a value in column AU01 that does not fit"),
        ({"AU01": 300}, "a value in column AU01 that does not fit"),
        ({"AU01": "yes"}, "a value in column AU01 that does not fit"),
        ({"subject": 7}, "a value in column subject that does not fit"),
        ({"votes": 3}, "a value in column votes that does not fit"),
        ({"landmarks": np.zeros((68, 3))}, "a value in column landmarks that does not fit"),
    ],
)
def test_rows_that_do_not_fit_are_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    writer = PreparedWriter(tmp_path / "a", make_card(), SETTINGS)
    rows = make_rows(0)
    rows[1] |= change
    with pytest.raises(InputError, match=message):
        writer.write_part(0, rows)
    assert not writer.has_part(0)


def test_a_dataset_without_faces_is_refused(tmp_path: Path) -> None:
    writer = PreparedWriter(tmp_path / "a", make_card(), SETTINGS)
    writer.write_part(0, [])
    with pytest.raises(InputError, match="there is nothing to put into"):
        writer.finish(1)
    with pytest.raises(InputError, match="half-written"):
        PreparedDataset.open(tmp_path / "a")


# Damaged folders


def test_a_damaged_part_is_refused(tmp_path: Path) -> None:
    writer = PreparedWriter(tmp_path / "a", make_card(), SETTINGS)
    for part in range(2):
        writer.write_part(part, make_rows(part))
    path = tmp_path / "a" / ".parts" / "part-000001.arrow"
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(InputError, match=r"part-000001.arrow is damaged .*; remove it and run"):
        writer.finish(2)
    path.unlink()
    writer.write_part(1, make_rows(1))
    assert len(writer.finish(2)) == 6


@pytest.mark.parametrize("keep", [0.0, 0.1, 0.5, 0.99])
def test_a_truncated_file_is_refused(tmp_path: Path, keep: float) -> None:
    path = write(tmp_path / "a").folder / "faces.arrow"
    size = path.stat().st_size
    os.truncate(path, int(size * keep))
    with pytest.raises(InputError, match=rf"faces.arrow has \d+ bytes, its card says {size} bytes: it is truncated"):
        PreparedDataset.open(tmp_path / "a")


@pytest.mark.parametrize("keep", [0.0, 0.1, 0.5, 0.9])
def test_a_file_cut_and_filled_up_is_refused(tmp_path: Path, keep: float) -> None:
    path = write(tmp_path / "a").folder / "faces.arrow"
    size = path.stat().st_size
    os.truncate(path, int(size * keep))
    os.truncate(path, size)
    try:
        problems = prepared.validate(PreparedDataset.open(tmp_path / "a"))
    except InputError as error:
        assert re.search("faces.arrow (is damaged|has .* they do not belong together)", str(error))
    else:
        assert (problems[0].row, problems[0].column) == (None, "")
        assert "is not the file its card describes" in problems[0].message


def edit_card(folder: Path, change: dict[str, Any]) -> None:
    card = json.loads((folder / "dataset.json").read_text())
    (folder / "dataset.json").write_text(json.dumps(card | change))


def test_swapped_files_are_refused(tmp_path: Path) -> None:
    one, other = write(tmp_path / "a"), write(tmp_path / "b", parts=4)
    shutil.copy(other.folder / "faces.arrow", one.folder / "faces.arrow")
    with pytest.raises(InputError, match="belongs to another dataset"):
        PreparedDataset.open(one.folder)
    edit_card(one.folder, {"faces_bytes": other.card.faces_bytes})
    with pytest.raises(InputError, match=r"has 12 rows instead of the 9 of the dataset.json.*do not belong together"):
        PreparedDataset.open(one.folder)


def test_a_dataset_of_an_earlier_version_opens(tmp_path: Path) -> None:
    dataset = write(tmp_path / "a")
    block = {"first": 0, "last": 8, "start": 1, "stop": 2, "sha256": "0" * 64}
    edit_card(dataset.folder, {"card_sha256": "0" * 64, "table_sha256": "0" * 64, "image_blocks": [block]})
    assert PreparedDataset.open(dataset.folder).card == dataset.card


def test_flipped_bits_are_found_by_inspection(tmp_path: Path) -> None:
    """One in the pixels, one in the labels: whatever else is seen of them, the SHA-256 tells."""
    path = write(tmp_path / "a").folder / "faces.arrow"
    content = path.read_bytes()
    for place in range(5, len(content), 997):
        path.write_bytes(content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :])
        try:
            problems = prepared.validate(PreparedDataset.open(tmp_path / "a"))
        except InputError as error:
            assert "faces.arrow" in str(error)
        else:
            assert "is not the file its card describes" in problems[0].message


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    (write(tmp_path / "a").folder / "faces.arrow").unlink()
    with pytest.raises(InputError, match=r"faces.arrow is missing"):
        PreparedDataset.open(tmp_path / "a")


def test_other_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no folder"):
        PreparedDataset.open(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"is not a prepared dataset: it has no dataset.json"):
        PreparedDataset.open(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 1}, "has format 1, this metafacs .* reads format 2; use the version that wrote it"),
        ({"rows": "many"}, "missing, unknown or mistyped entries: rows"),
        ({"colour": "red"}, "missing, unknown or mistyped entries: colour"),
        ({"aus": ["AU01", ["AU04"]]}, "missing, unknown or mistyped entries: aus"),
        ({"rows": True}, "missing, unknown or mistyped entries: rows"),
        ({"aus": ["AU1"]}, "not AU columns"),
        ({"aus": ["AU01", "AU04"]}, "has other columns than the dataset.json"),
    ],
)
def test_a_changed_card_is_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    edit_card(write(tmp_path / "a").folder, change)
    with pytest.raises(InputError, match=message):
        PreparedDataset.open(tmp_path / "a")


@pytest.mark.parametrize("text", ["", "[]", '{"name": "x"', "{}"])
def test_a_file_that_is_no_card_is_refused(tmp_path: Path, text: str) -> None:
    (write(tmp_path / "a").folder / "dataset.json").write_text(text)
    with pytest.raises(InputError, match=r"dataset.json is not the card of a prepared dataset"):
        PreparedDataset.open(tmp_path / "a")


def test_unreadable_images_name_their_row(tmp_path: Path) -> None:
    writer = PreparedWriter(tmp_path / "a", make_card(), SETTINGS)
    writer.write_part(0, [*make_rows(0), {"image": b"no picture", "fold": "P1"}])
    dataset = writer.finish(1)
    with pytest.raises(InputError, match=r"row 3 of .* has an unreadable image"):
        dataset.image(3)


def test_expressions_and_votes_that_do_not_fit_the_card_are_named(tmp_path: Path) -> None:
    writer = PreparedWriter(tmp_path / "a", make_card(), SETTINGS)
    writer.write_part(0, [*make_rows(0), {**make_rows(1)[0], "expression": "boredom", "votes": [1, 2]}])
    dataset = writer.finish(1)
    with pytest.raises(InputError, match="expressions that its card does not list: boredom"):
        dataset.expression_labels()
    with pytest.raises(InputError, match=r"row 3 of .* has not 7 votes"):
        dataset.votes()


# The builder that other tests rely on


def test_built_datasets_are_learnable(tmp_path: Path) -> None:
    dataset = build(tmp_path / "a", subjects=40, frames=8)
    images = np.stack([dataset.image(row) for row in range(len(dataset))]).astype(np.float32)
    patches = images.reshape(len(images), 6, 8, 6, 8, 3).mean((2, 4))
    patches = (patches + patches[:, :, ::-1])[:, :, :3].reshape(len(images), -1)
    features = np.concatenate([patches, np.ones((len(images), 1))], 1)
    labels, half = dataset.au_labels(dataset.aus), len(images) // 2
    weights = np.linalg.lstsq(features[:half], labels[:half], rcond=None)[0]
    correct = ((features[half:] @ weights > 0.5) == labels[half:]).mean(0)
    assert (correct > 0.9).all(), correct
