"""Without the password nothing is reached: asked at every address that the whole application has."""

import re
from collections.abc import Iterator, MutableMapping
from typing import Any

import pytest

pytest.importorskip("gradio")
pytest.importorskip("httpx")
pytest.importorskip("dlib")
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from metafacs.commands.serve import STARTER, STARTER_NOTE
from metafacs.inference import AUDetector
from metafacs.serving import app as serving
from metafacs.serving.limits import Limits
from metafacs.serving.password import COOKIE
from tests.serving.rooms import LOCAL, routes_of

PASSWORD = "open sesame"
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "MADEUP")
KNOWN = {
    *("/", "/docs", "/openapi.json", "/health", "/api/v1/model", "/api/v1/detect"),
    *("/page/page.js", "/page/page.css", "/page/detect", "/login", "/config", "/theme.css", "/assets/{path:path}"),
    *("/gradio_api/upload", "/gradio_api/queue/join", "/gradio_api/queue/data", "/gradio_api/file={path_or_url:path}"),
}
"""Some of the addresses, of each kind and depth: the walk through the routes must come by them."""
FREE = ("GET", "/page/page.css")
"""The login form's looks."""
FILLS = ("x", "etc/passwd", "../../../../etc/passwd")
"""In place of what a route leaves open."""


class Door:
    """An application that notes who came as far as it."""

    def __init__(self, app: Any) -> None:
        self.app, self.reached = app, set[tuple[str, str]]()

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            self.reached.add((scope.get("method", scope["type"]), scope["path"]))
        await self.app(scope, receive, send)


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[TestClient, Door]]:
    """What `metafacs serve --password_file FILE` serves, with the page."""
    detector = AUDetector.starter(device="cpu")
    with serving.served(detector, STARTER, STARTER_NOTE, Limits(), password=PASSWORD) as guard:
        guard._app = door = Door(guard._app)  # type: ignore[attr-defined]
        with TestClient(guard, base_url=LOCAL, raise_server_exceptions=False, follow_redirects=False) as asking:
            yield asking, door


def addresses(door: Door) -> list[tuple[str, set[str]]]:
    """Every address with what it leaves open filled in, and the methods of its route."""
    found = []
    for path, methods in routes_of(door.app):
        for fill in FILLS if "{" in path else ("",):
            found.append((re.sub(r"\{[^}]*\}", fill, path), methods))
    return found


def test_the_walk_comes_by_every_kind_of_route(served: tuple[TestClient, Door]) -> None:
    paths = {path for path, _ in routes_of(served[1].app)}
    assert paths >= KNOWN and len(paths) > 45


def test_without_the_password_no_route_is_reached(served: tuple[TestClient, Door]) -> None:
    asking, door = served
    door.reached.clear()
    asked = 0
    for path, own in addresses(door):
        for method in METHODS:
            kinds: list[dict[str, str]] = [{}]
            if method in own:
                kinds += [{"accept": "text/html"}, {"cookie": f"{COOKIE}=guessed"}]
            for headers in kinds:
                answer = asking.request(method, path, headers=headers)
                asked += 1
                if (method, path) == FREE:
                    continue
                leaves = method == "POST" and path.rstrip("/") == "/logout" and answer.headers.get("location") == "/"
                assert answer.status_code == 401 or (leaves and answer.status_code == 303), (method, path)
                for told in ("AU01", "starter", "gradio", "openapi", "root:", "import "):
                    assert told not in answer.text, (method, path, told)
    assert door.reached == {FREE} and asked > 500


def test_without_the_password_no_websocket_is_opened(served: tuple[TestClient, Door]) -> None:
    asking, door = served
    door.reached.clear()
    for path, _ in addresses(door):
        with pytest.raises(WebSocketDisconnect), asking.websocket_connect(path):
            pass
    assert not door.reached


def test_with_the_password_the_starter_is_there_and_says_what_it_is(served: tuple[TestClient, Door]) -> None:
    asking, door = served
    door.reached.clear()
    opened = {"authorization": f"Bearer {PASSWORD}"}
    model = asking.get("/api/v1/model", headers=opened).json()
    assert model["name"] == STARTER and "not for measuring people" in model["note"] and len(model["aus"]) == 17
    assert STARTER_NOTE in asking.get("/", headers=opened).text
    assert door.reached == {("GET", "/api/v1/model"), ("GET", "/")}
