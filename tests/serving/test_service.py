"""The queue: places, refusals, several clients, and what nobody waits for any more."""

import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("httpx")
pytest.importorskip("av")
import httpx

from metafacs.serving.limits import Limits
from tests.inference.toys import draw, make_video, save_toy, walk
from tests.serving.rooms import listening, png, private_files, private_folders, toy_detector

API, PAGE = "/api/v1/detect", "/page/detect"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_toy(tmp_path_factory.mktemp("toy") / "run")


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return make_video(tmp_path_factory.mktemp("film") / "v.mp4", walk(200)).read_bytes()


def send(address: str, content: bytes, path: str = API, timeout: float = 60, **options: Any) -> httpx.Response:
    return httpx.post(address + path, files={"file": content}, timeout=timeout, trust_env=False, **options)


def under_way(address: str) -> int:
    return int(httpx.get(f"{address}/health", trust_env=False).json()["under_way"])


def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_several_clients_get_their_own_answers(run: Path) -> None:
    pictures = [draw([(40 + 5 * k, 40)]) for k in range(12)]
    contents = [b"not a picture" if k == 5 else png(picture) for k, picture in enumerate(pictures)]
    with listening(run, seconds=0.02) as address, ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda content: send(address, content), contents))
        assert under_way(address) == 0
    assert [answer.status_code for answer in answers] == [422 if k == 5 else 200 for k in range(12)]
    expected = toy_detector(run).detect(pictures)
    for k in set(range(12)) - {5}:
        (row,) = answers[k].json()["rows"]
        assert row["box"]["left"] == expected["left"][k]
        assert abs(row["probabilities"]["AU12"] - expected["AU12"][k]) < 1e-6


def test_fifty_clients_get_an_answer_or_are_told_when_to_come_again(run: Path) -> None:
    photo = png(draw([(60, 40)]))
    with listening(run, Limits(places=10), seconds=0.005) as address, ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda _: send(address, photo), range(80)))
        assert under_way(address) == 0 and send(address, photo).status_code == 200
    statuses = [answer.status_code for answer in answers]
    assert set(statuses) == {200, 503} and statuses.count(200) >= 10
    full = [answer for answer in answers if answer.status_code == 503]
    assert {answer.json()["error"]["code"] for answer in full} == {"queue_full"}
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in full)


def test_a_photo_does_not_wait_for_a_video(run: Path, film: bytes) -> None:
    with listening(run, seconds=0.01) as address, ThreadPoolExecutor(1) as pool:
        answer = pool.submit(send, address, film)
        until(lambda: under_way(address) == 1)
        assert send(address, png(draw([(60, 40)]))).status_code == 200
        assert not answer.done()
        assert len(answer.result().json()["rows"]) == 400


@pytest.mark.parametrize("path", [API, PAGE])
def test_a_client_that_leaves_gives_its_place_back(run: Path, film: bytes, path: str) -> None:
    before = private_folders()
    with listening(run, Limits(places=1), seconds=0.5) as address:  # 100 seconds of work
        file = {"file": film}
        with (
            suppress(httpx.ReadTimeout),
            httpx.stream("POST", address + path, files=file, timeout=1, trust_env=False) as r,
        ):
            next(r.iter_lines())  # the page gets lines, and leaves after the first
        until(lambda: under_way(address) == 0)
        assert private_files(before) == []


def test_an_upload_that_is_broken_off_gives_its_place_back(run: Path) -> None:
    before = private_folders()
    with listening(run, Limits(places=1)) as address:
        parts = urlsplit(address)
        with socket.create_connection((str(parts.hostname), int(parts.port or 0))) as connection:
            head = f"POST {API} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: multipart/form-data; boundary=x\r\n"
            connection.sendall(f"{head}Content-Length: 1000000\r\n\r\n--x\r\n".encode())
            until(lambda: under_way(address) == 1)
            assert send(address, b"x").status_code == 503
        until(lambda: under_way(address) == 0)
        assert private_files(before) == []


def test_answers_and_uploads_that_take_too_long(run: Path, film: bytes) -> None:
    with listening(run, Limits(timeout=0.5, upload_timeout=0.5), seconds=0.05) as address:
        answer = send(address, film)
        assert answer.status_code == 503 and answer.json()["error"]["code"] == "timeout"
        assert '"timeout"' in send(address, film, PAGE).text.splitlines()[-1]

        def slow() -> Any:
            yield b"--x\r\n"
            time.sleep(1)
            yield b"--x--\r\n"

        form = {"content-type": "multipart/form-data; boundary=x"}
        answer = httpx.post(address + API, content=slow(), headers=form, trust_env=False)
        assert answer.status_code == 408 and answer.json()["error"]["code"] == "slow_upload"
