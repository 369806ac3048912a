"""The HTTP API: the detector's own numbers, and a reason for whatever gets none."""

import io
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("fastapi")
pytest.importorskip("httpx")
pytest.importorskip("av")
from starlette.testclient import TestClient

from metafacs.serving.limits import Limits
from tests.inference.toys import AUS, draw, make_video, save_toy, walk
from tests.serving.hostile import bad_files, good_files
from tests.serving.rooms import LOCAL, client, png, private_files, private_folders, toy_detector

DETECT = "/api/v1/detect"
SMALL = Limits(most_bytes=300_000, most_pixels=20_000_000, most_seconds=3.0, most_frames=100)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_toy(tmp_path_factory.mktemp("toy") / "run")


@pytest.fixture(scope="module")
def api(run: Path) -> Iterator[TestClient]:
    with client(run, SMALL) as made:
        yield made


def send(api: TestClient, content: bytes, name: str = "a.png", **options: Any) -> Any:
    return api.post(DETECT, files={"file": (name, content)}, **options)


def error_of(answer: Any) -> dict[str, str]:
    assert 400 <= answer.status_code < 500, answer.text
    body = answer.json()
    assert set(body) == {"error"} and set(body["error"]) == {"code", "message"} and body["error"]["message"]
    found: dict[str, str] = body["error"]
    return found


def test_a_picture_gives_the_detectors_own_numbers(run: Path, api: TestClient) -> None:
    picture = draw([(40, 40), (140, 50)])
    body, table = send(api, png(picture)).json(), toy_detector(run).detect(picture)
    assert (body["file"], body["kind"], body["frames"], body["people"]) == ("a.png", "picture", 1, 2)
    assert (body["width"], body["height"]) == (200, 96)
    found = [[row["probabilities"][au] for au in AUS] for row in body["rows"]]
    assert np.allclose(found, table[AUS].to_numpy(np.float64), rtol=0, atol=1e-6)
    assert [row["box"]["left"] for row in body["rows"]] == table["left"].tolist()
    assert [row["present"]["AU12"] for row in body["rows"]] == (table["AU12_present"] == 1).tolist()


def test_a_video_gives_the_detectors_own_numbers(run: Path, api: TestClient, tmp_path: Path) -> None:
    video = make_video(tmp_path / "v.mp4", walk(30, gaps=(4, 5)))
    body, table = send(api, video.read_bytes(), "v.mp4").json(), toy_detector(run).detect_video(video)
    assert (body["kind"], body["frames"], len(body["rows"])) == ("video", 30, len(table))
    found = [row["probabilities"].get("AU04", np.nan) for row in body["rows"]]
    assert np.allclose(found, table["AU04"].to_numpy(np.float64), rtol=0, atol=1e-6, equal_nan=True)
    assert [row["problem"][:29] for row in body["rows"] if not row["success"]] == ["no face found of 10 pixels or"] * 2


def test_a_photograph_of_a_phone_is_a_picture(api: TestClient) -> None:
    """Tiled HEIC, which FFmpeg takes for a video of one tile."""
    pytest.importorskip("pi_heif")
    content = (Path(__file__).parents[1] / "faces" / "grid.heic").read_bytes()
    body = send(api, content, "IMG_0001.HEIC").json()
    assert (body["kind"], body["width"], body["height"]) == ("picture", 512, 1024)
    assert [list(row["box"].values()) for row in body["rows"]] == [pytest.approx([231, 780, 281, 830], abs=1)]
    assert "damaged" in error_of(send(api, content[:600], "IMG_0001.HEIC"))["message"]


@pytest.mark.parametrize("asked", [{"params": {"format": "csv"}}, {"headers": {"accept": "text/csv"}}])
def test_the_table_as_csv(run: Path, api: TestClient, asked: dict[str, Any]) -> None:
    answer = send(api, png(draw([(60, 40)])), "photo.png", **asked)
    assert answer.headers["content-type"].startswith("text/csv") and answer.headers["cache-control"] == "no-store"
    table, expected = pd.read_csv(io.StringIO(answer.text)), toy_detector(run).detect(draw([(60, 40)]))
    assert list(table.columns) == list(expected.columns) and table["input"].tolist() == ["photo.png"]
    assert np.allclose(table[AUS], expected[AUS], rtol=0, atol=1e-6)


def test_only_the_largest_faces(api: TestClient) -> None:
    two = png(draw([(40, 40), (140, 50)]))
    assert len(send(api, two, params={"faces": 1}).json()["rows"]) == 1


@pytest.mark.parametrize("name", sorted(good_files()))
def test_unusual_files_are_answered(api: TestClient, name: str) -> None:
    answer = send(api, good_files()[name], name)
    assert answer.status_code == 200 and answer.json()["file"] == name and answer.json()["rows"]


def test_a_turned_photo_is_read_upright(run: Path, api: TestClient) -> None:
    upright = good_files()["turned.jpg"]
    rows = send(api, upright, "turned.jpg").json()["rows"]
    assert len(rows) == len(toy_detector(run).detect(upright))


def test_hostile_files_are_refused_and_the_server_lives_on(api: TestClient, tmp_path: Path) -> None:
    for name, content in bad_files(tmp_path).items():
        found = error_of(send(api, content, name))
        assert found["code"] in ("unreadable", "too_many_pixels"), (name, found)
        assert str(Path(__file__).parent) not in found["message"] and "metafacs-serve" not in found["message"]
    assert send(api, png(draw([(60, 40)]))).status_code == 200


def test_nothing_of_an_upload_stays(run: Path, tmp_path: Path) -> None:
    before = private_folders()
    with client(run, SMALL) as api:
        contents = [
            *good_files().values(),
            *bad_files(tmp_path).values(),
            make_video(tmp_path / "v.mp4", walk(9)).read_bytes(),
        ]
        for content in contents:
            send(api, content)
        assert len(private_folders() - before) == 1 and private_files(before) == []
        assert api.get("/health").json()["under_way"] == 0
    assert private_folders() == before


def test_files_are_private_while_they_are_worked_on(run: Path) -> None:
    before = private_folders()
    with client(run):
        (folder,) = private_folders() - before
        assert folder.stat().st_mode & 0o077 == 0


def test_too_many_bytes_announced_or_not(api: TestClient) -> None:
    assert error_of(send(api, bytes(500_000)))["code"] == "too_large"

    def pieces() -> Iterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
        for _ in range(60):
            yield bytes(10_000)
        yield b"\r\n--x--\r\n"

    answer = api.post(DETECT, content=pieces(), headers={"content-type": "multipart/form-data; boundary=x"})
    assert answer.status_code == 413 and error_of(answer)["code"] == "too_large"


def test_too_long_videos(api: TestClient, tmp_path: Path) -> None:
    long = make_video(tmp_path / "long.mp4", walk(90))
    found = error_of(send(api, long.read_bytes(), "long.mp4"))
    assert found["code"] == "too_long" and "3 s" in found["message"]
    many = make_video(tmp_path / "many.mp4", walk(110), rate=100)
    assert error_of(send(api, many.read_bytes(), "many.mp4"))["code"] == "too_long"


def test_forms_without_a_file(api: TestClient) -> None:
    begin = time.monotonic()
    assert error_of(api.post(DETECT))["code"] == "no_form"
    assert error_of(api.post(DETECT, json={"file": "/etc/passwd"}))["code"] == "no_form"
    assert error_of(api.post(DETECT, files={"other": b"x"}))["code"] == "no_file"
    text = {"content-type": "multipart/form-data; boundary=x"}
    field = b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\n/etc/passwd\r\n--x--\r\n'
    assert error_of(api.post(DETECT, content=field, headers=text))["code"] == "no_file"
    for content in (
        b"",
        b"--x",
        b"--x\r\n\r\n",
        b"\x00" * 100,
        b"--x\r\nContent-Disposition: form-data\r\n\r\n\r\n--x--",
    ):
        assert error_of(api.post(DETECT, content=content, headers=text))["code"] in ("bad_form", "no_file")
    assert (
        error_of(api.post(DETECT, content=b"x", headers={"content-type": "multipart/form-data"}))["code"] == "bad_form"
    )
    assert time.monotonic() - begin < 5  # what was read whole is not waited for again


@pytest.mark.parametrize("wrong", [{"faces": -1}, {"faces": "x"}, {"every": 0}, {"every": 10**9}, {"format": "xml"}])
def test_wrong_parameters_are_named(api: TestClient, wrong: dict[str, Any]) -> None:
    found = error_of(send(api, png(draw([])), params=wrong))
    assert found["code"] == "bad_parameter" and next(iter(wrong)) in found["message"]


def test_the_model_describes_itself(api: TestClient) -> None:
    body = api.get("/api/v1/model").json()
    assert [unit["au"] for unit in body["aus"]] == AUS and body["aus"][2]["name"] == "Lip corner puller"
    assert body["card"]["method"] == "mal" and body["card"]["test_subjects"] == 2 and body["recipe"]["size"] == 48
    assert body["limits"]["video_seconds"] == 3.0 and "S003" not in api.get("/api/v1/model").text


def test_the_description_and_its_page_need_nothing_from_elsewhere(api: TestClient) -> None:
    described = api.get("/openapi.json").json()
    assert set(described["paths"]) == {DETECT, "/api/v1/model", "/health"}
    form = described["paths"][DETECT]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert form["properties"]["file"]["format"] == "binary"
    page = api.get("/docs").text
    assert DETECT in page and "probabilities" in page and "<script" not in page
    assert page.count("http") == page.count(LOCAL)


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/nothing", 404), ("GET", DETECT, 405), ("PUT", "/health", 405)]
)
def test_addresses_that_are_not_there(api: TestClient, method: str, path: str, status: int) -> None:
    answer = api.request(method, path)
    assert answer.status_code == status and error_of(answer)
