"""`metafacs serve`: what it refuses to start with, and that it serves until it is stopped."""

import re
import signal
from pathlib import Path

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("httpx")
pytest.importorskip("dlib")
import httpx

from metafacs.inference import AUDetector
from metafacs.serving.app import open_port
from tests.inference.toys import AUS, draw, save_picture, save_toy
from tests.launcher import Launcher
from tests.serving.rooms import private_files, private_folders
from tests.toy_runs import metafacs

SETUP = """
import metafacs.inference.detector as detector
from tests.inference.toys import DotFinder
detector.make_finder = lambda settings: DotFinder()
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_toy(tmp_path_factory.mktemp("toy") / "run")


def refused(run: Path, capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert metafacs("serve", "--model", run, "--port", 0, *arguments) == 2
    said = capsys.readouterr().err
    assert "Traceback" not in said
    return " ".join(said.split())


def test_other_computers_need_a_password_or_leave(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for host in ("0.0.0.0", "::", "192.168.1.7", "faces.example"):
        said = refused(run, capsys, "--host", host)
        assert "there is no password" in said and "--open" in said


def test_passwords_that_are_none(run: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert "there is no file" in refused(run, capsys, "--password_file", tmp_path / "nothing")
    (tmp_path / "empty").write_text("\n")
    assert "empty" in refused(run, capsys, "--password_file", tmp_path / "empty")
    assert "empty" in refused(run, capsys, "--password", "")
    assert "one of them" in refused(run, capsys, "--password", "x", "--password_file", tmp_path / "empty")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\xff")
    assert "UTF-8" in refused(run, capsys, "--password_file", tmp_path / "bytes")


def test_ports_and_models_that_cannot_be_used(run: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with open_port("127.0.0.1", 0) as taken:
        taken.listen()
        assert "another --port" in refused(run, capsys, "--port", taken.getsockname()[1])
    assert "another --port" in refused(run, capsys, "--port", 70_000)
    assert "detector" in refused(tmp_path, capsys)


@pytest.mark.parametrize("how", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_it_serves_until_it_is_stopped(run: Path, launcher: Launcher, tmp_path: Path, how: signal.Signals) -> None:
    log, password, before = tmp_path / "log", tmp_path / "password", private_folders()
    password.write_text("open sesame\n")
    arguments = ["serve", "--model", run, "--port", 0, "--password_file", password, "--device", "cpu"]
    process = launcher.start(arguments, log, SETUP)
    process.wait_for(lambda: log.exists() and "serving at" in log.read_text(), 180)
    (address,) = re.findall(r"http://127\.0\.0\.1:\d+", log.read_text())
    photo = save_picture(tmp_path / "photo.png", draw([(60, 40)]))
    with httpx.Client(base_url=address, trust_env=False, timeout=60) as client:
        assert client.get("/health").status_code == 401
        sent = {"file": photo.read_bytes()}
        answer = client.post("/api/v1/detect", files=sent, auth=("", "open sesame")).json()
    assert [row["success"] for row in answer["rows"]] == [True]
    assert set(answer["rows"][0]["probabilities"]) == set(AUDetector.from_run(run).aus) == set(AUS)
    assert private_files(before) == []
    process.send(how)
    status, said = process.wait()
    assert status == 0 and "Traceback" not in said and "open sesame" not in said
    assert private_folders() == before


def test_without_a_model_the_starter_is_announced_and_the_password_asked_for(
    launcher: Launcher, tmp_path: Path
) -> None:
    log, password = tmp_path / "log", tmp_path / "password"
    password.write_text("open sesame\n")
    process = launcher.start(["serve", "--port", 0, "--password_file", password, "--device", "cpu"], log)
    process.wait_for(lambda: log.exists() and "serving at" in log.read_text(), 180)
    (address,) = re.findall(r"http://127\.0\.0\.1:\d+", log.read_text())
    with httpx.Client(base_url=address, trust_env=False, timeout=60) as client:
        closed = client.get("/api/v1/model")
        model = client.get("/api/v1/model", auth=("", "open sesame")).json()
    assert closed.status_code == 401 and "AU01" not in closed.text
    assert model["name"] == "the starter detector" and "not for measuring people" in model["note"]
    process.send(signal.SIGINT)
    status, said = process.wait()
    assert status == 0 and "no --model given" in said and "not for measuring people" in said
