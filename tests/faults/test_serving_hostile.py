"""Everything that `detect` was made to bear, sent to the server and its page: an answer or a reason each time, the
server lives on, and nothing stays on disk."""

import json
import random
import re
import socket
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("httpx")
pytest.importorskip("av")
import httpx
from starlette.testclient import TestClient

from metafacs.serving.limits import Limits
from tests.damage import damaged
from tests.inference import hostile
from tests.inference.toys import draw, make_video, save_toy, walk
from tests.serving.rooms import basic, client, listening, png, private_files, private_folders

API, PAGE = "/api/v1/detect", "/page/detect"
SHORT, LONG = 40, 400
"""Damaged files sent to each of the two."""
FACE = draw([(50, 40)])
CODES = {"unreadable", "too_many_pixels", "too_long", "too_large"}
LIMITS = Limits(most_bytes=3_000_000, most_seconds=20.0)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_toy(tmp_path_factory.mktemp("toy") / "run")


@pytest.fixture(scope="module")
def asking(run: Path) -> Iterator[TestClient]:
    with client(run, LIMITS) as made:
        yield made


@pytest.fixture(scope="module")
def offered(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Name -> content of every hostile file that can be sent at all: no pipes, devices or links to nowhere."""
    folder = tmp_path_factory.mktemp("hostile")
    clip = [draw([(50 + k, 40)], k) for k in range(12)]
    hostile.bad_pictures(folder, FACE), hostile.odd_pictures(folder, FACE), hostile.grey_pictures(folder, FACE)
    hostile.bad_videos(folder, clip)
    hostile.turned_video(folder / "turned.mp4", clip)
    hostile.uneven_video(folder / "uneven.mp4", clip, [40 * k * k for k in range(12)])
    hostile.growing_video(folder / "call.mts", clip, [draw([(50, 40)], size=(160, 256))] * 12)
    paths = [path for path in sorted(folder.iterdir()) if stat.S_ISREG(path.lstat().st_mode)]
    return {path.name: path.read_bytes() for path in paths}


def ask(asking: TestClient, where: str, name: str, content: bytes) -> str:
    """ "answered", or the code of the refusal."""
    answer = asking.post(where, files={"file": (name, content)})
    body: dict[str, Any] = json.loads(answer.text.splitlines()[-1])
    assert answer.status_code == 200 or 400 <= answer.status_code < 500, (name, answer.status_code, answer.text[:300])
    if "error" not in body:
        assert body["rows" if where == API else "html"], name
        return "answered"
    assert body["error"]["message"]
    return str(body["error"]["code"])


@pytest.mark.parametrize("where", [API, PAGE])
def test_every_hostile_file_gets_an_answer_or_a_reason(
    where: str, asking: TestClient, offered: dict[str, bytes]
) -> None:
    before = private_folders()
    found = {name: ask(asking, where, name, content) for name, content in offered.items()}
    refused = {name for name, code in found.items() if code != "answered"}
    assert {found[name] for name in refused} <= CODES
    said = {"empty.jpg", "text.jpg", "script.png", "cut.jpg", "tiny.png", "wide.png", "bomb.png"}
    said |= {"empty.mp4", "text.mp4", "damaged.mp4", "cut.mp4", "sound.mp4", "none.mp4"}
    assert refused == said
    assert private_files(before) == [] and asking.get("/health").json()["under_way"] == 0
    assert ask(asking, where, "a.png", png(FACE)) == "answered"


@pytest.mark.parametrize("count", [SHORT, pytest.param(LONG, marks=pytest.mark.slow)])
@pytest.mark.parametrize("where", [API, PAGE])
def test_damaged_files_get_an_answer_or_a_reason(
    where: str, count: int, asking: TestClient, offered: dict[str, bytes], tmp_path: Path
) -> None:
    small = {name: content for name, content in offered.items() if 0 < len(content) < 100_000}
    small["whole.mp4"] = make_video(tmp_path / "whole.mp4", walk(8)).read_bytes()
    found = set()
    for number in range(count):
        rng = random.Random(f"{where} {number}")
        name = rng.choice(sorted(small))
        told, content = damaged(small[name], rng)
        try:
            found.add(ask(asking, where, name, content))
        except Exception as error:
            raise AssertionError(f"input {number}: {name}, {told}") from error
    assert found <= CODES | {"answered"} and {"answered", "unreadable"} <= found
    assert asking.get("/health").json()["under_way"] == 0
    assert ask(asking, where, "a.png", png(FACE)) == "answered"


@pytest.mark.parametrize("where", [API, PAGE])
def test_odd_names_of_files(where: str, asking: TestClient) -> None:
    names = [
        "",
        ".",
        "..",
        "../../x.png",
        "a" * 5000,
        "\r\nX: y",
        "\u202egnp.exe",
        "%00",
        "\x00",
        "<b>",
        '"; x="',
        "=1+1",
    ]
    for name in names:
        head = f'--x\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'.encode()
        sent = {"content-type": "multipart/form-data; boundary=x"}
        answer = asking.post(where, content=head + png(FACE) + b"\r\n--x--\r\n", headers=sent)
        assert answer.status_code < 500, (name, answer.text[:300])
    assert ask(asking, where, "a.png", png(FACE)) == "answered"


@pytest.mark.parametrize(
    "content", [b"--y", b"junk", b"--x\r\nContent-Disposition: x\r\n\r\n\r\n--x--", b"--x\r\n" * 1000]
)
def test_a_form_that_cannot_be_read_does_not_hold_its_place(asking: TestClient, content: bytes) -> None:
    begin = time.monotonic()
    answer = asking.post(API, content=content, headers={"content-type": "multipart/form-data; boundary=x"})
    assert answer.status_code == 400 and answer.json()["error"]["code"] == "bad_form"
    assert time.monotonic() - begin < 2


BROKEN = (
    b"",
    b"\x00" * 1000,
    b"GET\r\n\r\n",
    b"GET / HTTP/9.9\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    b"GET / HTTP/1.1\r\n" + b"X: " + b"y" * 200_000 + b"\r\n\r\n",
    b"GET / HTTP/1.1\r\n" + b"".join(b"X%d: y\r\n" % k for k in range(20_000)) + b"\r\n",
    b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"POST /api/v1/detect HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
    b"POST /api/v1/detect HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n",
    b"POST /api/v1/detect HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\nContent-Length: 10\r\n\r\n123456789",
    b"POST /api/v1/detect HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999999999999999\r\n\r\nx",
    b"POST /api/v1/detect HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\nx\r\n0\r\n\r\n",
    b"POST /api/v1/detect HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nx",
    b"POST /api/v1/detect HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=x\r\n"
    b"Content-Length: 100000\r\n\r\n--x\r\n",
    b"POST /page/detect HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=" + b"x" * 60_000
    + b"\r\nContent-Length: 4\r\n\r\n--x\r",
    b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n" * 200,
    b"GET /health HTTP/1.1\r\nHost: localhost\r\nCookie: \xff\xfe=\x80\r\nAuthorization: Basic \xff\r\n\r\n",
    b"GET /health?\xff%ff%00 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
)  # fmt: skip
"""What is sent before the client hangs up."""


@pytest.mark.parametrize("password", [None, "open sesame"])
def test_broken_requests_end_and_the_server_lives_on(run: Path, password: str | None) -> None:
    before = private_folders()
    with listening(run, LIMITS, password=password) as address:
        parts = urlsplit(address)
        for sent in BROKEN:
            with socket.create_connection((str(parts.hostname), int(parts.port or 0)), timeout=10) as connection:
                connection.settimeout(0.3)
                try:
                    connection.sendall(sent)
                    answer = connection.recv(65_536)
                except OSError:
                    answer = b""
            statuses = re.findall(rb"HTTP/1.1 (\d+)", answer)
            assert not [status for status in statuses if status.startswith(b"5")], (sent[:80], answer[:300])
        headers = {} if password is None else basic(password)
        health = httpx.get(f"{address}/health", headers=headers, trust_env=False).json()
        assert health["status"] == "ok"
        until(lambda: private_files(before) == [])
        answer = httpx.post(f"{address}{API}", files={"file": png(FACE)}, headers=headers, trust_env=False, timeout=30)
        assert answer.status_code == 200


def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)
