"""What every reader owes: a complete card, options with help, a well-formed listing, clear errors."""

from dataclasses import fields
from pathlib import Path

import pandas as pd
import pytest
from jsonargparse import ArgumentParser

from metafacs.commands.parsing import parser
from metafacs.datasets import DATASETS, Listing, SourceCard
from metafacs.datasets.base import DEFAULTS, RowTable
from metafacs.errors import InputError
from metafacs.facs import EXPRESSIONS, au_code, intensity_column
from tests.datasets.trees import miniature

NAMES = list(DATASETS)


@pytest.mark.parametrize("name", NAMES)
def test_the_card_is_complete(name: str) -> None:
    card = DATASETS[name].card
    for entry in fields(SourceCard):
        assert entry.name == "url" or len(getattr(card, entry.name)) >= 5, entry.name
    assert "real release" in card.tried or name == "table"


@pytest.mark.parametrize("name", NAMES)
def test_every_option_has_a_default_and_help(name: str) -> None:
    assert DATASETS[name]()
    command = parser("prepare", "")
    own = command.add_class_arguments(DATASETS[name])
    described = {action.dest: action.help for action in command._actions}
    assert all(len(described[option]) > 20 for option in own)


@pytest.mark.parametrize("name", NAMES)
def test_options_become_flags(name: str, tmp_path: Path) -> None:
    options = miniature(name, tmp_path)
    parser = ArgumentParser(exit_on_error=False)
    own = parser.add_class_arguments(DATASETS[name])
    flags = [f"--{option}={value}" for option, value in options.items()]
    settings = parser.parse_args(flags).as_dict()
    assert set(settings) == set(own) and all(settings[option] == value for option, value in options.items())
    assert len(DATASETS[name](**settings).read(tmp_path).rows)


@pytest.mark.parametrize("name", NAMES)
def test_a_miniature_tree_becomes_a_well_formed_listing(name: str, tmp_path: Path) -> None:
    options = miniature(name, tmp_path)
    listing = DATASETS[name](**options).read(tmp_path)
    check(listing, tmp_path)
    assert listing.protocol in ("", name, "bp4d")
    assert listing.notes


@pytest.mark.parametrize("name", NAMES)
def test_reading_twice_gives_the_same(name: str, tmp_path: Path) -> None:
    options = miniature(name, tmp_path)
    first, second = (DATASETS[name](**options).read(tmp_path) for _ in range(2))
    pd.testing.assert_frame_equal(first.rows, second.rows)
    assert (first.skipped, first.notes) == (second.skipped, second.notes)


@pytest.mark.parametrize("name", NAMES)
def test_a_wrong_folder_is_named(name: str, tmp_path: Path) -> None:
    options = miniature(name, tmp_path / "good")
    with pytest.raises(InputError, match="absent"):
        DATASETS[name](**options).read(tmp_path / "absent")
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match=r"file is a file; give the folder"):
        DATASETS[name](**options).read(tmp_path / "file")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="empty"):
        DATASETS[name](**options).read(tmp_path / "empty")


@pytest.mark.parametrize("name", NAMES)
def test_without_pictures_nothing_is_made_up(name: str, tmp_path: Path) -> None:
    if name == "ferplus":
        pytest.skip("its pictures are in the CSV")
    options = miniature(name, tmp_path)
    for path in tmp_path.rglob("*"):
        if path.suffix in (".jpg", ".png"):
            path.unlink()
    with pytest.raises(InputError, match=r"picture|no folder|neither"):
        DATASETS[name](**options).read(tmp_path)


def test_rows_know_their_columns() -> None:
    with pytest.raises(KeyError, match="colour"):
        RowTable(["AU01"]).add({"colour": 1})


def test_one_picture_with_two_labels_is_refused(tmp_path: Path) -> None:
    for image, label, refused in (("a/1.jpg", 1, False), ("a/./1.jpg", 0, True), ("a/2.jpg", 0, False)):
        rows = RowTable(["AU01"])
        rows.add({"image": "a/1.jpg", "sequence": "one", "AU01": 1})
        rows.add({"image": image, "sequence": "other", "AU01": label})
        if refused:
            with pytest.raises(InputError, match=r"a/1\.jpg is listed twice .* as one and as other"):
                rows.listing(tmp_path, [], [])
        else:
            assert len(rows.listing(tmp_path, [], []).rows) == 2


def check(listing: Listing, raw: Path) -> None:
    rows = listing.rows
    graded = [intensity_column(column) for column in listing.aus if intensity_column(column) in rows]
    assert list(rows.columns) == [*DEFAULTS, *listing.aus, *graded]
    assert len(rows) and rows.index.equals(pd.RangeIndex(len(rows)))
    assert rows[["sequence", "frame"]].apply(tuple, axis=1).is_monotonic_increasing
    for row in rows.itertuples():
        assert bool(row.image) + bool(row.video) + (row.pixels is not None) == 1
        assert not row.image or (raw / row.image).is_file()
        assert (row.video_frame >= 0) == bool(row.video)
        assert row.subject and row.sequence
        assert row.expression is None or row.expression in EXPRESSIONS
        assert row.votes is None or len(row.votes) == len(EXPRESSIONS)
    for column in listing.aus:
        assert au_code(column) and rows[column].dtype == "Int8" and rows[column].dropna().isin([0, 1]).all()
    for column in graded:
        assert rows[column].dtype == "Int8" and rows[column].dropna().between(0, 5).all()
