"""Several prepared datasets as one."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from metafacs.data.joined import JoinedDataset, identities, open_datasets
from metafacs.data.prepared import PreparedDataset
from metafacs.data.streams import EvenOrder
from metafacs.errors import InputError
from tests.builders import make_prepared
from tests.toy_runs import rewrite


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> list[PreparedDataset]:
    folder = tmp_path_factory.mktemp("parts")
    one = make_prepared(folder / "one", aus=["AU01", "AU12"], subjects=6, frames=4, name="ONE")
    return [one, make_prepared(folder / "other", aus=["AU04", "AU12"], subjects=6, frames=5, seed=1, name="OTHER")]


def test_aus_are_united_and_what_a_dataset_lacks_is_masked(parts: list[PreparedDataset]) -> None:
    joined = open_datasets([part.folder for part in parts])
    n = len(parts[0])
    assert (
        joined.aus == ["AU01", "AU04", "AU12"]
        and len(joined) == n + len(parts[1])
        and joined.card.name == "ONE + OTHER"
    )
    labels = joined.au_labels(joined.aus)
    np.testing.assert_array_equal(labels[:n, [0, 2]], parts[0].au_labels(["AU01", "AU12"]))
    np.testing.assert_array_equal(labels[n:, [1, 2]], parts[1].au_labels(["AU04", "AU12"]))
    assert np.isnan(labels[:n, 1]).all() and np.isnan(labels[n:, 0]).all()
    for row, (part, own) in {0: (parts[0], 0), n + 2: (parts[1], 2)}.items():
        np.testing.assert_array_equal(joined.image(row), part.image(own))


def test_people_are_kept_apart_by_dataset(parts: list[PreparedDataset]) -> None:
    joined = open_datasets([part.folder for part in parts])
    people = {f"{part.card.name}/{name}" for part in parts for name in part.column("subject")}
    assert set(joined.column("subject")) == people
    assert identities(joined) == [*identities(parts[0]), *identities(parts[1])]
    again = pickle.loads(pickle.dumps(joined))
    assert isinstance(again, JoinedDataset) and again.sizes == joined.sizes and again.table.equals(joined.table)


def test_expressions_keep_their_names_and_votes(tmp_path: Path) -> None:
    plain = make_prepared(tmp_path / "plain", kind="fe", name="ONE")
    names = plain.card.expressions
    plain.card.expressions = ["boredom", *names[::-1]]

    def change(number: int, row: dict[str, object]) -> None:
        row["dataset"] = "OTHER"
        row["votes"] = [number, *row["votes"][::-1]] if row["votes"] and number else None  # type: ignore[index]

    other = rewrite(plain, tmp_path / "other", change)
    one = PreparedDataset.open(plain.folder)
    joined = open_datasets([one.folder, other.folder])
    assert joined.card.expressions == [*names, "boredom"]
    n, votes = len(one), joined.votes()
    np.testing.assert_array_equal(votes[:n, :-1], one.votes())
    np.testing.assert_array_equal(joined.expression_labels(), np.tile(one.expression_labels(), 2))
    known = ~np.isnan(one.votes()).all(axis=1) & (np.arange(n) > 0)
    np.testing.assert_array_equal(votes[n:][known], np.column_stack([one.votes(), np.arange(n)])[known])
    assert np.isnan(votes[n]).all()


def test_one_folder_is_the_dataset_itself_and_two_must_differ(parts: list[PreparedDataset]) -> None:
    assert type(open_datasets([parts[0].folder])) is type(open_datasets(parts[0].folder)) is PreparedDataset
    with pytest.raises(InputError, match="named twice"):
        open_datasets([parts[0].folder, parts[0].folder])


def test_even_batches_have_as_many_of_every_dataset() -> None:
    groups = [np.arange(0, 10), np.arange(10, 110), np.arange(110, 112)]
    order = EvenOrder(groups, 11, 0, "auxiliary")
    assert order.batch == 4 + 4 + 2, "a dataset with fewer images than its share gives what it has"
    steps = [order(step) for step in range(50)]
    for group, count in zip(groups, (4, 4, 2), strict=True):
        shown = [step[np.isin(step, group)] for step in steps]
        assert {len(part) for part in shown} == {count} and set(np.concatenate(shown)) == set(group)
    np.testing.assert_array_equal(EvenOrder(groups, 11, 0, "auxiliary")(7), steps[7])
