"""Whatever is wrong: one plain message, exit status 2, nothing lost and nothing half-written."""

import json
import os
import re
import resource
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from metafacs.data.prepared import PreparedDataset
from metafacs.runs import CONFIG, METRICS, STATE
from tests.builders import make_prepared
from tests.launcher import Launcher
from tests.toy_runs import flags, leftovers, metafacs, rewrite, same_parameters

Refused = Callable[..., str]
Toy = tuple[Path, Path]
PAUSE = """
import os, signal, metafacs.training.loop as loop
train = loop.train
def pausing(*given, hooks):
    original = hooks.save
    def save(step):
        original(step)
        if step == 4:
            os.kill(os.getpid(), signal.SIG%s)
    hooks.save = save
    train(*given, hooks=hooks)
loop.train = pausing
"""
"""Sends itself a signal when step 4 is saved."""


@pytest.fixture(scope="module")
def toy(au_dataset: PreparedDataset, fe_dataset: PreparedDataset) -> Toy:
    return au_dataset.folder, fe_dataset.folder


@pytest.fixture
def refused(tmp_path: Path, capfd: pytest.CaptureFixture[str], toy: Toy) -> Refused:
    """Runs `metafacs train` with changed flags, which must be refused, and returns the message."""

    def refuse(*extra: str, out: Path | None = None, kept: bool = False, **changes: object) -> str:
        run = out or tmp_path / "run"
        pair = [changes.pop(name, path) for name, path in zip(("primary", "auxiliary"), toy, strict=True)]
        before = contents(tmp_path)
        capfd.readouterr()
        assert metafacs(*flags(run, *pair, **changes), *extra) == 2
        printed = capfd.readouterr().err
        assert "Traceback" not in printed
        assert not leftovers(tmp_path)
        if not kept:
            assert contents(tmp_path) == before, "a refused run leaves everything as it was"
        return printed

    return refuse


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def undisturbed(toy: Toy, launcher: Launcher, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed")
    assert launcher.run(flags(folder / "run", *toy), folder / "log")[0] == 0
    return folder / "run"


@pytest.fixture(scope="module")
def unfinished(toy: Toy, launcher: Launcher, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was killed after step 4."""
    folder = tmp_path_factory.mktemp("unfinished")
    assert launcher.run(flags(folder / "run", *toy), folder / "log", PAUSE % "KILL")[0] == -signal.SIGKILL
    return folder / "run"


@pytest.fixture
def killed(unfinished: Path, tmp_path: Path) -> Path:
    """A copy of it, to be spoilt."""
    return shutil.copytree(unfinished, tmp_path / "run")


# Datasets


def test_a_dataset_that_is_not_there(refused: Refused, tmp_path: Path) -> None:
    for which in ("primary", "auxiliary"):
        printed = refused(**{which: tmp_path / "nowhere"})
        assert f"there is no folder {tmp_path / 'nowhere'}; give the folder of a prepared dataset" in printed


def test_an_empty_folder(refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "is not a prepared dataset: it has no dataset.json" in refused(primary=tmp_path / "empty")


def test_a_half_written_dataset(refused: Refused, toy: Toy, tmp_path: Path) -> None:
    (tmp_path / "half").mkdir()
    shutil.copy(toy[0] / "faces.arrow", tmp_path / "half")
    printed = refused(primary=tmp_path / "half")
    assert "is half-written" in printed and "run the command that was preparing it again" in printed


def test_a_truncated_dataset(refused: Refused, toy: Toy, tmp_path: Path) -> None:
    copy = shutil.copytree(toy[1], tmp_path / "cut")
    os.truncate(copy / "faces.arrow", 5000)
    printed = refused(auxiliary=copy)
    assert "faces.arrow has 5000 bytes" in printed and "truncated" in printed


def test_no_au_in_common(refused: Refused, toy: Toy) -> None:
    printed = refused(data__aus="9,10")
    assert f"{toy[0]} has none of the AUs asked for (AU09, AU10); it has AU01, AU02" in printed


def test_a_dataset_without_au_columns(refused: Refused, tmp_path: Path) -> None:
    bare = make_prepared(tmp_path / "bare", aus=(), subjects=3, frames=2)
    assert "has no AU columns" in refused(primary=bare.folder)


def test_no_au_label_at_all(refused: Refused, tmp_path: Path) -> None:
    bare = make_prepared(tmp_path / "bare", subjects=3, frames=2, unlabelled=1.0)
    assert "0 labelled images to train on" in refused(primary=bare.folder)


def test_too_few_images(refused: Refused, tmp_path: Path) -> None:
    few = make_prepared(tmp_path / "few", subjects=3, frames=1)
    printed = refused(primary=few.folder)
    assert "2 labelled images outside test fold 'P1'" in printed and "two of each are needed" in printed


def test_no_expressions(refused: Refused, toy: Toy) -> None:
    assert "no row with an expression" in refused(auxiliary=toy[0])


def test_no_auxiliary_dataset_given(refused: Refused) -> None:
    assert "--data.auxiliary DIR" in refused(auxiliary=None)


@pytest.mark.parametrize("loading", [{}, {"data__cache_gib": 0, "data__workers": 2}, {"data__cache_gib": 0}], ids=str)
def test_an_unreadable_image(
    loading: dict[str, object], refused: Refused, au_dataset: PreparedDataset, tmp_path: Path
) -> None:
    def change(number: int, row: dict[str, object]) -> None:
        if row["fold"] == "P2":
            row["image"] = b"no image"

    spoilt = rewrite(au_dataset, tmp_path / "spoilt", change)
    row = rf"row \d+ of {spoilt.folder} has an unreadable image: no known format"
    printed = refused(primary=spoilt.folder, kept=True, **loading)
    assert re.search(row, printed), printed


# Flags


@pytest.mark.parametrize(
    "changes, expected",
    [
        ({"method": "maml"}, "unknown method 'maml'; known: "),
        ({"network__backbone": "resnet35"}, "backbone 'resnet35': timm has no such model; near it: resnet50, resnet34"),
        ({"network__options": "{wings: 2}"}, "does not take these options {'wings': 2}"),
        ({"network__backbone": "vit_tiny_patch16_224", "network__options": "{}"}, "not take images of 32 x 32 pix"),
        ({"network__weights": "weights.safetensors"}, "weights file weights.safetensors does not exist"),
        ({"data__aus": "3000"}, "3000"),
        ({"data__aus": "affwild9"}, "affwild9"),
        ({"data__test_fold": "P9"}, "no fold 'P9'; it has P1, P2, P3: choose one"),
        ({"data__side": 64}, "the crop (--data.side 64) must be at least 16 and at most --data.resize 36"),
        ({"data__side": 8}, "at least 16"),
        ({"data__batch_meta": 1}, "--data.batch_meta is 1; it must be at least 2"),
        ({"data__batch_primary": 0}, "data.batch_primary"),
        ({"data__batch_primary": "many"}, "data.batch_primary"),
        ({"data__reserve_fraction": 0}, "the reserved fraction is 0.0; it must lie in (0, 0.5]"),
        ({"data__reserve_fraction": "nan"}, "data.reserve_fraction"),
        ({"data__workers": -1}, "data.workers"),
        ({"data__wrokers": 1}, "data.wrokers"),
        ({"loop__steps": 0}, "loop.steps"),
        ({"loop__steps": -5}, "loop.steps"),
        ({"loop__epochs": 0}, "loop.epochs"),
        ({"loop__log_every": 0}, "loop.log_every"),
        ({"loop__save_every": -1}, "loop.save_every"),
        ({"loop__threads": -1}, "loop.threads"),
        ({"loop__precision": "fp7"}, "loop.precision"),
        ({"loop__device": "tpu"}, "loop.device"),
        ({"optimiser__name": "lion"}, "optimiser.name"),
        ({"optimiser__learning_rate": 0}, "optimiser.learning_rate"),
        ({"optimiser__learning_rate": "nan"}, "optimiser.learning_rate"),
        ({"optimiser__weight_decay": -1}, "optimiser.weight_decay"),
        ({"optimiser__warmup": 2}, "optimiser.warmup"),
        ({"optimiser__schedule": "linear"}, "optimiser.schedule"),
        ({"seed": -1}, "seed"),
        ({"mal.alpha": 0}, "alpha must be positive"),
        ({"mal.beta": -1}, "beta not negative"),
        ({"mal.way": "sideways"}, "mal.way"),
        ({"method": "mtl", "mtl.auxiliary_weight": 2}, "auxiliary_weight is 2.0; it must lie in [0, 1]"),
        ({"config": "nowhere.yaml"}, "nowhere.yaml"),
    ],
    ids=lambda value: ",".join(f"{k}={v}" for k, v in value.items()) if isinstance(value, dict) else "",
)
def test_a_wrong_flag(changes: dict[str, object], expected: str, refused: Refused) -> None:
    assert expected in refused(**changes)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_no_gpu(refused: Refused) -> None:
    assert "torch sees no GPU; use auto or cpu" in refused(loop__device="cuda")


def test_a_wrong_configuration_file(refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("loop: {stepz: 3}\n")
    assert "stepz" in refused(config=tmp_path / "c.yaml")
    (tmp_path / "c.yaml").write_text("loop: {steps: [\n")
    assert "c.yaml is not valid YAML" in refused(config=tmp_path / "c.yaml")


def test_flags_are_needed(capsys: pytest.CaptureFixture[str]) -> None:
    assert metafacs("train") == 2
    assert "out" in capsys.readouterr().err


# Run folders


def test_a_run_folder_that_is_a_file(refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    assert "file is not a folder; choose another --out" in refused(out=tmp_path / "file")
    assert "a part of the path is a file" in refused(out=tmp_path / "file" / "run")


def test_a_folder_that_holds_something_else(refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.txt").write_text("mine")
    assert "is not empty and holds no run; choose another --out" in refused()


def test_a_run_that_is_done(refused: Refused, undisturbed: Path, tmp_path: Path) -> None:
    shutil.copytree(undisturbed, tmp_path / "run")
    for resume in ([], ["--resume"]):
        assert "is done; choose another --out, or remove the folder to run it again" in refused(*resume)


def test_an_unfinished_run_without_resume(refused: Refused, killed: Path) -> None:
    assert "holds an unfinished run; add --resume to go on with it" in refused()


def test_resume_with_other_settings(refused: Refused, killed: Path, tmp_path: Path) -> None:
    printed = refused("--resume", seed=3, data__batch_meta=6, mal__alpha=0.2)
    assert "other settings (data.batch_meta: 4 there, 6 now; seed: 0 there, 3 now; mal.alpha: rate there" in printed
    printed = refused("--resume", method="mtl")
    assert "method: mal there, mtl now" in printed
    assert "network.options.drop_rate: 0.2 there, None now" in refused("--resume", network__options="{}")


def test_refusals_come_before_anything_is_read(refused: Refused, killed: Path, tmp_path: Path) -> None:
    assert "unfinished" in refused(primary=tmp_path / "nowhere")


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.999])
def test_a_truncated_state(share: float, refused: Refused, killed: Path) -> None:
    os.truncate(killed / STATE, int(share * (killed / STATE).stat().st_size))
    printed = refused("--resume", kept=True)
    assert f"{killed / STATE} is damaged" in printed and "copy it again, or remove it" in printed


def test_a_damaged_state_can_be_given_up(killed: Path, undisturbed: Path, toy: Toy) -> None:
    (killed / STATE).unlink()
    assert metafacs(*flags(killed, *toy), "--resume") == 0
    assert same_parameters(killed, undisturbed)


def test_a_state_of_something_else(refused: Refused, killed: Path, undisturbed: Path, tmp_path: Path) -> None:
    shutil.copy(undisturbed / "detector.safetensors", killed / STATE)
    assert "belongs to another method" in refused("--resume", kept=True)
    save_file({"a": torch.zeros(2)}, killed / STATE)
    assert "was not written by metafacs" in refused("--resume", kept=True)
    (killed / STATE).write_bytes(b"\x80\x02pickled")
    assert "is damaged or not a safetensors file" in refused("--resume", kept=True)


def test_a_damaged_configuration(refused: Refused, killed: Path) -> None:
    for text, expected in (
        ("", "is not a configuration"),
        ("a: [", "config.yaml is not valid YAML"),
        ("- 1\n", "expected"),
    ):
        (killed / CONFIG).write_text(text)
        assert expected in refused("--resume")


def test_a_damaged_log(refused: Refused, killed: Path) -> None:
    path = killed / METRICS
    path.write_text('{"step": 1, "event"\n' + path.read_text())
    assert 'has a damaged line (\'{"step": 1, "event"\'); remove that line and go on' in refused("--resume", kept=True)


def test_a_log_that_ends_within_a_line(killed: Path, undisturbed: Path, toy: Toy) -> None:
    with (killed / METRICS).open("a") as log:
        log.write('{"event": "train", "st')
    assert metafacs(*flags(killed, *toy), "--resume") == 0
    assert same_parameters(killed, undisturbed)
    assert [json.loads(line)["step"] for line in (killed / METRICS).read_text().splitlines()] == [
        3,
        5,
        6,
        9,
        10,
        12,
        12,
    ]


def test_a_second_process(refused: Refused, toy: Toy, undisturbed: Path, launcher: Launcher, tmp_path: Path) -> None:
    run = tmp_path / "run"
    first = launcher.start(flags(run, *toy), tmp_path / "log", PAUSE % "STOP")
    first.wait_for(lambda: (run / STATE).exists() and "T" in Path(f"/proc/{first.pid}/stat").read_text().split()[2])
    for resume in ([], ["--resume"]):
        assert "another process is training in" in refused(*resume)
    first.send(signal.SIGCONT)
    assert first.wait()[0] == 0
    assert same_parameters(run, undisturbed)


# Divergence


@pytest.mark.parametrize("rate", [1e4, 1e12, 1e30])
@pytest.mark.parametrize("method", ["stl", "mal"])
def test_an_absurd_learning_rate(rate: float, method: str, refused: Refused, tmp_path: Path) -> None:
    changes = {"optimiser__name": "sgd", "loop__save_every": 1, "loop__steps": 30}
    printed = refused(kept=True, method=method, optimiser__learning_rate=rate, **changes)
    assert "training diverged before step" in printed and "lower the learning rate" in printed
    assert not (tmp_path / "run" / "done").exists()
    state = tmp_path / "run" / STATE
    if state.exists():
        assert all(tensor.isfinite().all() for name, tensor in load_file(state).items())


def test_a_loss_that_is_no_number_leaves_the_earlier_state(
    refused: Refused, toy: Toy, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from metafacs.methods.mal import MAL

    step, taken = MAL.training_step, []

    def spoilt(self: MAL, batch: object) -> dict[str, torch.Tensor]:
        taken.append(1)
        values = step(self, batch)  # type: ignore[arg-type]
        if len(taken) == 6:
            with torch.no_grad():
                self.network.au_head.bias.fill_(float("nan"))
        return values

    with monkeypatch.context() as patched:
        patched.setattr(MAL, "training_step", spoilt)
        printed = refused(kept=True)
    assert "training diverged before step 8: a parameter is not a finite number" in printed
    assert "--optimiser.learning_rate" in printed
    assert metafacs(*flags(tmp_path / "run", *toy), "--resume") == 0
    assert same_parameters(tmp_path / "run", undisturbed)


# Disks


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mounts a disk in memory with the given options (again and again); skips where that is not allowed."""
    folder, mounted = tmp_path / "disk", []
    folder.mkdir()

    def mount(options: str) -> Path:
        command = ["mount", "-t", "tmpfs", "-o", ("remount," if mounted else "") + options, "tmpfs", str(folder)]
        try:
            subprocess.run(command, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            pytest.skip("disks cannot be mounted here")
        mounted.append(1)
        return folder

    yield mount
    if mounted:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("size", [0, 4, 8, 12, 16, 40, 600, 1300, 1800])
def test_a_full_disk(
    size: int, disk: Callable[[str], Path], toy: Toy, undisturbed: Path, launcher: Launcher, tmp_path: Path
) -> None:
    run = disk("size=100m") / "run"
    filler = run.parent / "filler"
    filler.write_bytes(bytes((2000 - size) * 1024))
    disk("size=2000k")
    status, printed = launcher.run(flags(run, *toy), tmp_path / "log")
    assert status == 2, printed
    assert "the disk is full" in printed and "Traceback" not in printed and str(run) in printed
    assert not leftovers(run.parent)
    filler.unlink()
    disk("size=100m")
    status, printed = launcher.run([*flags(run, *toy), "--resume"], tmp_path / "log")
    assert status == 0, printed
    assert same_parameters(run, undisturbed)


def test_a_limit_on_the_size_of_files(toy: Toy, undisturbed: Path, launcher: Launcher, tmp_path: Path) -> None:
    run = tmp_path / "run"
    limit = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, {resource.RLIM_INFINITY}))"
    status, printed = launcher.run(flags(run, *toy), tmp_path / "log", limit)
    assert status == 2, printed
    assert "a file grew larger than is allowed here" in printed and str(run / STATE) in printed
    assert "Traceback" not in printed and not leftovers(run)
    assert launcher.run([*flags(run, *toy), "--resume"], tmp_path / "log")[0] == 0
    assert same_parameters(run, undisturbed)


def test_a_read_only_disk(disk: Callable[[str], Path], refused: Refused, killed: Path, tmp_path: Path) -> None:
    shutil.copytree(killed, disk("size=20m") / "killed")
    folder = disk("ro")
    assert f"the disk is read-only ({folder / 'run'})" in refused(out=folder / "run")
    assert "the disk is read-only" in refused("--resume", out=folder / "killed")


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_forbidden_folder(refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o555)
    assert "permission denied" in refused(out=tmp_path / "closed" / "run")
