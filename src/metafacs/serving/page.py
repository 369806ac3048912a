"""The web page: a gradio page whose upload goes to this server's own door and nowhere else."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from html import escape
from importlib.resources import files
from pathlib import Path

import pandas as pd
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from metafacs.errors import InputError
from metafacs.faces.pictures import read_picture
from metafacs.faces.video import read_frames
from metafacs.facs import au_title
from metafacs.serving.answers import Model
from metafacs.serving.asking import Asked, asked, table_of
from metafacs.serving.limits import MEGABYTE, RefusedError
from metafacs.serving.results import notice, picture_result
from metafacs.serving.service import Service
from metafacs.serving.timelines import strip_frames, video_result
from metafacs.serving.uploads import VIDEO

TITLES = {
    "queue_full": "The queue is full",
    "too_large": "The file is too large",
    "too_many_pixels": "The picture is too large",
    "too_long": "The video is too long",
    "unreadable": "Not a photo or video",
    "timeout": "It took too long",
}
"""Over the messages of some refusals."""
PROGRESS_SECONDS = 0.3
LINES = "application/x-ndjson"


def page_routes(service: Service, folder: Path) -> APIRouter:
    """What the page asks for: its script, and answers as HTML.

    Args:
        service: answers requests.
        folder: private folder for files under way.
    """
    router = APIRouter(include_in_schema=False)

    @router.get("/page/page.js")
    async def script() -> Response:
        headers = {"Cache-Control": "no-cache"}
        return Response(_text("page.js"), media_type="text/javascript; charset=utf-8", headers=headers)

    @router.post("/page/detect")
    async def detect(request: Request) -> Response:
        stack = AsyncExitStack()
        try:
            # before the response begins: it listens for the end of the connection and would swallow the upload
            found = await stack.enter_async_context(asked(request, service, folder, 0, 1))
        except RefusedError as error:
            return Response(_error(error), media_type=LINES, headers=error.headers())
        return _Telling(_told(found, service), stack)

    return router


def mount_page(app: FastAPI, model: Model) -> FastAPI:
    """Puts the page at `/`.

    Args:
        app: the API.
        model: what the page says of the detector.

    Raises:
        InputError: gradio is not installed.
    """
    # gradio reads these when it is imported: no usage statistics, no look for newer versions, nothing kept in browsers
    os.environ |= {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1", "GRADIO_RUN_HISTORY": "False"}
    try:
        import gradio as gr
    except ImportError as error:
        raise InputError(
            f"the web page needs gradio, which is not installed ({error}); `pip install 'metafacs[serve]'`, "
            "or give --api_only for the HTTP API alone"
        ) from error
    system = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "Arial", "sans-serif")
    # plain names: gradio's own themes load their fonts from Google
    theme = gr.themes.Base(font=list(system), font_mono=["ui-monospace", "Menlo", "Consolas", "monospace"])
    with gr.Blocks(analytics_enabled=False, title="metafacs: facial Action Units", delete_cache=(60, 60)) as blocks:
        gr.HTML(_text("page.html").replace("@MODEL@", model_part(model)).replace("@LIMITS@", _limits(model)))
    return gr.mount_gradio_app(
        app,
        blocks,
        path="/",
        theme=theme,
        head='<link rel="stylesheet" href="/page/page.css"><script src="/page/page.js" defer></script>',
        footer_links=[],
        run_history=False,
        ssr_mode=False,
        mcp_server=False,
        enable_monitoring=False,
        pwa=False,
        show_error=False,
        app_kwargs={"docs_url": None, "redoc_url": None, "openapi_url": None},
    )


def model_part(model: Model) -> str:
    """What the detector is, and each of its AUs, as HTML."""
    units = "".join(
        f"<tr><th>{escape(au_title(unit.au))}</th><td>{escape(unit.name)}</td><td>{escape(unit.description)}</td></tr>"
        for unit in model.aus
    )
    facts = (
        f"{model.card['method']} on {model.card['dataset']}, fold {model.card['test_fold']}, {model.card['backbone']}"
    )
    return (
        f'<p class="mf-note">{escape(model.note)}</p><details class="mf-about"><summary>What it reads: '
        f'{len(model.aus)} Action Units</summary><div class="mf-scroll"><table>{units}</table></div>'
        f'<p class="mf-small">Detector: {escape(model.name)} ({escape(facts)}).</p></details>'
    )


class _Telling(StreamingResponse):
    """Lines as they come; afterwards, however it ends, what was held for them is let go."""

    def __init__(self, lines: AsyncIterator[bytes], held: AsyncExitStack) -> None:
        super().__init__(lines, media_type=LINES)
        self._held = held

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._held.aclose()


async def _told(found: Asked, service: Service) -> AsyncIterator[bytes]:
    """How the work goes on, one JSON object a line, the last one with the result as HTML."""
    try:
        async for table in table_of(found, service.limits.timeout, _never, PROGRESS_SECONDS):
            if table is None:
                job, frames = found.job, found.contents.frames
                yield _line(state="working", done=job.done, of=frames, begun=job.begun is not None)
            else:
                yield _line(state="done", html=await asyncio.to_thread(_result, found, table, service))
    except RefusedError as error:
        yield _error(error)


async def _never() -> bool:
    """The response itself ends when the browser goes away."""
    return False


def _error(error: RefusedError) -> bytes:
    title = TITLES.get(error.code, "That did not work")
    return _line(state="error", code=error.code, html=notice(title, _sentence(error.message)))


def _result(found: Asked, table: pd.DataFrame, service: Service) -> str:
    """HTML of an answer; raises RefusedError for a picture that could not be read."""
    detector = service.detector
    if found.contents.kind == VIDEO:
        pictures = dict(read_frames(found.path, strip_frames(table)))
        return video_result(table, pictures, detector.aus, detector.thresholds)
    return picture_result(read_picture(found.path), table, detector.aus, detector.thresholds)


def _limits(model: Model) -> str:
    limits = model.limits
    most, length = limits["megabytes"], limits["video_seconds"]
    told = f"Photos and videos up to {most:g} MB, videos up to {length:g} s"
    return f'<span data-most-bytes="{most * MEGABYTE:.0f}">{told}</span>'


def _line(**facts: object) -> bytes:
    return json.dumps(facts).encode() + b"\n"


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "?", "!")) else ".")


def _text(name: str) -> str:
    return (files("metafacs.serving") / name).read_text(encoding="utf-8")
