"""Memory that runs out, on a GPU or here: one message, exit status 2."""

import errno
from pathlib import Path

import pytest
import torch

from metafacs import memory
from metafacs.data.prepared import PreparedDataset
from metafacs.methods.stl import STL
from metafacs.runs import STATE
from tests.toy_runs import flags, metafacs, same_parameters

GPU = "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.10 GiB."


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError(GPU),
        RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory: 64 bytes."),
        RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. "),
        MemoryError(),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
    ],
    ids=repr,
)
def test_it_is_recognised(error: Exception) -> None:
    assert str(memory.message(error)).startswith("memory is used up")


@pytest.mark.parametrize("error", [RuntimeError("size mismatch"), OSError(errno.EBUSY, "busy"), ValueError("x")])
def test_other_errors_are_not_taken_for_it(error: Exception) -> None:
    assert memory.message(error) is None


def test_training_ends_with_a_message_and_goes_on_from_what_was_saved(
    au_dataset: PreparedDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    step, taken = STL.training_step, []

    def late(self: STL, batch: object) -> dict[str, torch.Tensor]:
        taken.append(1)
        if len(taken) == 6:
            raise torch.OutOfMemoryError(GPU)
        return step(self, batch)  # type: ignore[arg-type]

    whole, run = (flags(tmp_path / name, au_dataset.folder, None, method="stl") for name in ("whole", "run"))
    assert metafacs(*whole) == 0
    with monkeypatch.context() as patched:
        patched.setattr(STL, "training_step", late)
        assert metafacs(*run) == 2
    printed = capfd.readouterr().err
    assert "Tried to allocate 2.00 GiB" in printed and "smaller batches" in printed and "Traceback" not in printed
    assert (tmp_path / "run" / STATE).exists()
    assert metafacs(*run, "--resume") == 0
    assert same_parameters(tmp_path / "run", tmp_path / "whole")
