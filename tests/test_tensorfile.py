"""Files of tensors: what was written is what is read, and damage anywhere is found."""

import random
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from metafacs.errors import InputError
from metafacs.tensorfile import read_tensors, write_tensors

TENSORS = {
    "empty": torch.zeros(0, 3),
    "number": torch.tensor(1.5),
    "truth": torch.tensor([True, False]),
    "half": torch.arange(6).reshape(2, 3).bfloat16(),
    "many": torch.randn(50, 20, generator=torch.Generator().manual_seed(0)),
}
HEADER = {"name": "Gesicht 表情", "values": [1, None, {"a": 0.1}]}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_tensors(tmp_path / "a", TENSORS, HEADER)
    return tmp_path / "a"


def test_tensors_and_header_come_back(path: Path) -> None:
    header, tensors = read_tensors(path)
    assert header == HEADER and tensors.keys() == TENSORS.keys()
    assert all(torch.equal(tensor, TENSORS[name]) for name, tensor in tensors.items())


def test_a_flipped_bit_anywhere_is_found(path: Path) -> None:
    content, places = path.read_bytes(), random.Random(0)
    end = 8 + int.from_bytes(content[:8], "little")
    for region in ((0, end), (end, len(content))):
        for _ in range(100):
            place = places.randrange(*region)
            path.write_bytes(
                content[:place] + bytes([content[place] ^ 1 << places.randrange(8)]) + content[place + 1 :]
            )
            try:
                header, tensors = read_tensors(path)
            except InputError as error:
                assert f"{path} is damaged" in str(error)
            else:  # the name of the digest or the header, or a space, was hit: what is read is right, or not ours
                assert header in (HEADER, {})
                assert all(torch.equal(tensor, TENSORS[name]) for name, tensor in tensors.items())


@pytest.mark.parametrize("length", [0, 1, 7, 8, 100, -1])
def test_cut_or_filled_up_files_are_refused(path: Path, length: int) -> None:
    content = path.read_bytes()
    for damaged in (content[:length], content[:length] + bytes(len(content[length:]) + 1)):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match="is damaged or not a safetensors file"):
            read_tensors(path)


def test_files_of_others_and_of_earlier_versions_are_read_unchecked(tmp_path: Path) -> None:
    save_file(TENSORS, tmp_path / "a")
    assert read_tensors(tmp_path / "a")[0] == {}
    save_file(TENSORS, tmp_path / "a", {"metafacs": '{"format": 1}', "sha256": "0" * 64})
    assert read_tensors(tmp_path / "a")[0] == {"format": 1}
