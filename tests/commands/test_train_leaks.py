"""Nothing of the test fold, and no truth that only rendering knows, ever reaches training."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from metafacs.commands.train import train_config, train_parser
from metafacs.data.prepared import PreparedDataset, true_levels
from metafacs.facs import EXPRESSIONS
from metafacs.methods import METHODS
from metafacs.training import data as training_data
from metafacs.training.data import TrainingData, open_data
from tests.builders import make_prepared
from tests.toy_runs import SMALL, flags, metafacs, rewrite, same_parameters

Row = dict[str, Any]
Change = Callable[[int, Row], Any]
STEPS = 5
TEST_FOLD = "P2"
PAIRS = 6
"""How many expression images of each AU subject the expression dataset holds."""


@pytest.fixture(scope="module")
def primary(tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    """AU images with truths beside the labels, as rendered ones have."""
    folder = tmp_path_factory.mktemp("leaks")
    plain = make_prepared(folder / "plain", unlabelled=0.1)

    def change(number: int, row: Row) -> None:
        row |= dict.fromkeys(true_levels(plain.aus, sides=True), number % 6)
        row |= {"true_age": 20.0 + number % 50, "true_expression": EXPRESSIONS[number % 7]}

    truths = {**true_levels(plain.aus, sides=True), "true_age": "float32", "true_expression": "string"}
    return rewrite(plain, folder / "au", change, truths)


@pytest.fixture(scope="module")
def auxiliary(primary: PreparedDataset, tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    """Expression images: some of the AU dataset's subjects, test subjects among them, others in a test part."""
    folder = tmp_path_factory.mktemp("leaks")
    subjects = sorted(set(primary.column("subject")))

    def change(number: int, row: Row) -> None:
        if number < PAIRS * len(subjects):
            row |= {"dataset": primary.card.name, "subject": subjects[number // PAIRS]}
        elif number % 3 == 0:
            row["fold"] = "test"

    return rewrite(make_prepared(folder / "plain", kind="fe", subjects=8), folder / "fe", change)


def test_subjects(primary: PreparedDataset) -> None:
    """The toy data are what the tests below suppose."""
    assert subjects_of(primary, TEST_FOLD) == {"S001", "S004"}


def subjects_of(primary: PreparedDataset, fold: str) -> set[str]:
    return set(primary.column("subject")[primary.column("fold") == fold])


def of_test(row: Row) -> bool:
    """Whether a row of either dataset must not train."""
    return row["fold"] in (TEST_FOLD, "test") or (row["dataset"] == "made-au" and row["subject"] in ("S001", "S004"))


def train(out: Path, primary: PreparedDataset, auxiliary: PreparedDataset, **changes: object) -> Path:
    changes = {"loop__steps": STEPS, "data__test_fold": TEST_FOLD, "data__batch_primary": 12, **changes}
    assert metafacs(*flags(out, primary.folder, auxiliary.folder, **changes)) == 0
    return out


@pytest.fixture(scope="module")
def clean(primary: PreparedDataset, auxiliary: PreparedDataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on the data as they are."""
    return train(tmp_path_factory.mktemp("clean") / "run", primary, auxiliary)


def poison(row: Row) -> None:
    """Makes a row unusable: no picture, every label another one."""
    row["image"] = b"this is no picture"
    for name in row:
        if name.startswith("AU") and row[name] is not None:
            row[name] = 1 - row[name] if "_" not in name else 5 - row[name]
    if row["expression"]:
        row["expression"] = EXPRESSIONS[(EXPRESSIONS.index(row["expression"]) + 3) % len(EXPRESSIONS)]
        row["votes"] = row["votes"][::-1]


def poison_test(number: int, row: Row) -> None:
    if of_test(row):
        poison(row)


def poison_truth(number: int, row: Row) -> None:
    """Every column of truth, and AU labels where an expression dataset has such columns."""
    for name, value in row.items():
        if name.startswith("true_AU"):
            row[name] = 5 - value
        elif name.startswith("true_"):
            row[name] = None
        elif name.startswith("AU") and row["expression"]:
            row[name] = number % 2 if name[2:].isdigit() else number % 6


def test_test_images_and_labels_do_not_matter(
    primary: PreparedDataset, auxiliary: PreparedDataset, clean: Path, tmp_path: Path
) -> None:
    poisoned = [rewrite(d, tmp_path / name, poison_test) for d, name in ((primary, "a"), (auxiliary, "f"))]
    run = train(tmp_path / "run", *poisoned)
    assert same_parameters(run, clean)
    assert (run / "sample_weights.parquet").read_bytes() == (clean / "sample_weights.parquet").read_bytes()


@pytest.mark.parametrize("method", ["srerl", "lp_net", "tcae"])
def test_what_a_method_is_told_of_its_data_is_of_training_rows(
    method: str, primary: PreparedDataset, auxiliary: PreparedDataset, tmp_path: Path
) -> None:
    """Rates and relations of AUs, shapes of faces, pairs of frames."""

    def mark(number: int, row: Row) -> None:
        row["landmarks"] = np.random.default_rng(number).uniform(0, 48, (68, 2))

    def poison_marked(number: int, row: Row) -> None:
        if of_test(row):
            poison(row)
            row["landmarks"] = np.zeros((68, 2))

    marked = rewrite(primary, tmp_path / "marked", mark)
    poisoned = rewrite(marked, tmp_path / "poisoned", poison_marked)
    backbone, options = SMALL[METHODS[method].needs]
    changes = {"method": method, "network__backbone": backbone, "network__options": str(options), "data__aus": "1,2,12"}
    runs = [train(tmp_path / d.folder.name / "run", d, auxiliary, **changes) for d in (marked, poisoned)]
    assert same_parameters(*runs)


def test_test_images_are_never_decoded_by_workers_either(
    primary: PreparedDataset, auxiliary: PreparedDataset, clean: Path, tmp_path: Path
) -> None:
    poisoned = [rewrite(d, tmp_path / name, poison_test) for d, name in ((primary, "a"), (auxiliary, "f"))]
    run = train(tmp_path / "run", *poisoned, data__cache_gib=0, data__workers=1)
    assert same_parameters(run, clean)


def test_truths_do_not_matter(
    primary: PreparedDataset, auxiliary: PreparedDataset, clean: Path, tmp_path: Path
) -> None:
    poisoned = [rewrite(d, tmp_path / name, poison_truth) for d, name in ((primary, "a"), (auxiliary, "f"))]
    for dataset, before in zip(poisoned, (primary, auxiliary), strict=True):
        assert dataset.column("true_AU01").tolist() != before.column("true_AU01").tolist()
    assert same_parameters(train(tmp_path / "run", *poisoned), clean)


@pytest.mark.parametrize("stream", ["primary", "meta", "auxiliary"])
@pytest.mark.parametrize("what", ["image", "label"])
def test_the_check_is_not_blind(
    stream: str, what: str, primary: PreparedDataset, auxiliary: PreparedDataset, clean: Path, tmp_path: Path
) -> None:
    """Changing images or labels that do train changes the parameters."""
    rows = opened(primary, auxiliary).streams[stream].faces.rows
    dataset = auxiliary if stream == "auxiliary" else primary
    donor = dataset.image_bytes(int(rows[0]))

    def change(number: int, row: Row) -> None:
        if number not in rows[1:]:
            return
        if what == "image":
            row["image"] = donor
        elif stream == "auxiliary":
            row["expression"] = "fear"
        else:
            row |= {name: 1 - row[name] for name in dataset.aus if row[name] is not None}

    changed = rewrite(dataset, tmp_path / "d", change)
    pair = (primary, changed) if stream == "auxiliary" else (changed, auxiliary)
    assert not same_parameters(train(tmp_path / "run", *pair), clean)


def opened(primary: PreparedDataset, auxiliary: PreparedDataset | None, **changes: object) -> TrainingData:
    folder = auxiliary.folder if auxiliary else None
    arguments = flags(Path("unused"), primary.folder, folder, **{"data__test_fold": TEST_FOLD, **changes})
    config, _ = train_config(train_parser("metafacs train"), arguments[1:])
    return open_data(config.data, () if auxiliary is None else ("auxiliary",), config.seed, Console(quiet=True))


@pytest.mark.parametrize("fold", ["P1", "P2", "P3"])
@pytest.mark.parametrize("seed", [0, 1])
def test_rows_of_every_stream(fold: str, seed: int, primary: PreparedDataset, auxiliary: PreparedDataset) -> None:
    data = opened(primary, auxiliary, data__test_fold=fold, seed=seed)
    kept_out = subjects_of(primary, fold)
    assert set(data.split.test_subjects) == kept_out
    rows = {name: stream.faces.rows for name, stream in data.streams.items()}
    for name in ("primary", "meta"):
        assert data.streams[name].faces.dataset is primary or data.streams[name].faces.dataset.folder == primary.folder
        assert not kept_out & set(primary.column("subject")[rows[name]])
        assert fold not in primary.column("fold")[rows[name]]
    assert not set(rows["primary"]) & set(rows["meta"])
    assert not set(data.split.test) & (set(rows["primary"]) | set(rows["meta"]))
    assert np.array_equal(data.reserve.rows, rows["meta"])

    columns = [auxiliary.column(name)[rows["auxiliary"]] for name in ("dataset", "subject", "fold")]
    for dataset, subject, own_fold in zip(*columns, strict=True):
        assert own_fold != "test"
        assert not (dataset == primary.card.name and subject in kept_out)
    shared = {s for d, s, _ in zip(*columns, strict=True) if d == primary.card.name}
    assert shared == set(primary.column("subject")) - kept_out, "subjects who may train are not thrown away"


def test_every_image_that_is_read_may_train(
    primary: PreparedDataset, auxiliary: PreparedDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Apart from the comparison that leaves copies of test images out of the expression images."""
    read: dict[Path, set[int]] = {primary.folder: set(), auxiliary.folder: set()}
    original = PreparedDataset.image_bytes

    def image_bytes(self: PreparedDataset, row: int) -> bytes:
        read[self.folder].add(row)
        return original(self, row)

    monkeypatch.setattr(PreparedDataset, "image_bytes", image_bytes)
    monkeypatch.setattr(training_data, "signatures", lambda dataset, _: np.zeros((len(dataset), 255), np.float32))
    train(tmp_path / "run", primary, auxiliary)
    for dataset in (primary, auxiliary):
        rows = dataset.table.to_pylist()
        assert read[dataset.folder] == {number for number, row in enumerate(rows) if not of_test(row)}


def test_a_test_subject_without_labels_of_the_chosen_aus_is_kept_out_as_well(
    primary: PreparedDataset, auxiliary: PreparedDataset, tmp_path: Path
) -> None:
    def change(number: int, row: Row) -> None:
        if row["subject"] == "S004":
            row["AU01"] = None

    data = opened(rewrite(primary, tmp_path / "a", change), auxiliary, data__aus="1")
    assert data.split.test_subjects == ("S001", "S004")
    trains = data.streams["auxiliary"].faces.rows
    pairs = zip(auxiliary.column("dataset")[trains], auxiliary.column("subject")[trains], strict=True)
    assert not {("made-au", "S001"), ("made-au", "S004")} & set(pairs)


def test_the_au_dataset_as_its_own_expression_dataset(primary: PreparedDataset, tmp_path: Path) -> None:
    def change(number: int, row: Row) -> None:
        row["expression"] = EXPRESSIONS[number % len(EXPRESSIONS)]

    both = rewrite(primary, tmp_path / "both", change)
    data = opened(both, both)
    assert TEST_FOLD not in both.column("fold")[data.streams["auxiliary"].faces.rows]


def test_the_reserve_has_images_of_every_training_subject(primary: PreparedDataset) -> None:
    data = opened(primary, None)
    reserved = primary.column("subject")[data.reserve.rows]
    counts = {name: int((reserved == name).sum()) for name in set(reserved)}
    assert set(counts) == set(primary.column("subject")) - subjects_of(primary, TEST_FOLD)
    assert len(set(counts.values())) == 1
