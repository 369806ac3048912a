"""Any valid release in miniature, written at random, is read as it was written: labels, people, frames, folds."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metafacs.datasets import ckplus, rafdb
from metafacs.datasets.bp4d import BP4D
from metafacs.datasets.ckplus import CKPlus
from metafacs.datasets.disfa import DISFA
from metafacs.datasets.ferplus import VOTES, FERPlus, winner
from metafacs.datasets.gft import GFT
from metafacs.datasets.rafau import RAFAU
from metafacs.datasets.rafdb import RAFDB
from metafacs.datasets.table import Table
from metafacs.datasets.words import UNKNOWN_WORDS
from metafacs.facs import AU_SETS, EXPRESSIONS, au_column, intensity_column
from metafacs.synth import layouts
from tests.datasets import trees
from tests.datasets.test_datasets import check
from tests.strategies import run

COUNTS = [8, pytest.param(200, marks=pytest.mark.slow)]
bp4d_people = BP4D.published.everybody
disfa_people = DISFA.published.everybody
newlines = st.sampled_from(["\n", "\r\n", "\r"])
encodings = st.sampled_from(["utf-8", "utf-8-sig", "utf-16"])


@contextmanager
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as text:
        yield Path(text) / "raw"


def plain(value: Any) -> Any:
    return None if value is None or value is pd.NA or value != value else value


def written_otherwise(raw: Path, newline: str, encoding: str) -> None:
    """Label files as other systems write them: other ends of lines, another encoding."""
    for path in raw.rglob("*"):
        if path.suffix in (".csv", ".txt", ".tsv"):
            path.write_bytes(path.read_text(encoding="utf-8").replace("\n", newline).encode(encoding))


@pytest.mark.parametrize("count", COUNTS)
def test_bp4d(count: int) -> None:
    recording = st.tuples(st.sampled_from(bp4d_people), st.sampled_from([f"T{k}" for k in range(1, 9)]))
    frames = st.tuples(st.integers(0, 5000), st.integers(1, 5)).map(lambda pair: range(pair[0], pair[0] + pair[1]))
    padding = st.sampled_from(["{frame}", "{frame:04d}", "{frame:06d}"])

    @given(
        st.dictionaries(recording, frames, min_size=1, max_size=3), st.integers(0, 99), padding, newlines, encodings,
        st.booleans(),
    )  # fmt: skip
    def read(recordings: Any, seed: int, name: str, newline: str, encoding: str, levels: bool) -> None:
        with folder() as raw:
            truth = trees.bp4d(raw, recordings, f"img/{{subject}}/{{task}}/{name}.jpg", seed, levels)
            written_otherwise(raw, newline, encoding)
            listing = BP4D().read(raw)
            check(listing, raw)
        assert len(listing.rows) == len(truth)
        for row in listing.rows.to_dict("records"):
            labels = truth[row["sequence"], row["frame"]]
            assert {au: plain(row[au]) for au in listing.aus} == labels
            assert row["fold"] == BP4D.published.fold_of(row["subject"]) and row["sequence"].startswith(row["subject"])
            for au in AU_SETS["bp4d_intensity"] if levels else ():
                expected = None if row["frame"] % 5 == 0 else row["frame"] % 6
                assert plain(row[intensity_column(au_column(au))]) == expected

    run(read, count)


@pytest.mark.parametrize("count", COUNTS)
def test_disfa(count: int) -> None:
    @given(
        st.lists(st.sampled_from(disfa_people), min_size=1, max_size=3, unique=True), st.integers(2, 7),
        st.sampled_from([0, 1]), st.integers(1, 5), st.integers(0, 99), newlines, encodings,
    )  # fmt: skip
    def read(people: list[str], frames: int, first: int, present: int, seed: int, newline: str, encoding: str) -> None:
        with folder() as raw:
            truth = trees.disfa(raw, people, frames, first=first, seed=seed)
            written_otherwise(raw, newline, encoding)
            listing = DISFA(present_from=present).read(raw)
            check(listing, raw)
        assert len(listing.rows) == len(people) * frames
        for row in listing.rows.to_dict("records"):
            for au in listing.aus:
                level = truth[row["subject"], row["frame"]][au]
                assert row[intensity_column(au)] == level and row[au] == int(level >= present)
            assert row["image"] == f"img/{row['subject']}/{row['frame'] - 1 + first}.png"
            assert row["fold"] == DISFA.published.fold_of(row["subject"])

    run(read, count)


@pytest.mark.parametrize("count", COUNTS)
def test_gft(count: int) -> None:
    label = st.sampled_from(["0", "1", "9", "-1", "999", "", "NA"])
    aus = [au_column(au) for au in AU_SETS["gft"]]
    frames = st.lists(st.integers(1, 99_999), min_size=1, max_size=4, unique=True)

    @given(st.dictionaries(st.from_regex(r"[a-z0-9]{1,6}", fullmatch=True), frames, min_size=1, max_size=3), st.data())
    def read(people: dict[str, list[int]], data: st.DataObject) -> None:
        truth: dict[tuple[str, int], list[str]] = {}
        with folder() as raw:
            for name, numbers in people.items():
                for number in numbers:
                    truth[name, number] = data.draw(st.lists(label, min_size=len(aus), max_size=len(aus)))
                    trees.picture(raw / layouts.gft_frame(name, number))
                layouts.gft_labels(raw, name, aus, [[number, *truth[name, number]] for number in numbers])
            names = sorted(people)
            train, test = trees.text(raw / "train.txt", names[:1]), trees.text(raw / "test.txt", names[1:] or ["none"])
            reader = GFT("annotations/*.csv", image="frames/{subject}/{frame}.jpg", train=str(train), test=str(test))
            listing = reader.read(raw)
            check(listing, raw)
        assert {(row.subject, row.frame) for row in listing.rows.itertuples()} == set(truth)
        for row in listing.rows.to_dict("records"):
            expected = [int(cell) if cell in ("0", "1") else None for cell in truth[row["subject"], row["frame"]]]
            assert [plain(row[au]) for au in listing.aus] == expected
            assert row["fold"] == ("train" if row["subject"] == names[0] else "test")

    run(read, count)


@pytest.mark.parametrize("count", COUNTS)
def test_ckplus(count: int) -> None:
    who = st.tuples(st.integers(1, 999), st.integers(1, 12), st.integers(2, 20))
    seen = st.tuples(
        st.dictionaries(st.sampled_from([1, 2, 4, 12, 25, 43, 64]), st.integers(0, 5)),
        st.none() | st.integers(1, len(ckplus.CODES) - 1),
    )

    @given(st.dictionaries(who, seen, min_size=1, max_size=3), newlines, encodings)
    def read(made: dict[tuple[int, int, int], Any], newline: str, encoding: str) -> None:
        sequences = {(f"S{who:03d}", f"{number:03d}", peak): own for (who, number, peak), own in made.items()}
        sequences = {key[:2]: (key[2], own) for key, own in sequences.items()}
        with folder() as raw:
            trees.ckplus(raw, {(*key, peak): own for key, (peak, own) in sequences.items()})
            emotions = any(own[1] is not None for _, own in sequences.values())
            if not emotions:
                assert not (raw / "Emotion").exists()
            for path in raw.rglob("*_facs.txt"):
                if path.read_text().strip():
                    path.write_bytes(path.read_text().replace("\n", newline).encode(encoding))
            listing = CKPlus().read(raw)
            check(listing, raw)
        assert len(listing.rows) == len(sequences)
        for row in listing.rows.to_dict("records"):
            peak, (levels, emotion) = sequences[tuple(row["sequence"].split("/"))]
            assert row["frame"] == peak
            for au in listing.aus:
                code = int(au[2:])
                assert row[au] == int(code in levels)
                assert plain(row[intensity_column(au)]) == (levels[code] or None if code in levels else 0)
            name = None if emotion is None else ckplus.CODES[emotion]
            assert row["expression"] == (name if name in EXPRESSIONS else None)

    run(read, count)


@pytest.mark.parametrize("count", COUNTS)
def test_rafdb_and_rafau(count: int) -> None:
    code = st.sampled_from(sorted(rafdb.CODES))
    token = st.sampled_from(["1", "2", "L4", "R12", "25", "B10", "T26"])

    @given(st.dictionaries(st.integers(1, 99_999), code, min_size=1, max_size=6), newlines, encodings)
    def faces(codes: dict[int, int], newline: str, encoding: str) -> None:
        names = {f"{'train' if number % 2 else 'test'}_{number:05d}": own for number, own in codes.items()}
        with folder() as raw:
            layouts.rafdb_labels(raw, names)
            for name in names:
                trees.picture(raw / layouts.rafdb_image(name, "aligned"))
            written_otherwise(raw, newline, encoding)
            listing = RAFDB().read(raw)
            check(listing, raw)
        found = {row.subject: (row.expression, row.fold) for row in listing.rows.itertuples()}
        assert found == {name: (rafdb.CODES[own], name.split("_")[0]) for name, own in names.items()}

    @given(st.dictionaries(st.integers(1, 9999), st.lists(token, max_size=4, unique=True), min_size=1, max_size=6))
    def units(tokens: dict[int, list[str]]) -> None:
        with folder() as raw:
            lines = [f"{number:04d}.jpg {'+'.join(own) or 'null'}" for number, own in tokens.items()]
            trees.text(raw / "RAFAU_label.txt", lines)
            for number in tokens:
                trees.picture(raw / f"aligned/{number:04d}_aligned.jpg")
            listing = RAFAU().read(raw)
            check(listing, raw)
        assert len(listing.rows) == len(tokens)
        for row in listing.rows.to_dict("records"):
            present = {int(one.lstrip("LRTB")) for one in tokens[int(row["subject"])]}
            assert {au for au in listing.aus if row[au]} == {au_column(own) for own in present} & set(listing.aus)

    run(faces, count)
    run(units, count)


@pytest.mark.parametrize("count", COUNTS)
def test_ferplus(count: int) -> None:
    votes = st.lists(st.integers(0, 10), min_size=10, max_size=10)
    row = st.tuples(votes, st.sampled_from(["Training", "PublicTest", "PrivateTest"]))

    @given(st.lists(row, min_size=1, max_size=4), st.sampled_from(["majority", "most"]))
    def read(rows: list[tuple[list[int], str]], rule: Any) -> None:
        rows = [*rows, ([0, 10, 0, 0, 0, 0, 0, 0, 0, 0], "Training")]
        with folder() as raw:
            trees.ferplus(raw, [own for own, _ in rows], [usage for _, usage in rows])
            listing = FERPlus(rule=rule).read(raw)
            check(listing, raw)
        won = {f"fer{k:07d}": (winner(own, rule)[0], own, usage) for k, (own, usage) in enumerate(rows)}
        assert set(listing.rows["sequence"]) == {name for name, own in won.items() if own[0]}
        assert sum(skip.rows for skip in listing.skipped) == len(rows) - len(listing.rows)
        folds = {"Training": "train", "PublicTest": "validation", "PrivateTest": "test"}
        for row in listing.rows.itertuples():
            expression, own, usage = won[row.sequence]
            assert (row.expression, row.fold) == (expression, folds[usage])
            assert row.votes == [own[VOTES.index(name)] for name in EXPRESSIONS]
            assert row.pixels[-1] == row.pixels[-2304] == int(row.sequence[3:]) % 256

    run(read, count)


cell = st.sampled_from(
    [("0", 0), ("1", 1), ("1.0", 1), ("true", 1), *((text, None) for text in ("", "-1", "9", "NaN"))]
)
letters = st.from_regex(r"[A-Za-zäö0-9 _'&=;-]{1,10}", fullmatch=True)
name = letters.map(str.strip).filter(lambda text: text.lower() not in UNKNOWN_WORDS)


@pytest.mark.parametrize("count", COUNTS)
def test_tables(count: int) -> None:
    row = st.tuples(name, name, st.integers(0, 2**31 - 1), cell, cell, st.none() | st.sampled_from(EXPRESSIONS))

    @given(
        st.lists(row, min_size=1, max_size=5), st.sampled_from([".csv", ".tsv", ".parquet"]), encodings,
        st.permutations(range(6)),
    )  # fmt: skip
    def read(rows: list[Any], ending: str, encoding: str, order: list[int]) -> None:
        head = ["image_path", "subject", "frame", "au1", "AU12", "emotion"]
        images = [f"img/{k}.jpg" for k in range(len(rows))]
        cells = [[images[k], own[0], own[2], own[3][0], own[4][0], own[5] or ""] for k, own in enumerate(rows)]
        table = pd.DataFrame(cells, columns=head).astype({"frame": "int64"}).iloc[:, order]
        with folder() as raw:
            for image in images:
                trees.picture(raw / image)
            path = raw / f"labels{ending}"
            if ending == ".parquet":
                table.to_parquet(path)
            else:
                table.to_csv(path, index=False, sep="\t" if ending == ".tsv" else ",", encoding=encoding)
            listing = Table().read(raw)
            check(listing, raw)
        assert len(listing.rows) == len(rows) and listing.aus == ["AU01", "AU12"]
        for found in listing.rows.itertuples():
            own = rows[int(Path(found.image).stem)]
            assert (found.subject, found.frame, found.expression) == (own[0], own[2], own[5])
            assert (plain(found.AU01), plain(found.AU12)) == (own[3][1], own[4][1])

    run(read, count)
