"""The door: who may come in, from where, and to what."""

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("httpx")
from starlette.testclient import TestClient

from tests.inference.toys import draw, save_toy
from tests.serving.rooms import basic, client, png

PASSWORD = "open sesame, ünï"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_toy(tmp_path_factory.mktemp("toy") / "run")


@pytest.fixture(scope="module")
def free(run: Path) -> Iterator[TestClient]:
    with client(run, hosts=["faces.example"]) as asking:
        yield asking


@pytest.fixture(scope="module")
def closed(run: Path) -> Iterator[TestClient]:
    with client(run, password=PASSWORD) as asking:
        yield asking


def test_a_name_that_points_here_is_not_enough(free: TestClient) -> None:
    for host in ("127.0.0.1:7860", "localhost", "LOCALHOST:1", "[::1]:7860", "192.168.1.7", "faces.example"):
        assert free.get("/health", headers={"host": host}).status_code == 200, host
    for host in ("evil.example", "127.0.0.1.evil.example", "localhost.evil.example:7860", "", "::", "x y", "[x"):
        answer = free.get("/api/v1/model", headers={"host": host})
        assert answer.status_code == 403 and answer.json()["error"]["code"] == "wrong_host", host


def test_pages_elsewhere_cannot_use_it_but_its_own_page_and_programs_can(free: TestClient) -> None:
    photo = {"file": png(draw([(60, 40)]))}
    for path in ("/api/v1/detect", "/page/detect"):
        for origin in ("http://evil.example", "null", "http://127.0.0.1:9999", "http://127.0.0.1", "x"):
            answer = free.post(path, files=photo, headers={"origin": origin})
            assert answer.status_code == 403 and answer.json()["error"]["code"] == "wrong_origin", origin
        assert free.post(path, files=photo).status_code == 200
        assert free.post(path, files=photo, headers={"origin": "http://127.0.0.1:7860"}).status_code == 200
        proxied = {"origin": "https://faces.example", "host": "faces.example"}
        assert free.post(path, files=photo, headers=proxied).status_code == 200


def test_no_answer_may_be_read_framed_or_guessed_at_elsewhere(free: TestClient) -> None:
    for path in ("/health", "/docs", "/nothing", "/static/page.css"):
        headers = free.get(path).headers
        assert not [name for name in headers if name.startswith("access-control")]
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy and "http" not in policy
        assert headers["x-content-type-options"] == "nosniff" and headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", ["/static/../app.py", "/static/..%2fapp.py", "/static//etc/passwd", "//etc/passwd"])
def test_no_file_of_the_machine_is_reachable(free: TestClient, path: str) -> None:
    answer = free.get(path)
    assert answer.status_code == 404 and "root:" not in answer.text and "import" not in answer.text


ADDRESSES = [
    *(("GET", path) for path in ("/", "/docs", "/openapi.json", "/health", "/api/v1/model", "/static/page.js")),
    *(("POST", "/api/v1/detect"), ("POST", "/page/detect"), ("OPTIONS", "/health"), ("HEAD", "/"), ("MADEUP", "/")),
    *(("GET", "/nothing"), ("GET", "//etc/passwd"), ("GET", "/static/../app.py")),
]
WRONG = [{}, basic("wrong"), basic(""), basic(PASSWORD[:-1]), {"authorization": f"Bearer {PASSWORD.encode()!r}"}]
WRONG += [{"authorization": value} for value in ("Basic", "Basic %%%", "Basic \xff", "basic eDo=")]


@pytest.mark.parametrize("headers", WRONG)
def test_without_the_password_nothing_is_reached(closed: TestClient, headers: dict[str, str]) -> None:
    for method, path in ADDRESSES:
        answer = closed.request(method, path, headers={k: v.encode("latin-1") for k, v in headers.items()})
        assert answer.status_code == 401 and answer.headers["www-authenticate"].startswith("Basic "), (method, path)
        assert "AU01" not in answer.text and "toy" not in answer.text


def test_the_password_opens_everything(closed: TestClient) -> None:
    for headers in (basic(PASSWORD), basic(PASSWORD, "anybody")):
        for path in ("/", "/docs", "/openapi.json", "/health", "/api/v1/model", "/static/page.js"):
            assert closed.get(path, headers=headers).status_code == 200
        photo = {"file": png(draw([]))}
        assert closed.post("/api/v1/detect", files=photo, headers=headers).status_code == 200
        assert closed.get("/nothing", headers=headers).status_code == 404
