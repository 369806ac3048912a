"""The door: who may come in, from where, and to what."""

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("httpx")
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from metafacs.serving.password import COOKIE, TRIES
from tests.inference.toys import draw, save_toy
from tests.serving.rooms import client, png

PASSWORD, PLAIN = "open sesame, ünï", "open sesame"
OURS = [
    *(
        ("GET", path)
        for path in ("/", "/health", "/api/v1/model", "/openapi.json", "/docs", "/page/page.js", "/logout")
    ),
    *(("POST", path) for path in ("/api/v1/detect", "/page/detect")),
    *(("OPTIONS", path) for path in ("/api/v1/detect", "/health")),
]
GRADIO = [
    *(("GET", path) for path in ("/config", "/theme.css", "/assets/index.js", "/manifest.json", "/favicon.ico")),
    *(("GET", f"/gradio_api/{path}") for path in ("info", "queue/data?session_hash=x", "heartbeat/x", "app_id")),
    *(("GET", f"/gradio_api/file={path}") for path in ("/etc/passwd", "../../../etc/passwd", "etc/passwd")),
    *(("POST", f"/gradio_api/{path}") for path in ("upload", "queue/join", "run/predict", "call/predict", "cancel")),
    ("GET", "/gradio_api/proxy=http://127.0.0.1:9/"),
    ("GET", "/monitoring"),
]
"""What a gradio server has beside the page."""
TRAVERSALS = [
    "/assets/../../../../etc/passwd",
    "/assets/..%2f..%2f..%2f..%2fetc%2fpasswd",
    "/assets/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
    "/static/..%5c..%5cetc%5cpasswd",
    "/static//etc/passwd",
    "/file=/etc/passwd",
    "/file/etc/passwd",
    "/gradio_api/file=/etc/passwd",
    "/gradio_api/file=..%2f..%2fetc%2fpasswd",
    "/gradio_api/file/etc/passwd",
    "/page/..%2fapp.py",
    "/page/app.py",
    "//etc/passwd",
]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_toy(tmp_path_factory.mktemp("toy") / "run")


@pytest.fixture(scope="module")
def free(run: Path) -> Iterator[TestClient]:
    with client(run, hosts=["faces.example"]) as made:
        yield made


@pytest.fixture(scope="module")
def closed(run: Path) -> Iterator[TestClient]:
    with client(run, password=PASSWORD) as made:
        yield made


def code(answer: Any) -> str:
    found: str = answer.json()["error"]["code"]
    return found


@pytest.mark.parametrize(
    "host", ["127.0.0.1:7860", "localhost", "LOCALHOST:1", "[::1]:7860", "192.168.1.7", "faces.example"]
)
def test_names_that_are_this_server(free: TestClient, host: str) -> None:
    assert free.get("/health", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:7860", "", "a@127.0.0.1", "::", "x y"]
)
def test_a_name_that_points_here_is_not_enough(free: TestClient, host: str) -> None:
    answer = free.get("/api/v1/model", headers={"host": host})
    assert answer.status_code == 403 and code(answer) == "wrong_host"


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:9999"},
        {"origin": "http://127.0.0.1"},
        {"origin": "ftp://127.0.0.1:7860"},
        {"origin": "http://127.0.0.1:x"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site", "sec-fetch-mode": "no-cors"},
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"},
    ],
)
def test_pages_elsewhere_cannot_use_it(free: TestClient, headers: dict[str, str]) -> None:
    answer = free.post("/api/v1/detect", files={"file": png(draw([(60, 40)]))}, headers=headers)
    assert answer.status_code == 403 and code(answer) == "wrong_origin"


def test_its_own_page_and_programs_can(free: TestClient) -> None:
    photo = {"file": png(draw([(60, 40)]))}
    own = {"origin": "http://127.0.0.1:7860", "sec-fetch-site": "same-origin", "host": "127.0.0.1:7860"}
    assert free.post("/api/v1/detect", files=photo, headers=own).status_code == 200
    assert free.post("/api/v1/detect", files=photo).status_code == 200
    behind = {"origin": "https://faces.example", "host": "faces.example"}
    assert free.post("/api/v1/detect", files=photo, headers=behind).status_code == 200
    linked = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    assert free.get("/docs", headers=linked).status_code == 200


def test_no_answer_may_be_read_framed_or_guessed_at_elsewhere(free: TestClient) -> None:
    for path in ("/health", "/docs", "/nothing", "/page/page.css"):
        headers = free.get(path).headers
        assert not [name for name in headers if name.startswith("access-control")]
        assert headers["x-frame-options"] == "DENY" and "default-src 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff" and "http" not in headers["content-security-policy"]


@pytest.mark.parametrize("path", TRAVERSALS)
def test_no_file_of_the_machine_is_reachable(free: TestClient, path: str) -> None:
    answer = free.get(path)
    assert answer.status_code == 404 and "root:" not in answer.text and "import" not in answer.text


def test_there_are_no_websockets(free: TestClient) -> None:
    with pytest.raises(WebSocketDisconnect), free.websocket_connect("/gradio_api/queue/join"):
        pass


@pytest.mark.parametrize(("method", "path"), [*OURS, *GRADIO, *(("GET", path) for path in TRAVERSALS)])
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"accept": "text/html"},
        {"authorization": "Bearer wrong"},
        {"authorization": "Basic " + base64.b64encode(b"x:wrong").decode()},
        {"authorization": "Basic %%%"},
        {"cookie": f"{COOKIE}=guessed"},
        {"cookie": f'{COOKIE}="'},
    ],
)
def test_without_the_password_nothing_is_reached(
    closed: TestClient, method: str, path: str, headers: dict[str, str]
) -> None:
    closed.cookies.clear()
    answer = closed.request(method, path, headers=headers)
    assert answer.status_code in (401, 429), (method, path)
    assert "AU01" not in answer.text and "root:" not in answer.text and "gradio" not in answer.text


def test_the_password_opens_everything(run: Path) -> None:
    basic = {"authorization": "Basic " + base64.b64encode(f"anybody:{PASSWORD}".encode()).decode()}
    bearer = {"authorization": f"Bearer {PLAIN}"}
    for headers, password in ((basic, PASSWORD), (bearer, PLAIN)):
        with client(run, password=password) as asking:
            assert asking.get("/api/v1/model", headers=headers).status_code == 200
            photo = {"file": png(draw([]))}
            assert asking.post("/api/v1/detect", files=photo, headers=headers).status_code == 200
            assert asking.get("/nothing", headers=headers).status_code == 404


def test_a_session_lasts_until_one_leaves(run: Path) -> None:
    with client(run, password=PASSWORD) as asking:
        form = asking.get("/", headers={"accept": "text/html"})
        assert form.status_code == 401 and 'type="password"' in form.text
        wrong = asking.post("/login", data={"password": "wrong"})
        assert wrong.status_code == 401 and "not the password" in wrong.text and not asking.cookies
        right = asking.post("/login", data={"password": PASSWORD})
        assert right.status_code == 303
        said = right.headers["set-cookie"].lower()
        assert "httponly" in said and "samesite=strict" in said and PASSWORD not in said
        assert asking.get("/health").status_code == 200
        token = asking.cookies[COOKIE]
        asking.post("/logout")
        assert asking.get("/health", headers={"cookie": f"{COOKIE}={token}"}).status_code == 401


def test_guessing_is_slow(run: Path) -> None:
    with client(run, password=PASSWORD) as asking:
        for _ in range(TRIES):
            assert asking.post("/login", data={"password": "wrong"}).status_code == 401
        answer = asking.post("/login", data={"password": PASSWORD})
        assert answer.status_code == 429 and answer.headers["retry-after"] == "60"
        assert asking.get("/health", headers={"authorization": "Bearer wrong"}).status_code == 429
        assert asking.get("/health", headers={"accept": "text/html"}).status_code == 401


def test_a_huge_password_is_none(closed: TestClient) -> None:
    assert closed.post("/login", content=b"password=" + b"x" * 20_000).status_code == 413
