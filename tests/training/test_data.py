"""What is kept in memory, and what processes cannot share."""

from pathlib import Path

import pytest
import torch
from jsonargparse import Namespace
from rich.console import Console

from metafacs import distributed
from metafacs.data.prepared import PreparedDataset
from metafacs.errors import InputError
from metafacs.training.data import TrainingData, _device_bytes, _places, open_data

RESIZE = 36
BYTES = 3 * RESIZE**2
TRAIN, RESERVE, AUXILIARY = 24, 8, 48


def opened(primary: Path, auxiliary: Path, console: Console, **changes: object) -> TrainingData:
    settings = {"primary": primary, "auxiliary": auxiliary, "test_fold": "P1", "aus": "all", "reserve_fraction": 0.25}
    settings |= {"reserve_minimum": 1, "reserve_people": 0.0, "reserve_fold": None}
    settings |= {"resize": RESIZE, "side": 32, "workers": 3, "mixing": "size"}
    settings |= {"batch_primary": 6, "batch_auxiliary": 6, "batch_meta": 4, "cache_gib": 2.0, "device_cache_gib": None}
    return open_data(Namespace(**{**settings, **changes}), ("auxiliary", "pairs"), 0, console)


@pytest.mark.parametrize(
    "room, kept, left",
    [
        (RESERVE + TRAIN + AUXILIARY, {"meta", "primary", "auxiliary"}, ""),
        (RESERVE + TRAIN + AUXILIARY - 1, {"meta", "primary"}, "the auxiliary images"),
        (RESERVE, {"meta"}, "the primary and auxiliary images"),
        (0, set(), "the primary and auxiliary and meta images"),
    ],
)
@pytest.mark.parametrize("sharing", [1, 2])
def test_the_smallest_streams_are_kept_and_the_rest_is_said(
    room: int,
    kept: set[str],
    left: str,
    sharing: int,
    au_dataset: PreparedDataset,
    fe_dataset: PreparedDataset,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(distributed, "on_this_machine", lambda: sharing)
    console = Console(record=True, quiet=False, width=400)
    gib = room * BYTES * sharing / 2**30
    data = opened(au_dataset.folder, fe_dataset.folder, console, cache_gib=gib)
    assert data.streams["pairs"].faces is data.streams["primary"].faces
    streams = {name: stream for name, stream in data.streams.items() if name != "pairs"}
    assert {name: len(stream.faces) for name, stream in streams.items()} == {
        "primary": TRAIN,
        "meta": RESERVE,
        "auxiliary": AUXILIARY,
    }
    assert {name for name, stream in streams.items() if stream.faces.decoded} == kept
    printed = console.export_text()
    assert (f"decoding {left} again in every epoch, by 3 workers" in printed) == bool(left)
    assert data.reserve.decoded == ("meta" in kept)


def test_the_device_is_filled_before_the_memory() -> None:
    sizes = {"primary": 50, "auxiliary": 90, "meta": 10}
    assert _places(sizes, 60, 100) == {"meta": "device", "primary": "device", "auxiliary": "memory"}
    assert _places(sizes, 20, 60) == {"meta": "device", "primary": "memory", "auxiliary": "disk"}
    assert _places(sizes, 0, 0) == dict.fromkeys(sizes, "disk")


def test_a_quarter_of_a_free_gpu_is_taken_unless_a_number_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (8 * 2**30, 12 * 2**30))
    gpu = torch.device("cuda")
    assert _device_bytes(None, gpu) == 2 * 2**30
    assert _device_bytes(0.5, gpu) == 2**29
    assert _device_bytes(None, torch.device("cpu")) == 0


def test_a_batch_of_all_images_must_divide_evenly(
    au_dataset: PreparedDataset, fe_dataset: PreparedDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders, console = (au_dataset.folder, fe_dataset.folder), Console(quiet=True)
    batches = {"batch_primary": 6, "batch_auxiliary": 6, "batch_meta": 9}
    monkeypatch.setattr(distributed, "count", lambda: 3)
    with pytest.raises(InputError, match=r"only 8 images for the meta batch, which 3 processes .* --data.batch_meta 6"):
        opened(*folders, console, **batches)
    opened(*folders, console, **{**batches, "batch_meta": 6})
    with pytest.raises(InputError, match=r"batch_meta is 8; .* divisible by the number of processes"):
        opened(*folders, console, **{**batches, "batch_meta": 8})
