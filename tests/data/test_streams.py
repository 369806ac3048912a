from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from metafacs import distributed
from metafacs.data.prepared import PreparedDataset
from metafacs.data.streams import Faces, Order, Stream, mixed_seed, training_batches
from metafacs.errors import InputError
from metafacs.sample import Batch, concatenated
from tests.builders import make_prepared
from tests.toy_runs import rewrite

CPU = torch.device("cpu")
Batches = list[dict[str, Batch]]


# Order


@settings(max_examples=60, deadline=None)
@given(size=st.integers(1, 40), batch=st.integers(1, 50), seed=st.integers(0, 5), start=st.integers(0, 200))
def test_every_pass_shows_every_item_once(size: int, batch: int, seed: int, start: int) -> None:
    order = Order(size, batch, seed, "primary")
    first = start * size // order.batch + 1
    steps = range(first, first + 3 * size)
    seen = np.concatenate([order(step) for step in steps])
    assert all(len(order(step)) == min(batch, size) for step in steps[:3])
    offset = -first * order.batch % size
    whole = seen[offset : offset + size * ((len(seen) - offset) // size)].reshape(-1, size)
    assert len(whole) and (np.sort(whole) == np.arange(size)).all()


@settings(max_examples=30, deadline=None)
@given(steps=st.lists(st.integers(0, 1000), min_size=1, max_size=8), seed=st.integers(0, 9))
def test_a_step_depends_on_no_other_step(steps: list[int], seed: int) -> None:
    one = Order(17, 5, seed, "meta")
    assert all(np.array_equal(one(step), Order(17, 5, seed, "meta")(step)) for step in steps)


def test_passes_streams_and_seeds_differ() -> None:
    orders = [Order(100, 100, 0, "meta"), Order(100, 100, 0, "primary"), Order(100, 100, 1, "meta")]
    permutations = {tuple(order(step)) for order in orders for step in range(3)}
    assert len(permutations) == 9


def test_seeds_mix() -> None:
    seeds = {mixed_seed(a, b) for a in range(30) for b in range(30)}
    assert len(seeds) == 900
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert mixed_seed(1, 2) == mixed_seed(1, 2) != mixed_seed(2, 1)


# Faces


def test_faces_are_the_rows_asked_for(au_dataset: PreparedDataset) -> None:
    rows = np.array([5, 0, 40])
    faces = Faces(au_dataset, rows, 48)
    assert len(faces) == 3 and not faces.decoded
    expected = torch.stack([torch.from_numpy(au_dataset.image(row).copy()).permute(2, 0, 1) for row in (40, 5)])
    assert torch.equal(faces.images([2, 0]), expected)
    told: list[tuple[int, int]] = []
    faces.decode_all(progress=lambda done, total: told.append((done, total)))
    assert faces.decoded and told == [(1, 3), (2, 3), (3, 3)]
    assert torch.equal(faces.images(np.array([2, 0])), expected)


def test_faces_are_resized_the_same_way_with_and_without_cache(au_dataset: PreparedDataset) -> None:
    plain, cached = (Faces(au_dataset, np.arange(6), 20) for _ in range(2))
    cached.decode_all(threads=2)
    assert plain.images(range(6)).shape == (6, 3, 20, 20)
    assert torch.equal(plain.images(range(6)), cached.images(range(6)))
    assert cached.bytes_decoded == 6 * 3 * 20 * 20 == cached.images(range(6)).numel()


# Batches


@pytest.fixture(scope="module")
def make_streams(au_dataset: PreparedDataset, fe_dataset: PreparedDataset) -> Callable[..., dict[str, Stream]]:
    def make(cached: Sequence[str] = (), batch: int = 8, device: torch.device = CPU) -> dict[str, Stream]:
        primary, auxiliary = Faces(au_dataset, np.arange(10, 40), 36), Faces(fe_dataset, np.arange(48), 36)
        for name, faces in (("primary", primary), ("auxiliary", auxiliary)):
            if name in cached:
                faces.decode_all(device=device)
        labels = torch.from_numpy(au_dataset.au_labels(au_dataset.aus)[10:40])
        expressions = torch.from_numpy(fe_dataset.expression_labels())
        return {
            "primary": Stream(primary, labels, Order(30, batch, 3, "primary")),
            "auxiliary": Stream(auxiliary, expressions, Order(48, 2 * batch, 3, "auxiliary")),
        }

    return make


def batches(streams: dict[str, Stream], steps: range = range(6), **options: int) -> Batches:
    return list(training_batches(streams, steps, 32, 9, CPU, **options))


def same(one: Batches, other: Batches) -> bool:
    pairs = zip(one, other, strict=True)
    return all(equal(a[name], b[name]) for a, b in pairs for name in a)


def equal(one: Batch, other: Batch) -> bool:
    return torch.equal(one.sample.images, other.sample.images) and torch.equal(one.labels, other.labels)


def test_batches_hold_images_and_their_labels(make_streams: Callable[..., dict[str, Stream]]) -> None:
    streams = make_streams()
    for step, batch in enumerate(batches(streams)):
        for name, stream in streams.items():
            images, labels = batch[name].sample.images, batch[name].labels
            assert images.shape == (stream.order.batch, 3, 32, 32) and images.dtype == torch.float32
            assert 0 <= images.min() < images.max() <= 1
            assert torch.equal(labels, stream.labels[torch.from_numpy(stream.order(step))])


def test_every_image_is_a_crop_of_its_own_row(make_streams: Callable[..., dict[str, Stream]]) -> None:
    stream = make_streams()["primary"]
    batch, positions = batches({"primary": stream}, range(2, 3))[0]["primary"], stream.order(2)
    for image, face in zip(batch.sample.images, stream.faces.images(positions).float() / 255, strict=True):
        windows = torch.cat([face, face.flip(2)]).unfold(1, 32, 1).unfold(2, 32, 1).reshape(2, 3, 25, 32, 32)
        distances = (windows.transpose(1, 2) - image).abs().amax((2, 3, 4))
        assert distances.min() < 1e-6


BOTH = ("primary", "auxiliary")


@pytest.mark.parametrize(
    "cached, workers", [(BOTH, 0), ((), 1), ((), 3), (BOTH, 2), (["primary"], 0), (["auxiliary"], 2)]
)
def test_neither_cache_nor_workers_matter(
    cached: Sequence[str], workers: int, make_streams: Callable[..., dict[str, Stream]]
) -> None:
    found, expected = batches(make_streams(cached), workers=workers), batches(make_streams())
    assert same(found, expected) and all(list(batch) == list(BOTH) for batch in found)


@pytest.mark.gpu
@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("cached", [(), ["primary"], BOTH], ids=str)
def test_batches_on_a_gpu_are_those_on_the_cpu(
    cached: Sequence[str], device: str, make_streams: Callable[..., dict[str, Stream]]
) -> None:
    streams, gpu = make_streams(cached, device=torch.device(device)), torch.device("cuda")
    found = list(training_batches(streams, range(6), 32, 9, gpu, workers=2))
    assert all(b.sample.images.is_cuda and b.labels.is_cuda for batch in found for b in batch.values())
    on_cpu = [{name: Batch(b.sample.to(CPU), b.labels.cpu()) for name, b in batch.items()} for batch in found]
    assert same(on_cpu, batches(make_streams()))


def test_any_step_can_come_first(make_streams: Callable[..., dict[str, Stream]]) -> None:
    whole = batches(make_streams())
    torch.manual_seed(123)
    np.random.seed(5)
    assert same(batches(make_streams(), range(4, 6)), whole[4:])
    assert not same(whole[:2], whole[2:4])


@pytest.mark.parametrize("photographic", [False, True])
def test_processes_share_the_batch_of_one(
    photographic: bool, make_streams: Callable[..., dict[str, Stream]], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = batches(make_streams(), photographic=photographic)
    parts = []
    for rank in range(2):
        monkeypatch.setattr(distributed, "count", lambda: 2)
        monkeypatch.setattr(distributed, "rank", lambda rank=rank: rank)
        parts.append(batches(make_streams(), photographic=photographic))
    joined = [
        {
            name: Batch(
                concatenated([half[name].sample for half in halves]), torch.cat([h[name].labels for h in halves])
            )
            for name in halves[0]
        }
        for halves in zip(*parts, strict=True)
    ]
    assert same(joined, whole)


def test_photographic_batches_hold_the_same_labels_and_changed_pictures(
    make_streams: Callable[..., dict[str, Stream]],
) -> None:
    streams = make_streams()
    for plain, changed in zip(batches(streams), batches(streams, photographic=True), strict=True):
        for name in streams:
            assert torch.equal(plain[name].labels, changed[name].labels)
            assert (
                not torch.isclose(plain[name].sample.images, changed[name].sample.images)
                .all(dim=1)
                .all(dim=1)
                .all(dim=1)
                .any()
            )


def test_augmentation_differs_from_pass_to_pass(make_streams: Callable[..., dict[str, Stream]]) -> None:
    stream = make_streams(batch=30)["primary"]
    first, second = (batch["primary"].sample.images for batch in batches({"primary": stream}, range(2)))
    order = [np.argsort(stream.order(step)) for step in range(2)]
    same_crop = [torch.equal(a, b) for a, b in zip(first[order[0]], second[order[1]], strict=True)]
    assert Counter(same_crop)[True] <= 5


@pytest.mark.parametrize("workers", [0, 2])
def test_an_unreadable_image_is_named(workers: int, tmp_path: Path) -> None:
    def change(number: int, row: dict[str, object]) -> None:
        if number == 7:
            row["image"] = b"spoilt"

    spoilt = rewrite(make_prepared(tmp_path / "a", subjects=1), tmp_path / "b", change)
    stream = Stream(Faces(spoilt, np.arange(8), 36), torch.zeros(8), Order(8, 8, 0, "primary"))
    with pytest.raises(InputError, match=f"row 7 of {spoilt.folder} has an unreadable image"):
        batches({"primary": stream}, range(1), workers=workers)
    with pytest.raises(InputError, match="row 7 of"):
        stream.faces.decode_all()
