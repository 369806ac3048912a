"""Prepared datasets that were cut, swapped or have a single bit turned over anywhere: never read as good."""

import json
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from metafacs.data.prepared import CARD_FILE, FACES_FILE, DatasetCard, PreparedDataset, PreparedWriter, validate
from metafacs.data.streams import Faces
from metafacs.errors import InputError
from tests.builders import make_prepared
from tests.faults.damage import Region, cut_places, flipped, random_bits, rewritten
from tests.toy_runs import flags, metafacs, rewrite

ADVICE = re.compile("(copy (it|both files) again|prepare (it|the dataset) again)")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """96 rows; to be left unchanged."""
    folder = tmp_path_factory.mktemp("whole") / "au"
    return make_prepared(folder, frames=16, size=32, landmarks=True, unlabelled=0.2).folder


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    return shutil.copytree(whole, tmp_path / "copy")


def image_regions(folder: Path) -> list[Region]:
    card = json.loads((folder / CARD_FILE).read_text())
    return [(block["start"], block["stop"]) for block in card["image_blocks"]]


def read_everything(folder: Path) -> None:
    dataset = PreparedDataset.open(folder)
    for row in range(len(dataset)):
        dataset.image_bytes(row)


def refused(folder: Path, name: str, read: Callable[[Path], None] = read_everything) -> str:
    with pytest.raises(InputError) as caught:
        read(folder)
    message = str(caught.value)
    assert str(folder / name) in message and ADVICE.search(message), message
    return message


@pytest.mark.parametrize("count", [40, pytest.param(4000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("part", ["images", "rest", "ends"])
def test_a_flipped_bit_in_the_faces(part: str, count: int, whole: Path, copy: Path) -> None:
    content, (start, stop) = (whole / FACES_FILE).read_bytes(), image_regions(whole)[0]
    places: dict[str, list[Region]] = {
        "images": [(start, stop)],
        "rest": [(0, start), (stop, len(content))],
        "ends": [(0, 64), (start - 8, start), (start, start + 8), (stop - 8, stop), (stop, stop + 8)],
    }
    for byte, bit in random_bits(places[part], count, seed=len(part)):
        rewritten(copy / FACES_FILE, flipped(content, byte, bit))
        message = refused(copy, FACES_FILE)
        assert ("the images of rows 0 to 95 are not" in message) == (start <= byte < stop), (byte, bit)


@pytest.mark.parametrize("count", [40, pytest.param(10**6, marks=pytest.mark.slow)])
def test_a_flipped_bit_in_the_card(count: int, whole: Path, copy: Path) -> None:
    """Also all of them: a card whose entries are the same after all (another space) may be read."""
    content, original = (whole / CARD_FILE).read_bytes(), PreparedDataset.open(whole).card
    refusals = 0
    for byte, bit in random_bits([(0, len(content))], count, seed=1):
        rewritten(copy / CARD_FILE, flipped(content, byte, bit))
        try:
            assert PreparedDataset.open(copy).card == original, (byte, bit)
        except InputError as error:
            assert str(copy) in str(error), error
            refusals += 1
    assert refusals >= 0.98 * min(count, 8 * len(content))


def test_cut_anywhere(whole: Path, copy: Path) -> None:
    for name, boundaries in ((FACES_FILE, [8, *sum(image_regions(whole), ())]), (CARD_FILE, [2, 100, 1000])):
        content = (whole / name).read_bytes()
        for length in cut_places(boundaries, len(content)):
            if name == CARD_FILE and length == len(content) - 1:
                continue  # the line's end
            rewritten(copy / name, content[:length])
            with pytest.raises(InputError, match=re.escape(str(copy / name))):
                read_everything(copy)
        rewritten(copy / name, content[: len(content) // 2] + bytes(len(content) - len(content) // 2))
        with pytest.raises(InputError, match=re.escape(str(copy / name))):
            read_everything(copy)
        rewritten(copy / name, content)
    rewritten(copy / FACES_FILE, (whole / FACES_FILE).read_bytes() + b"\0")
    assert "belongs to another dataset" in refused(copy, FACES_FILE)


def test_files_of_two_datasets(whole: Path, copy: Path, tmp_path: Path) -> None:
    """Of the same size, rows and columns, as two seeds of one recipe can make them."""
    other = make_prepared(tmp_path / "other", frames=16, size=32, landmarks=True, unlabelled=0.2, seed=1).folder
    content = (other / FACES_FILE).read_bytes()
    rewritten(copy / FACES_FILE, content)
    refused(copy, FACES_FILE)
    card = json.loads((copy / CARD_FILE).read_text()) | {"faces_bytes": len(content)}
    del card["card_sha256"]
    (copy / CARD_FILE).write_text(json.dumps(card))
    assert "the SHA-256 differs" in refused(copy, FACES_FILE)


@pytest.mark.parametrize("content", [b"", b"\x80\x04\x95", b"PK\x03\x04", b"\xff" * 5000, b"{}", b"ARROW1\0\0"])
def test_another_file_under_the_right_name(content: bytes, copy: Path) -> None:
    size = (copy / FACES_FILE).stat().st_size
    rewritten(copy / FACES_FILE, content)
    refused(copy, FACES_FILE)
    rewritten(copy / FACES_FILE, content.ljust(size, b"\0"))
    refused(copy, FACES_FILE)
    for name in (FACES_FILE, CARD_FILE):
        (copy / name).unlink()
        (copy / name).mkdir()
        with pytest.raises(InputError, match=re.escape(str(copy))):
            read_everything(copy)
        (copy / name).rmdir()


def test_older_datasets_without_digests_are_still_read(whole: Path, copy: Path) -> None:
    card = json.loads((copy / CARD_FILE).read_text())
    for name in ("card_sha256", "table_sha256", "image_blocks"):
        del card[name]
    (copy / CARD_FILE).write_text(json.dumps(card))
    old, new = PreparedDataset.open(copy), PreparedDataset.open(whole)
    assert old.table.equals(new.table) and old.image_bytes(5) == new.image_bytes(5) and old.image_checks is None
    content, (start, _) = (whole / FACES_FILE).read_bytes(), image_regions(whole)[0]
    rewritten(copy / FACES_FILE, flipped(content, start + 700, 2))
    PreparedDataset.open(copy).image_bytes(0)
    assert any(
        "is not the file its card describes" in problem.message for problem in validate(PreparedDataset.open(copy))
    )


def test_a_newer_version_names_both(copy: Path) -> None:
    card = json.loads((copy / CARD_FILE).read_text())
    (copy / CARD_FILE).write_text(json.dumps({**card, "format": 3, "tool_version": "9.1", "colour": "new"}))
    with pytest.raises(
        InputError, match=r"has format 3, this metafacs \([\d.]+.*\) reads format 2; .* wrote it \(9.1\)"
    ):
        PreparedDataset.open(copy)


def test_a_card_that_was_changed_on_purpose(copy: Path) -> None:
    card = json.loads((copy / CARD_FILE).read_text())
    (copy / CARD_FILE).write_text(json.dumps({**card, "licence": "mine"}))
    with pytest.raises(InputError, match='if you changed it on purpose, remove its entry "card_sha256"'):
        PreparedDataset.open(copy)
    (copy / CARD_FILE).write_text(json.dumps({**card, "licence": "mine", "card_sha256": None}))
    assert PreparedDataset.open(copy).card.licence == "mine"


@pytest.mark.parametrize(
    "change",
    [
        {"image_blocks": [{"first": 0}]},
        {"image_blocks": [{"first": 0, "last": 1, "start": -1, "stop": 10**30, "sha256": ""}]},
        {"image_blocks": [{"first": 0, "last": 1, "start": 0, "stop": 2**62, "sha256": ""}]},
        {"image_blocks": ["x"]},
        {"aus": [["AU01"]]},
        {"rows": 10**30},
        {"faces_bytes": 2**63},
        {"truths": {"true_AU01": ["int8"]}},
        {"expressions": ["<script>alert(1)</script>", "\x1b]0;x\x07"]},
        {"crop": {"size": 10**9}, "name": "a\nb"},
    ],
    ids=str,
)
def test_a_hostile_card(change: dict[str, object], copy: Path) -> None:
    card = json.loads((copy / CARD_FILE).read_text())
    (copy / CARD_FILE).write_text(json.dumps({**card, **change, "card_sha256": None}))
    with pytest.raises(InputError, match=re.escape(str(copy))):
        read_everything(copy)


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"a":' * 100_000, '{"format": ' + "9" * 5000 + "}", '{"format": NaN}']
)
def test_a_card_that_no_reader_can_hold(text: str, copy: Path) -> None:
    (copy / CARD_FILE).write_text(text)
    with pytest.raises(InputError, match=re.escape(str(copy / CARD_FILE))):
        PreparedDataset.open(copy)


@pytest.mark.parametrize("count", [25, pytest.param(1500, marks=pytest.mark.slow)])
def test_a_damaged_part_is_not_joined(count: int, tmp_path: Path, whole: Path) -> None:
    """Parts wait between a kill and the next start; a dataset made of them must be good."""
    rows = [{"image": PreparedDataset.open(whole).image_bytes(row), "fold": "P1"} for row in range(6)]
    writer = PreparedWriter(tmp_path / "a", DatasetCard("a", "", "", []), {})
    for part in range(2):
        writer.write_part(part, rows[3 * part : 3 * part + 3])
    path = next((tmp_path / "a").glob(".parts/*/part-000001.arrow"))
    content = path.read_bytes()
    for byte, bit in random_bits([(0, len(content)), (len(content) - 40, len(content))], count, seed=2):
        rewritten(path, flipped(content, byte, bit))
        with pytest.raises(InputError, match=r"part-000001.arrow is damaged .*; remove it and run the same command"):
            writer.finish(2)
    for length in cut_places([8, len(content) - 32], len(content)):
        rewritten(path, content[:length])
        with pytest.raises(InputError, match=r"part-000001.arrow is damaged"):
            writer.finish(2)
    assert not (tmp_path / "a" / FACES_FILE).exists()
    rewritten(path, content)
    assert len(writer.finish(2)) == 6


# What is done with them


def test_images_are_checked_once_and_not_when_opened(whole: Path, copy: Path) -> None:
    content, (start, _) = (whole / FACES_FILE).read_bytes(), image_regions(whole)[0]
    rewritten(copy / FACES_FILE, flipped(content, start + 100, 0))
    dataset = PreparedDataset.open(copy)
    assert dataset.au_labels(dataset.aus).shape == (96, 6)
    for _ in range(2):
        with pytest.raises(InputError, match="the images of rows 0 to 95 are not those that were written"):
            dataset.image(95)
    sound = PreparedDataset.open(whole)
    sound.image(3)
    assert sound.image_checks is not None
    sound.image_checks._whole = None  # type: ignore[assignment]  # not looked at again
    sound.image(4)


def test_every_damaged_block_is_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from metafacs.data import writer

    monkeypatch.setattr(writer, "BATCH_ROWS", 8)
    folder = make_prepared(tmp_path / "au", subjects=6, frames=8, size=32).folder
    regions = image_regions(folder)
    assert len(regions) == 6
    content = (folder / FACES_FILE).read_bytes()
    for block in (1, 4):
        content = flipped(content, regions[block][0] + 300, 3)
    rewritten(folder / FACES_FILE, content)
    dataset = PreparedDataset.open(folder)
    assert dataset.image(0).shape == dataset.image(47).shape == (32, 32, 3)
    for row in (8, 15, 32, 39):
        with pytest.raises(InputError, match=f"the images of rows {row // 8 * 8} to {row // 8 * 8 + 7} are not"):
            dataset.image(row)
    named = [problem.row for problem in validate(dataset) if "are not those written" in problem.message]
    assert named == [8, 32]


@pytest.mark.parametrize(
    "loading",
    [
        {},
        {"data__cache_gib": 0, "data__workers": 0},
        pytest.param({"data__cache_gib": 0, "data__workers": 2}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_commands_refuse_damaged_pixels(
    loading: dict[str, object], whole: Path, copy: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    content, (start, _) = (whole / FACES_FILE).read_bytes(), image_regions(whole)[0]
    rewritten(copy / FACES_FILE, flipped(content, start + 900, 1))
    assert metafacs(*flags(tmp_path / "run", copy, None, method="stl", **loading)) == 2
    printed = capfd.readouterr().err
    assert "those that were written (the SHA-256 differs)" in printed and "Traceback" not in printed
    assert metafacs("inspect", copy) == 0
    assert "are not those" in capfd.readouterr().out


def test_unreadable_rows_are_named_with_what_to_do(
    au_dataset: PreparedDataset, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Damaged before they were prepared: the digests are right, the JPEG is not."""
    wrong = {3: b"", 11: b"no image", 20: b"\xff\xd8\xff\xe0", 33: au_dataset.image_bytes(33)[:200]}

    def change(number: int, row: dict[str, object]) -> None:
        row["image"] = wrong.get(number, row["image"])

    spoilt = rewrite(au_dataset, tmp_path / "spoilt", change)
    for row in wrong:
        with pytest.raises(InputError, match=rf"row {row} of .*unreadable image: .*; `metafacs inspect .*` lists all"):
            spoilt.image(row)
    assert [problem.row for problem in validate(spoilt)] == list(wrong)
    assert metafacs(*flags(tmp_path / "run", spoilt.folder, None, method="stl")) == 2
    printed = capfd.readouterr().err
    assert re.search(rf"row \d+ of {spoilt.folder} has an unreadable image", printed) and "inspect" in printed
    with pytest.raises(InputError, match="row 11 of"):
        Faces(spoilt, np.arange(8, 16), 32).decode_all(2)


@pytest.mark.slow
def test_opening_a_large_dataset_takes_no_time(tmp_path: Path) -> None:
    """147,000 rows, as many as BP4D has, with landmarks; of pictures of a few hundred bytes."""
    from metafacs.facs import AU_SETS, au_column

    aus = [au_column(code) for code in AU_SETS["bp4d"]]
    writer = PreparedWriter(tmp_path / "large", DatasetCard("large", "", "", aus), {})
    points = [[1.0, 2.0]] * 68
    for part in range(49):
        row = {"image": bytes(8000), "subject": f"S{part}", "fold": "P1", "landmarks": points, **dict.fromkeys(aus, 1)}
        writer.write_part(part, [{**row, "frame": frame} for frame in range(3000)])
    writer.finish(49)
    start = time.perf_counter()
    dataset = PreparedDataset.open(tmp_path / "large")
    seconds = time.perf_counter() - start
    assert len(dataset) == 147_000 and seconds < 2, seconds
