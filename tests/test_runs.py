import json
import subprocess
import sys
from pathlib import Path

import pytest

from metafacs.errors import InputError
from metafacs.runs import RunFolder, check_run, environment, read_config

CONFIG = {"method": "mal", "data": {"side": 32, "aus": "all"}, "rate": 1e-5, "options": {}, "none": None}


def steps(run: Path) -> list[int]:
    return [json.loads(line)["step"] for line in (run / "metrics.jsonl").read_text().splitlines()]


def test_a_run_from_start_to_end(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run", CONFIG)
    assert read_config(folder.path) == CONFIG
    assert json.loads((folder.path / "environment.json").read_text()) == environment()
    folder.start_metrics(0)
    folder.log("train", 2, {"loss": 0.5, "odd": float("nan"), "far": float("inf")})
    line = (folder.path / "metrics.jsonl").read_text()
    assert json.loads(line) == {"event": "train", "step": 2, "loss": 0.5, "odd": None, "far": None}
    folder.state.touch()
    folder.finish({"steps": 2})
    assert json.loads((folder.path / "done").read_text())["steps"] == 2
    assert not folder.state.exists()
    with pytest.raises(InputError, match="is done"):
        RunFolder(folder.path, CONFIG, resume=True)


def test_a_resumed_run_drops_lines_after_its_state(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path, CONFIG)
    folder.start_metrics(0)
    for step in range(1, 8):
        folder.log("train", step, {})
    folder.close()
    with (tmp_path / "metrics.jsonl").open("a") as log:
        log.write('{"event": "tr')
    resumed = RunFolder(tmp_path, CONFIG, resume=True)
    resumed.start_metrics(4)
    resumed.log("train", 5, {})
    resumed.close()
    assert steps(tmp_path) == [1, 2, 3, 4, 5]


def test_checking_writes_nothing(tmp_path: Path) -> None:
    check_run(tmp_path / "run", CONFIG)
    assert not (tmp_path / "run").exists()


def test_the_lock_is_held_against_other_processes_until_closed(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path, CONFIG)
    code = "import sys, pathlib; from metafacs.runs import check_run; "
    code += f"check_run(pathlib.Path(sys.argv[1]), {CONFIG!r}, True)"
    command = [sys.executable, "-c", code, str(tmp_path)]
    second = subprocess.run(command, capture_output=True, text=True)
    assert "another process is training in" in second.stderr
    folder.close()
    assert subprocess.run(command, capture_output=True).returncode == 0


def test_a_folder_left_before_anything_was_written_is_free(tmp_path: Path) -> None:
    (tmp_path / ".lock").touch()
    (tmp_path / ".config.yaml.17.partial.yaml").touch()
    RunFolder(tmp_path, CONFIG).close()


def test_settings_differ(tmp_path: Path) -> None:
    RunFolder(tmp_path, CONFIG).close()
    changed = {**CONFIG, "data": {"side": 64, "aus": "all"}, "new": 1}
    with pytest.raises(InputError, match=r"\(data.side: 32 there, 64 now; new: None there, 1 now\)"):
        RunFolder(tmp_path, changed, resume=True)


def test_a_run_of_before_a_setting_was_known_goes_on_with_its_default(tmp_path: Path) -> None:
    RunFolder(tmp_path, CONFIG).close()
    defaults = {"data": {"later": 3}}
    RunFolder(tmp_path, {**CONFIG, "data": {**CONFIG["data"], "later": 3}}, True, defaults=defaults).close()
    with pytest.raises(InputError, match="later: 3 there, 4 now"):
        RunFolder(tmp_path, {**CONFIG, "data": {**CONFIG["data"], "later": 4}}, True, defaults=defaults)


def test_what_is_no_run_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"is not a run folder: it has no config\.yaml"):
        read_config(tmp_path)


def test_the_environment_names_no_machine() -> None:
    found = json.dumps(environment())
    assert "torch" in found and str(Path.home()) not in found
