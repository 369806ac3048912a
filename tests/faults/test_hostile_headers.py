"""Safetensors files, of detectors and of saved states, that a stranger has put together by hand."""

import json
import os
import struct
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from metafacs.errors import InputError
from metafacs.models.network import build_network
from metafacs.runs import DETECTOR, STATE
from metafacs.tensorfile import write_tensors
from metafacs.training.checkpoint import FORMAT, load_detector, load_state, save_state
from tests.faults.hostile import little_memory
from tests.methods.test_registry_wide import CARD, build, take
from tests.toy_runs import BACKBONE


def raw(path: Path, header: bytes | dict[str, Any], data: bytes = b"", length: int | None = None) -> Path:
    """A safetensors file by hand."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + data)
    return path


SAID = json.dumps({"format": FORMAT, **asdict(CARD)})


@pytest.mark.parametrize(
    "header, data, length",
    [
        (b"", b"", 2**63),
        (b"{}", b"", 2**64 - 1),
        (b"{}", b"", 10**9),
        (b"{}", b"", 0),
        (b"[" * 200_000, b"", None),
        (b'{"a":' * 50_000, b"", None),
        ({"a": {"dtype": "F32", "shape": [2**60, 2**60], "data_offsets": [0, 8]}}, bytes(8), None),
        ({"a": {"dtype": "F32", "shape": [2**60], "data_offsets": [0, 2**62]}}, bytes(8), None),
        ({"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}, bytes(4), None),
        ({"a": {"dtype": "F99", "shape": [1], "data_offsets": [0, 4]}}, bytes(4), None),
        ({"a": {"dtype": "F32", "shape": [1], "data_offsets": [8, 4]}}, bytes(8), None),
        (
            {
                "a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
                "b": {"dtype": "F32", "shape": [2], "data_offsets": [4, 12]},
            },
            bytes(12),
            None,
        ),
        ({"__metadata__": {"metafacs": "[" * 100_000}}, b"", None),
        ({"__metadata__": {"metafacs": '{"format": 1, "seed": ' + "9" * 5000 + "}"}}, b"", None),
        ({"__metadata__": {"metafacs": SAID, "sha256": "zz"}}, b"", None),
        ({"__metadata__": {"metafacs": SAID, "sha256": "0" * 64}}, b"", None),
        ({"__metadata__": {"metafacs": 7}}, b"", None),
        ({"__metadata__": {"metafacs": "{}"}}, b"", None),
        ({"__metadata__": {"metafacs": '{"format": true}'}}, b"", None),
        (
            {"__metadata__": {"metafacs": SAID}, "a": {"dtype": "F32", "shape": [2**60, 0], "data_offsets": [0, 0]}},
            b"",
            None,
        ),
    ],
    ids=str,
)
def test_a_hostile_header(header: Any, data: bytes, length: int | None, tmp_path: Path) -> None:
    path = raw(tmp_path / DETECTOR, header, data, length)
    method = build("stl")
    for load in (
        load_detector,
        lambda path: load_state(path, method.modules, method.optimisers),
        lambda path: build_network(BACKBONE, 2, 2, str(path)),
    ):
        with little_memory(), pytest.raises(InputError) as caught:
            load(path)
        assert str(path) in str(caught.value) and len(str(caught.value)) < 1500


def test_a_sparse_file_of_a_terabyte(tmp_path: Path) -> None:
    """Its tensor is as large as it says, but no network has it: nothing of it is read."""
    size = 2**40
    header = {"__metadata__": {"metafacs": SAID}, "a": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}
    path = raw(tmp_path / DETECTOR, header)
    try:
        os.truncate(path, path.stat().st_size + size)
    except OSError:
        pytest.skip("no sparse files here")
    start = time.monotonic()
    with little_memory(), pytest.raises(InputError, match=r"do not fit the network|damaged"):
        load_detector(path)
    assert time.monotonic() - start < 10


@pytest.mark.parametrize(
    "tree",
    [
        None,
        [],
        "x",
        {"pairs": 3},
        {"pairs": [["state", {"tensor": "nowhere"}]]},
        {"pairs": [["state", {"pairs": []}]]},
        {"pairs": [["param_groups", [1]], ["state", {"pairs": []}]]},
        {"pairs": [["param_groups", []], ["state", {"pairs": []}]]},
        {"pairs": [[["a"], 1]]},
        {"wrong": 1},
    ],
    ids=str,
)
def test_a_hostile_state(tree: Any, tmp_path: Path) -> None:
    method = build("stl")
    take(method, range(1))
    save_state(tmp_path / STATE, 1, method.modules, method.optimisers)
    tensors = load_file(tmp_path / STATE)
    write_tensors(tmp_path / STATE, tensors, {"format": FORMAT, "step": 1, "optimisers": {"base": tree}})
    with pytest.raises(InputError, match=r"the state of the optimiser 'base' in .* does not fit"):
        load_state(tmp_path / STATE, method.modules, method.optimisers)
    for step in (-1, "1", None, 2.5, True):
        write_tensors(tmp_path / STATE, tensors, {"format": FORMAT, "step": step, "optimisers": {"base": tree}})
        with pytest.raises(InputError):
            load_state(tmp_path / STATE, method.modules, method.optimisers)
    write_tensors(tmp_path / STATE, tensors, {"format": FORMAT, "step": 1, "optimisers": tree})
    with pytest.raises(InputError):
        load_state(tmp_path / STATE, method.modules, method.optimisers)


def test_moments_of_another_shape(tmp_path: Path) -> None:
    method = build("stl")
    take(method, range(1))
    optimiser = method.optimisers["base"]
    parameter = optimiser.param_groups[0]["params"][0]
    optimiser.state[parameter]["exp_avg"] = torch.zeros(1, 1, 1, 1)
    save_state(tmp_path / STATE, 1, method.modules, method.optimisers)
    other = build("stl")
    with pytest.raises(InputError, match="exp_avg of parameter 0 has another shape"):
        load_state(tmp_path / STATE, other.modules, other.optimisers)
