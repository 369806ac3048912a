"""Several `metafacs train` processes that meet over TCP make the run that one process makes."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from metafacs.data.prepared import PreparedDataset
from tests.builders import make_prepared
from tests.commands.test_train_resume import KILL_AT
from tests.launcher import Launcher
from tests.toy_runs import BACKBONE, STEPS, flags, logged_steps, parameters

PROCESSES = 2
DOUBLE = """
import torch
from torch.nn.modules.module import register_module_forward_pre_hook
def cast(module, inputs):
    return tuple(x.double() if torch.is_tensor(x) and x.is_floating_point() else x for x in inputs)
torch.set_default_dtype(torch.float64)
register_module_forward_pre_hook(cast)
"""
"""Makes a run compute in float64. In float32, sums in another order differ by some 1e-7, and twelve steps through
BatchNorm over a dozen numbers make 1e-3 to 1e-2 of that, by the processor. In float64 it is 4e-13: rounding."""
TOLERANCE = 1e-7
"""Of the largest number in a tensor, after all steps. No dropout: its masks are drawn per process."""

PLAIN = {
    "network.options": "{}",
    "optimiser__name": "sgd",
    "optimiser__learning_rate": 0.005,
    "mal.meta_optimiser": "sgd",
    "mal.beta": 0.05,
}


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def together(
    launcher: Launcher, arguments: list[list[str]], log: Path, before: str = "", survivors: bool = True
) -> list[tuple[int, str]]:
    """Starts a process for each of `arguments`, in float64; `before` runs in the first, the others may be killed."""
    port, started = free_port(), []
    for rank, own in enumerate(arguments):
        names = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": PROCESSES, "LOCAL_WORLD_SIZE": PROCESSES}
        names |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        code = f"import os; os.environ.update({ {name: str(value) for name, value in names.items()} })\n"
        started.append(
            launcher.start(own, log.with_name(f"{log.name}-{rank}"), code + DOUBLE + (before if rank == 0 else ""))
        )
    ended = [started[0].wait()]
    for process in started[1:]:
        if not survivors:
            process.send(signal.SIGKILL)  # as a launcher does when one of them has died
        ended.append(process.wait())
    return ended


def difference(one: Path, other: Path) -> float:
    a, b = parameters(one), parameters(other)
    return max(float((a[name] - b[name]).abs().max() / a[name].abs().max().clamp(min=0.1)) for name in a)


@pytest.fixture(scope="module")
def toy(au_dataset: PreparedDataset, fe_dataset: PreparedDataset) -> tuple[Path, Path]:
    return au_dataset.folder, fe_dataset.folder


@pytest.fixture(scope="module")
def alone(toy: tuple[Path, Path], launcher: Launcher, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("alone")
    status, printed = launcher.run(flags(folder / "run", *toy, **PLAIN), folder / "log", DOUBLE)
    assert status == 0, printed
    return folder / "run"


def check(run: Path, alone: Path) -> None:
    assert difference(run, alone) < TOLERANCE
    assert logged_steps(run, "train") == logged_steps(alone, "train")


def losses(run: Path) -> list[float]:
    """What was logged of the training images: their means over all processes."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [line[name] for line in lines if line["event"] == "train" for name in ("loss_primary", "loss_auxiliary")]


def test_two_processes_make_the_run_of_one(
    toy: tuple[Path, Path], alone: Path, launcher: Launcher, tmp_path: Path
) -> None:
    arguments = flags(tmp_path / "run", *toy, **PLAIN)
    ended = together(launcher, [arguments] * PROCESSES, tmp_path / "log")
    assert [status for status, _ in ended] == [0, 0], ended
    assert ended[1][1] == ""  # one of them speaks
    check(tmp_path / "run", alone)
    assert losses(tmp_path / "run") == pytest.approx(losses(alone), rel=TOLERANCE)
    apart = flags(tmp_path / "apart", *toy, **PLAIN, loop__synchronise="false")
    assert [status for status, _ in together(launcher, [apart] * PROCESSES, tmp_path / "log")] == [0, 0]
    assert difference(tmp_path / "apart", alone) > 1e-3


@pytest.mark.parametrize("first, second", [(2, 1), (1, 2)])
def test_a_run_goes_on_with_another_number_of_processes(
    first: int, second: int, toy: tuple[Path, Path], alone: Path, launcher: Launcher, tmp_path: Path
) -> None:
    arguments, log = [*flags(tmp_path / "run", *toy, **PLAIN), "--resume"], tmp_path / "log"
    kill = KILL_AT % ("state.safetensors", 2, 2)
    if first == 1:
        assert launcher.run(arguments, log, DOUBLE + kill)[0] == -signal.SIGKILL
        ended = together(launcher, [arguments] * PROCESSES, log)
    else:
        assert together(launcher, [arguments] * PROCESSES, log, kill, False)[0][0] == -signal.SIGKILL
        ended = [launcher.run(arguments, log, DOUBLE)]
    assert all(status == 0 for status, _ in ended) and f"going on after step 4 of {STEPS}" in ended[0][1], ended
    check(tmp_path / "run", alone)


def test_processes_that_were_given_different_things_say_so(
    toy: tuple[Path, Path], launcher: Launcher, tmp_path: Path
) -> None:
    other = make_prepared(tmp_path / "other", seed=1).folder
    arguments = [flags(tmp_path / "run", *toy, **PLAIN), flags(tmp_path / "run", other, toy[1], **PLAIN, seed=1)]
    ended = together(launcher, arguments, tmp_path / "log")
    assert [status for status, _ in ended] == [2, 2]
    said = "do not agree on the settings, nor on the contents of the datasets, nor on the weights to start from"
    assert said in ended[0][1] and "Traceback" not in ended[0][1]


@pytest.mark.slow
def test_two_machines_meet_over_tcp(toy: tuple[Path, Path], alone: Path, tmp_path: Path) -> None:
    """The instructions of docs/speed.md: one torchrun on each machine; here both are this one."""
    port = free_port()
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    started, program = [], tmp_path / "program.py"
    program.write_text(f"{DOUBLE}\nfrom metafacs.cli import main\nraise SystemExit(main())\n")
    for node in range(2):
        command = [sys.executable, "-m", "torch.distributed.run", "--nnodes", "2", "--node-rank", str(node)]
        command += ["--nproc-per-node", "1", "--rdzv-backend", "c10d", "--rdzv-endpoint", f"127.0.0.1:{port}"]
        command += ["--rdzv-id", "1", str(program), *flags(tmp_path / "run", *toy, **PLAIN)]
        log = (tmp_path / f"log-{node}").open("w")
        started.append(subprocess.Popen(command, env=environment, stdout=log, stderr=log))
    statuses = [process.wait() for process in started]
    assert statuses == [0, 0], [(tmp_path / f"log-{node}").read_text() for node in range(2)]
    check(tmp_path / "run", alone)


def test_the_toy_network_normalises_by_batches() -> None:
    from metafacs.models.network import build_network

    network = build_network(BACKBONE, 2, 2, "scratch")
    assert any(isinstance(layer, torch.nn.BatchNorm2d) for layer in network.modules())
