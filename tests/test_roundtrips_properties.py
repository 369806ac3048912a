"""What was written is what is read: prepared datasets, cards, recipes, detectors, predictions, settings and tables."""

import io
import json
import math
import tempfile
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st

from metafacs.commands.parsing import parse, plain
from metafacs.commands.train import train_parser
from metafacs.data.prepared import DatasetCard, PreparedDataset, PreparedWriter
from metafacs.errors import InputError
from metafacs.evaluation.predictions import probability_column, read_predictions, write_predictions
from metafacs.faces import Face
from metafacs.faces.recipe import SIMILARITY, WHOLE, Recipe
from metafacs.faces.video import Frame
from metafacs.facs import EXPRESSIONS, intensity_column
from metafacs.inference.formats import FORMATS, PYFEAT_COLUMNS
from metafacs.inference.outputs import write_tables
from metafacs.inference.rows import empty_row, face_row, raw_table, sigmoid, tidy
from metafacs.models.network import build_network
from metafacs.training.checkpoint import DetectorCard, load_detector, save_detector
from tests.datasets.trees import JPEG
from tests.evaluation.runs import info
from tests.faults.examples import COUNTS, run
from tests.toy_runs import BACKBONE

AUS = ["AU01", "AU12", "AU24"]
names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
words = st.sampled_from(
    ["S001", "Ünï", "a b", "=1+1", "NA", "nan", "0", "x,y", 'say "hi"', "line\nbreak", "tab\t", "-", " ", "a\rb", "é"]
)
printable = words.filter(str.isprintable)
"""What the cards of datasets and detectors take as a name."""


@contextmanager
def folder() -> Iterator[Path]:
    """A folder for one example; pytest's own would be shared by all of them."""
    with tempfile.TemporaryDirectory() as text:
        yield Path(text)


label = st.sampled_from([None, 0, 1])
level = st.sampled_from([None, *range(6)])


@st.composite
def faces(draw: st.DrawFn) -> dict[str, Any]:
    row: dict[str, Any] = {"image": JPEG, "fold": draw(st.sampled_from(["P1", "P2", "train"]))}
    row |= {"subject": draw(words | names), "sequence": draw(words), "frame": draw(st.integers(0, 2**31 - 1))}
    row |= {au: draw(label) for au in AUS} | {intensity_column(au): draw(level) for au in AUS}
    votes = st.none() | st.lists(st.integers(0, 40), min_size=7, max_size=7)
    row |= {"expression": draw(st.none() | st.sampled_from(EXPRESSIONS)), "votes": draw(votes)}
    points = st.none() | st.lists(st.floats(-10, 3000, width=32), min_size=136, max_size=136)
    found = draw(points)
    return row | {"landmarks": None if found is None else np.array(found, np.float32).reshape(68, 2)}


@pytest.mark.parametrize("count", [10, pytest.param(300, marks=pytest.mark.slow)])
def test_prepared_datasets(count: int) -> None:
    @given(st.lists(st.lists(faces(), max_size=4), min_size=1, max_size=3).filter(any))
    def check(parts: list[list[dict[str, Any]]]) -> None:
        with folder() as place:
            writer = PreparedWriter(place / "d", DatasetCard("made", "a test", "none", AUS), {"x": len(parts)})
            for number in reversed(range(len(parts))):
                writer.write_part(number, parts[number])
            writer.finish(len(parts))
            dataset = PreparedDataset.open(place / "d")
            rows = [row for part in parts for row in part]
            assert len(dataset) == len(rows) == dataset.card.rows
            table = dataset.to_pandas()
            for k, row in enumerate(rows):
                assert dataset.image_bytes(k) == row["image"]
                for name in ("subject", "sequence", "frame", "fold"):
                    assert table[name][k] == row[name]
                for au in AUS:
                    for column in (au, intensity_column(au)):
                        assert (None if pd.isna(table[column][k]) else table[column][k]) == row[column]
                points = dataset.landmarks(k)
                assert (points is None) == (row["landmarks"] is None)
                assert points is None or np.array_equal(points, row["landmarks"])
            found = dataset.votes()
            assert all(row["votes"] is None or found[k].tolist() == row["votes"] for k, row in enumerate(rows))
            assert [None if k < 0 else EXPRESSIONS[k] for k in dataset.expression_labels()] == [
                row["expression"] for row in rows
            ]
            assert DatasetCard.read(place / "d") == dataset.card

    run(check, count)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.floats(-1e9, 1e9) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)


@pytest.mark.parametrize("count", COUNTS)
def test_cards_of_datasets(count: int) -> None:
    @given(names, printable, st.dictionaries(words, json_values, max_size=4), st.integers(0, 2**50))
    def check(name: str, source: str, settings: dict[str, Any], rows: int) -> None:
        with folder() as place:
            if any(unicodedata.category(letter) == "Cc" for letter in name):
                with pytest.raises(InputError, match="cannot be printed: name"):
                    PreparedWriter(place, DatasetCard(name, source, "none", AUS), settings)
                return
            card = DatasetCard(name, source, "none", AUS, settings=settings, crop={"size": 48}, rows=rows)
            card.write(place)
            assert DatasetCard.read(place) == card

    run(check, count)


@pytest.mark.parametrize("count", COUNTS)
def test_recipes(count: int) -> None:
    finder = st.sampled_from([{"name": "dlib5"}, {"name": "dlib68", "upsample": 1}, {"name": "yunet", "score": 0.7}])
    made = st.builds(
        Recipe,
        kind=st.sampled_from([SIMILARITY, WHOLE]),
        size=st.integers(32, 2048),
        margin=st.floats(-0.25, 2),
        quality=st.integers(1, 95),
        finder=finder,
        choice=st.sampled_from(["nearest", "largest"]),
        every=st.integers(1, 50),
    )

    @given(made)
    def check(recipe: Recipe) -> None:
        assert Recipe.from_card(json.loads(json.dumps(recipe.to_card()))) == recipe

    run(check, count)


@pytest.fixture(scope="module")
def network() -> Any:
    torch.manual_seed(0)
    return build_network(BACKBONE, len(AUS), 2, "scratch").eval()


@pytest.mark.parametrize("count", [5, pytest.param(60, marks=pytest.mark.slow)])
def test_detectors(count: int, network: Any) -> None:
    thresholds = st.lists(st.floats(0, 1), min_size=3, max_size=3)

    @given(thresholds, printable, st.lists(printable, max_size=4), st.integers(0, 2**31))
    def check(levels: list[float], dataset: str, people: list[str], seed: int) -> None:
        card = DetectorCard(
            AUS, levels, ["a", "b"], BACKBONE, {}, 32, 36, Recipe().to_card(), dataset, "P1", people, "mal", seed
        )
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(seed)))
        with folder() as place:
            save_detector(place / "d.safetensors", network, card)
            again, read = load_detector(place / "d.safetensors")
        card.crop = read.crop  # a tuple becomes a list
        assert read == card
        pairs = zip(network.state_dict().values(), again.state_dict().values(), strict=True)
        assert all(torch.equal(one, other) for one, other in pairs)

    run(check, count)


@pytest.mark.parametrize("count", COUNTS)
def test_predictions(count: int) -> None:
    row = st.tuples(words, words, st.integers(0, 2**31 - 1), *[label] * 3, *[st.floats(0, 1, width=32)] * 3)

    @given(st.lists(row, min_size=1, max_size=8, unique_by=lambda one: one[:3]))
    def check(rows: list[tuple[Any, ...]]) -> None:
        columns = ["subject", "sequence", "frame", *AUS, *map(probability_column, AUS)]
        table = pd.DataFrame(rows, columns=columns).assign(dataset="rendered-au", fold="P1")
        with folder() as place:
            write_predictions(place / "p.parquet", table, info(aus=AUS))
            found = read_predictions(place / "p.parquet")
        assert found.info == info(aus=AUS) and found.aus == AUS
        np.testing.assert_array_equal(found.labels(), table[AUS].to_numpy(np.float64, na_value=np.nan))
        probabilities = table[[probability_column(au) for au in AUS]].to_numpy(np.float64)
        np.testing.assert_array_equal(found.probabilities(), probabilities)
        assert found.table["subject"].tolist() == table["subject"].tolist()

    run(check, count)


@st.composite
def detections(draw: st.DrawFn) -> tuple[Any, list[str]]:
    """Unfinished work on a few inputs: faces with and without points, and frames without a face."""
    rows, logits = [], []
    readable = words.filter(lambda name: "\r" not in name)  # see `find_sources`
    inputs = draw(st.lists(readable, min_size=1, max_size=3, unique=True))
    for source, name in enumerate(inputs):
        for number in range(draw(st.integers(1, 3))):
            time = draw(st.none() | st.floats(0, 1e5))
            if draw(st.booleans()):
                problem = draw(st.sampled_from(["", "damaged frame", "a, b; c"]))
                rows.append(empty_row(source, name, Frame(number, time, None, problem)))
                continue
            corner = [draw(st.floats(-100, 5000, width=32)) for _ in range(2)]
            points = np.array(draw(st.lists(st.floats(0, 9, width=16), min_size=136, max_size=136)))
            points = points.reshape(68, 2) if draw(st.booleans()) else np.zeros((5, 2))
            box = (corner[0], corner[1], corner[0] + 50.0, corner[1] + 60.5)
            rows.append(face_row(source, name, Frame(number, time, None), 0, Face(box, 1.5, points, points[:2])))
            logits.append([draw(st.floats(-40, 40, width=32)) for _ in AUS])
    return raw_table(rows, np.array(logits, np.float32).reshape(-1, len(AUS)), AUS), inputs


def same(one: pd.Series, other: pd.Series) -> bool:
    """Equal values; what is missing is missing, whatever it is called."""
    left, right = ([None if pd.isna(value) else value for value in series] for series in (one, other))
    return len(left) == len(right) and all(
        a == b or (isinstance(a, float) and isinstance(b, float) and math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-9))
        for a, b in zip(left, right, strict=True)
    )


@pytest.mark.parametrize("count", [8, *COUNTS[1:]])
@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_tables_of_detections(form: str, ending: str, count: int) -> None:
    @given(detections(), st.floats(0, 1))
    def check(made: tuple[Any, list[str]], threshold: float) -> None:
        raw, _ = made
        table = FORMATS[form].table(raw, AUS, [threshold] * len(AUS))
        with folder() as place:
            write_tables([place / f"out{ending}"], [table.iloc[:1], table.iloc[1:]])
            found = read_back(place / f"out{ending}")
        assert list(found.columns) == list(table.columns)
        assert found["input"].tolist() == table["input"].tolist()
        for column in table.columns:
            if column not in ("problem", "input"):
                assert same(found[column], table[column]), column
        if form == "pyfeat":
            assert list(found.columns[: len(PYFEAT_COLUMNS) - 1]) == [c for c in PYFEAT_COLUMNS if c != "input"]

    run(check, count if ending == ".csv" else max(5, count // 4))


def read_back(path: Path) -> pd.DataFrame:
    if path.suffix == ".parquet":
        return pd.read_parquet(path)
    text = io.StringIO(path.read_bytes().decode("utf-8"), newline="")
    return pd.read_csv(text, na_values=[""], keep_default_na=False, dtype={"input": str})


@pytest.mark.parametrize("count", COUNTS)
def test_probabilities_and_presence_agree(count: int) -> None:
    @given(detections(), st.floats(0, 1))
    def check(made: tuple[Any, list[str]], threshold: float) -> None:
        table = tidy(made[0], AUS, [threshold] * len(AUS))
        for au in AUS:
            probability, present = table[au], table[f"{au}_present"]
            seen = table["success"] == 1
            assert probability[seen].between(0, 1).all() and probability[~seen].isna().all()
            assert present[~seen].isna().all()
            assert (present[seen].astype(bool) == (probability[seen] >= np.float32(threshold))).all()
        logits = np.array([-1e4, -40, 0, 40, 1e4], np.float32)
        assert (np.diff(sigmoid(logits)) >= 0).all() and sigmoid(logits)[2] == 0.5

    run(check, count)


PARSER = train_parser("metafacs train")


@pytest.mark.parametrize("count", [8, pytest.param(150, marks=pytest.mark.slow)])
def test_settings(count: int) -> None:
    text = st.sampled_from(["ünï", "x,y", "two words", "../up", "C:\\data", "$HOME", "{a}", "a'b", 'say "hi"'])

    @given(
        st.floats(1e-9, 10), st.integers(0, 2**31), text, text, st.none() | st.integers(1, 10**6),
        st.sampled_from(["mal", "stl", "mtl"]), st.floats(0.001, 0.5), st.booleans(),
    )  # fmt: skip
    def check(
        rate: float, seed: int, label: str, primary: str, steps: int | None, method: str, share: float, together: bool
    ) -> None:
        with folder() as place:
            chosen: dict[str, Any] = {
                "out": "runs/x", "data": {"primary": primary, "reserve_fraction": share}, "method": method,
                "label": label, "optimiser": {"learning_rate": rate}, "seed": seed,
                "loop": {"steps": steps, "synchronise": together},
                "network": {"options": {"drop_path_rate": share}},
            }  # fmt: skip
            (place / "a.yaml").write_text(yaml.safe_dump(chosen), encoding="utf-8")
            first = plain(parse(PARSER, ["--config", str(place / "a.yaml")]))
            (place / "b.yaml").write_text(
                yaml.safe_dump({k: v for k, v in first.items() if k not in ("config", "resume")}), encoding="utf-8"
            )
            second = plain(parse(PARSER, ["--config", str(place / "b.yaml")]))
        for name in ("config", "resume"):
            first.pop(name, None), second.pop(name, None)
        assert first == second
        assert first["optimiser"]["learning_rate"] == rate and first["seed"] == seed and first["label"] == label
        assert first["data"]["primary"] == primary and first["loop"]["steps"] == steps
        assert first["network"]["options"] == {"drop_path_rate": share}

    run(check, count)
