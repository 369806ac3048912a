"""A run that is killed at any moment and resumed ends with the same parameters as one that was left alone."""

import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from metafacs.data.prepared import PreparedDataset
from metafacs.evaluation.predictions import read_predictions
from metafacs.models.network import build_network
from tests.launcher import Launcher
from tests.toy_runs import BACKBONE, STEPS, flags, leftovers, logged_steps, metafacs, parameters, same_parameters

KILL_AT = """
import os, signal, metafacs.files
synced, wanted = os.fsync, 0
def fsync(file):
    global wanted
    path = os.readlink(f"/proc/self/fd/{file}")
    if ".%s." in path:
        wanted += 1
        if wanted == %d:
            os.truncate(path, os.path.getsize(path) // %d)
            os.kill(os.getpid(), signal.SIGKILL)
    synced(file)
metafacs.files.os.fsync = fsync
"""
"""Dies by SIGKILL while it writes a file of the given name for the n-th time, a part of which is on disk."""

LOGGED = {"train": [3, 6, 9, 12], "validation": [5, 10, 12]}


@pytest.fixture(scope="module")
def toy(au_dataset: PreparedDataset, fe_dataset: PreparedDataset) -> tuple[Path, Path]:
    return au_dataset.folder, fe_dataset.folder


@pytest.fixture(scope="module")
def undisturbed(toy: tuple[Path, Path], launcher: Launcher, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed")
    status, printed = launcher.run(flags(folder / "run", *toy), folder / "log")
    assert status == 0, printed
    return folder / "run"


def check(run: Path, undisturbed: Path) -> None:
    """`run` is whole and the same as `undisturbed`."""
    assert same_parameters(run, undisturbed)
    assert (run / "sample_weights.parquet").read_bytes() == (undisturbed / "sample_weights.parquet").read_bytes()
    assert {event: logged_steps(run, event) for event in LOGGED} == LOGGED
    assert sorted(p.name for p in run.iterdir()) == sorted(p.name for p in undisturbed.iterdir())
    assert not leftovers(run)


def test_the_toy_network_has_random_layers_and_batch_norm() -> None:
    network = build_network(BACKBONE, 2, 2, "scratch", {"drop_path_rate": 0.2, "drop_rate": 0.2})
    kinds = {type(layer).__name__ for layer in network.modules()}
    assert {"DropPath", "BatchNormAct2d"} <= kinds
    assert network.backbone.drop_rate == 0.2


def test_an_undisturbed_run_is_whole(undisturbed: Path) -> None:
    assert {event: logged_steps(undisturbed, event) for event in LOGGED} == LOGGED
    kept = {".lock", "config.yaml", "detector.safetensors", "done", "environment.json", "metrics.jsonl"}
    assert {p.name for p in undisturbed.iterdir()} == kept | {"sample_weights.parquet", "tensorboard"}


@pytest.mark.parametrize(
    "changes",
    [
        {"data__workers": 0},
        {"data__cache_gib": 0, "data__workers": 0},
        {"data__cache_gib": 0, "data__workers": 1},
        {"data__cache_gib": 0, "data__workers": 3},
        {"loop__log_every": 1, "loop__validate_every": 2, "loop__save_every": 1},
    ],
    ids=str,
)
def test_how_it_is_run_does_not_matter(
    changes: dict[str, object], toy: tuple[Path, Path], undisturbed: Path, launcher: Launcher, tmp_path: Path
) -> None:
    status, printed = launcher.run(flags(tmp_path / "run", *toy, **changes), tmp_path / "log")
    assert status == 0, printed
    assert same_parameters(tmp_path / "run", undisturbed)


def test_the_seed_matters(toy: tuple[Path, Path], undisturbed: Path, launcher: Launcher, tmp_path: Path) -> None:
    assert launcher.run(flags(tmp_path / "run", *toy, seed=1), tmp_path / "log")[0] == 0
    assert not same_parameters(tmp_path / "run", undisturbed)


def test_killed_while_it_writes_any_of_its_files(
    toy: tuple[Path, Path], undisturbed: Path, launcher: Launcher, tmp_path: Path
) -> None:
    run, log = tmp_path / "run", tmp_path / "log"
    resumed = [*flags(run, *toy), "--resume"]
    writes = [("config.yaml", 1), ("environment.json", 1), ("metrics.jsonl", 1), ("state.safetensors", 1)]
    writes += [("state.safetensors", 2), ("metrics.jsonl", 1), ("state.safetensors", 2)]
    writes += [("sample_weights.parquet", 1), ("detector.safetensors", 1), ("done", 1)]
    for count, (name, time_) in enumerate(writes):
        status, printed = launcher.run(resumed, log, KILL_AT % (name, time_, 1 + count % 2))
        assert status == -signal.SIGKILL, (name, printed)
        assert leftovers(run) or count == 0
    assert launcher.run(resumed, log)[0] == 0
    check(run, undisturbed)


def test_killed_between_the_mark_and_the_last_tidying(
    toy: tuple[Path, Path], undisturbed: Path, launcher: Launcher, tmp_path: Path
) -> None:
    run, log = tmp_path / "run", tmp_path / "log"
    before = "import os, pathlib; pathlib.Path.unlink = lambda *a, **k: os.kill(os.getpid(), 9)"
    assert launcher.run(flags(run, *toy), log, before)[0] == -signal.SIGKILL
    assert (run / "done").exists() and (run / "state.safetensors").exists()
    assert same_parameters(run, undisturbed)
    status, printed = launcher.run([*flags(run, *toy), "--resume"], log)
    assert (status, "is done" in printed) == (2, True)


EVERY_LINE = "import metafacs.progress; metafacs.progress.SPACING = 0"


@pytest.mark.parametrize("seed", range(3))
def test_killed_again_and_again_at_random_moments(
    seed: int, toy: tuple[Path, Path], undisturbed: Path, launcher: Launcher, tmp_path: Path
) -> None:
    run, log, moments = tmp_path / "run", tmp_path / "log", random.Random(seed)
    changes = [{}, {"loop__save_every": 1}, {"loop__save_every": 1, "data__cache_gib": 0, "data__workers": 2}][seed]
    kills = 0
    for attempt in range(12):
        log.unlink(missing_ok=True)
        process = launcher.start([*flags(run, *toy, **changes), "--resume"], log, EVERY_LINE)
        if attempt < 8:
            lines = moments.randrange(1, 8)
            process.wait_for(lambda n=lines: log.exists() and log.read_text().count("training mal") >= n)
            time.sleep(moments.uniform(0, 0.04))
            process.send(signal.SIGKILL)
        status, printed = process.wait()
        if status == 0:
            break
        assert status == -signal.SIGKILL, printed
        kills += 1
    assert kills >= 2 and (run / "done").exists()
    check(run, undisturbed)


def test_a_process_started_anew_is_killed_at_a_random_step(
    toy: tuple[Path, Path], undisturbed: Path, launcher: Launcher, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    code = f"{EVERY_LINE}; import sys; from metafacs.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, *flags(run, *toy, loop__save_every=1)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        stop = random.Random(0).randrange(2, STEPS)
        for line in process.stderr:
            if line.startswith(f"training mal: {stop}/"):
                process.kill()
    assert process.returncode == -signal.SIGKILL
    assert (run / "state.safetensors").exists() and not (run / "done").exists()
    status, printed = launcher.run([*flags(run, *toy, loop__save_every=1), "--resume"], tmp_path / "log")
    assert status == 0 and re.search(rf"going on after step ({stop}|{stop + 1}) of", printed), printed
    check(run, undisturbed)


def test_ctrl_c_ends_with_130_and_says_how_to_go_on(
    toy: tuple[Path, Path], undisturbed: Path, launcher: Launcher, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    arguments = flags(run, *toy, loop__save_every=2)
    slow = "import time, metafacs.methods.mal as m; step = m.MAL.training_step\n"
    slow += "m.MAL.training_step = lambda self, batch: (time.sleep(0.2), step(self, batch))[1]"
    process = launcher.start(arguments, tmp_path / "log", slow)
    process.wait_for((run / "state.safetensors").exists)
    process.send(signal.SIGINT)
    status, printed = process.wait()
    assert status == 130
    assert "stopped; the same command with --resume goes on" in printed and "Traceback" not in printed
    assert not leftovers(run)
    assert launcher.run([*arguments, "--resume"], tmp_path / "log")[0] == 0
    check(run, undisturbed)


def test_sgd_and_a_one_cycle_schedule_resume_too(toy: tuple[Path, Path], launcher: Launcher, tmp_path: Path) -> None:
    changes = {"optimiser__name": "sgd", "optimiser__schedule": "one-cycle", "mal.meta_optimiser": "sgd"}
    assert launcher.run(flags(tmp_path / "a", *toy, **changes), tmp_path / "log")[0] == 0
    arguments = flags(tmp_path / "b", *toy, **changes)
    killed = launcher.run(arguments, tmp_path / "log", KILL_AT % ("state.safetensors", 2, 2))
    assert killed[0] == -signal.SIGKILL
    assert launcher.run([*arguments, "--resume"], tmp_path / "log")[0] == 0
    assert same_parameters(tmp_path / "a", tmp_path / "b")


def test_resume_starts_a_run_that_is_not_there(toy: tuple[Path, Path], launcher: Launcher, tmp_path: Path) -> None:
    assert launcher.run([*flags(tmp_path / "run", *toy, loop__steps=2), "--resume"], tmp_path / "log")[0] == 0
    assert parameters(tmp_path / "run")


def test_a_moved_run_folder_can_be_resumed(
    toy: tuple[Path, Path], undisturbed: Path, launcher: Launcher, tmp_path: Path
) -> None:
    kill = KILL_AT % ("state.safetensors", 3, 1)
    assert launcher.run(flags(tmp_path / "here", *toy), tmp_path / "log", kill)[0] == -signal.SIGKILL
    shutil.copytree(tmp_path / "here", tmp_path / "there")
    assert launcher.run([*flags(tmp_path / "there", *toy), "--resume"], tmp_path / "log")[0] == 0
    check(tmp_path / "there", undisturbed)


L2T_WW = {"method": "l2t_ww", "network__backbone": "test_resnet", "network__options": "{}"}
CONSTANT = {"optimiser__schedule": "constant", "optimiser__warmup": 0}


def test_a_finished_run_can_be_prolonged(
    toy: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It ends as a run that was that long from the start."""
    long, short = tmp_path / "long", tmp_path / "short"
    assert metafacs(*flags(long, *toy, **CONSTANT)) == 0
    assert metafacs(*flags(short, *toy, **CONSTANT, loop__steps=7)) == 0 and metafacs("evaluate", short) == 0
    assert metafacs(*flags(short, *toy, **CONSTANT, loop__steps=7), "--resume") == 2
    assert "it took 7 steps" in capsys.readouterr().err
    other = {**CONSTANT, "optimiser__learning_rate": 0.01}
    assert metafacs(*flags(short, *toy, **other), "--resume") == 2
    assert "optimiser.learning_rate" in capsys.readouterr().err and (short / "predictions.parquet").exists()
    assert metafacs(*flags(short, *toy, **CONSTANT), "--resume") == 0
    assert same_parameters(long, short) and not (short / "predictions.parquet").exists()
    assert (short / "config.yaml").read_text() == (long / "config.yaml").read_text()
    assert set(logged_steps(short, "train")) >= set(LOGGED["train"])
    for run in (long, short):
        assert metafacs("evaluate", run) == 0
    assert len({len(read_predictions(run)) for run in (long, short)}) == 1


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, "schedule cosine"),
        ({**CONSTANT, "optimiser__warmup": 0.1}, "warmup 0.1"),
        ({**CONSTANT, **L2T_WW}, "l2t_ww plans by its length"),
    ],
)
def test_what_depends_on_its_length_is_not_prolonged(
    changes: dict, reason: str, toy: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    assert metafacs(*flags(run, *toy, loop__steps=2, **changes)) == 0
    before = (run / "detector.safetensors").read_bytes()
    assert metafacs(*flags(run, *toy, loop__steps=4, **changes), "--resume") == 2
    assert reason in capsys.readouterr().err and (run / "done").exists()
    assert (run / "detector.safetensors").read_bytes() == before and not (run / "state.safetensors").exists()
