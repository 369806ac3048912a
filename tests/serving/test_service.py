"""The queue: places, batches, refusals, and what nobody waits for any more."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("httpx")
import httpx

from metafacs.serving.limits import Limits, RefusedError
from metafacs.serving.service import TOGETHER, Service
from metafacs.serving.uploads import PICTURE, VIDEO
from tests.inference.toys import draw, make_video, save_picture, save_toy, walk
from tests.serving.rooms import listening, png, toy_detector

MakeService = Callable[[float, Limits], Service]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_toy(tmp_path_factory.mktemp("toy") / "run")


@pytest.fixture
def make_service(run: Path) -> Iterator[MakeService]:
    made: list[Service] = []

    def make(seconds: float, limits: Limits) -> Service:
        made.append(Service(toy_detector(run, seconds), limits))
        return made[-1]

    yield make
    for one in made:
        one.close()


def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_full_queue_says_so_and_has_room_again(make_service: MakeService) -> None:
    service = make_service(0.0, Limits(places=2))
    jobs = [service.enter(), service.enter()]
    with pytest.raises(RefusedError) as refused:
        service.enter()
    assert refused.value.status == 503 and refused.value.code == "queue_full" and (refused.value.retry_after or 0) >= 1
    jobs[0].stop()
    assert service.under_way() == 1
    service.enter()


def test_pictures_that_wait_together_get_their_own_answers(make_service: MakeService, tmp_path: Path) -> None:
    service = make_service(0.05, Limits(places=20))
    jobs = []
    for k in range(12):
        path = save_picture(tmp_path / f"{k}.png", draw([(40 + 5 * k, 40)]))
        if k == 5:
            path.write_bytes(b"no picture")
        jobs.append(service.enter())
        service.submit(jobs[-1], PICTURE, path, faces=k % 2)
    for k, job in enumerate(jobs):
        table = job.table.result(30)
        if k == 5:
            assert table["success"].tolist() == [0]
        else:
            expected = service.detector.detect(draw([(40 + 5 * k, 40)]))
            assert table["left"].tolist() == expected["left"].tolist()
            assert abs(table["AU12"].iloc[0] - expected["AU12"].iloc[0]) < 1e-6
    until(lambda: service.under_way() == 0)


def test_a_photo_does_not_wait_for_a_video(make_service: MakeService, tmp_path: Path) -> None:
    service = make_service(0.02, Limits())
    film, photo = service.enter(), service.enter()
    service.submit(film, VIDEO, make_video(tmp_path / "v.mp4", walk(150)))
    service.submit(photo, PICTURE, save_picture(tmp_path / "a.png", draw([(60, 40)])))
    photo.table.result(20)
    assert not film.table.done()
    film.stop()
    until(lambda: service.under_way() == 0)
    assert 0 < film.done < 150


def test_work_that_nobody_waits_for_is_not_begun(make_service: MakeService, tmp_path: Path) -> None:
    service = make_service(0.1, Limits())
    jobs = [service.enter() for _ in range(20)]
    for k, job in enumerate(jobs):
        service.submit(job, PICTURE, save_picture(tmp_path / f"{k}.png", draw([(60, 40)])))
    for job in jobs[10:]:
        job.stop()
    for job in jobs[:10]:
        job.table.result(20)
    assert sum(job.begun is not None for job in jobs[10:]) <= TOGETHER
    until(lambda: service.under_way() == 0)


def test_fifty_clients_get_an_answer_or_a_reason(run: Path) -> None:
    photo = png(draw([(60, 40)]))
    with listening(run, Limits(places=10), seconds=0.005) as address:

        def ask(_: int) -> tuple[int, str | None]:
            answer = httpx.post(f"{address}/api/v1/detect", files={"file": photo}, timeout=60, trust_env=False)
            answer.json()
            return answer.status_code, answer.headers.get("retry-after")

        with ThreadPoolExecutor(50) as pool:
            answers = list(pool.map(ask, range(150)))
        health = httpx.get(f"{address}/health", trust_env=False).json()
    assert {status for status, _ in answers} <= {200, 503} and answers.count((200, None)) >= 10
    assert all(wait is not None and int(wait) >= 1 for status, wait in answers if status == 503)
    assert health["under_way"] == 0


def test_a_client_that_leaves_gives_its_place_back(run: Path, tmp_path: Path) -> None:
    film = make_video(tmp_path / "v.mp4", walk(200)).read_bytes()
    with listening(run, Limits(places=1), seconds=0.05) as address:
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{address}/api/v1/detect", files={"file": film}, timeout=1.0, trust_env=False)
        until(lambda: httpx.get(f"{address}/health", trust_env=False).json()["under_way"] == 0)


def test_answers_that_take_too_long(run: Path, tmp_path: Path) -> None:
    film = make_video(tmp_path / "v.mp4", walk(200)).read_bytes()
    with listening(run, Limits(timeout=0.5), seconds=0.05) as address:
        answer = httpx.post(f"{address}/api/v1/detect", files={"file": film}, timeout=30, trust_env=False)
    assert answer.status_code == 503 and answer.json()["error"]["code"] == "timeout"
