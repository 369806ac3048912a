"""Puts the server together and runs it: the page at `/`, the HTTP API below `/api/v1`, described at `/docs`."""

import json
import logging
import signal
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Annotated, Any, Literal

import uvicorn
from fastapi import APIRouter, Depends, FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, StreamingResponse
from fastapi.staticfiles import StaticFiles
from markdown_it import MarkdownIt
from markupsafe import Markup
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from metafacs import __version__
from metafacs.errors import InputError
from metafacs.inference import AUDetector
from metafacs.inference.outputs import to_csv
from metafacs.serving.answers import About, Detection, ErrorAnswer, Health, Model, describe, to_detection
from metafacs.serving.door import Door
from metafacs.serving.limits import Limits
from metafacs.serving.pages import render, result_html
from metafacs.serving.refusals import RefusedError, error_fields, error_response, internal
from metafacs.serving.service import Job, Service
from metafacs.serving.uploads import FIELD, NEUTRAL

KEEP_ALIVE = 15
"""Seconds that an idle connection stays open."""
CONNECTIONS = 1000
"""More at a time are refused by the server itself."""
DESCRIPTION = """Finds faces in a photo or video and reads their Action Units (FACS). Every error has the form
`{"error": {"code": ..., "message": ...}}`. Uploads are removed as soon as they are answered."""
REFUSALS: dict[int | str, dict[str, Any]] = {
    "4XX": {
        "model": ErrorAnswer,
        "description": "400: the form cannot be read; 401: password; 403: from a page elsewhere, or to another host; "
        "408: slow upload; 413: too large or too long; 415: not a form; 422: not a photo or video, or wrong parameters",
    },
    "5XX": {
        "model": ErrorAnswer,
        "description": "501: no videos here, PyAV is not installed; 503: the queue is full, or there was no answer in "
        "time, and `Retry-After` says when to try again",
    },
}
ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "model": Detection,
        "description": "what was found; a photo without a face is an answer too",
        "content": {"text/csv": {"schema": {"type": "string", "description": "the table of `metafacs detect`"}}},
    }
}
FILE = {"type": "string", "format": "binary", "description": "a photo (JPEG, PNG ...) or a video (MP4, MOV, WebM ...)"}
REST = {
    "type": "string",
    "format": "binary",
    "description": "the person at rest: what this photo shows is taken off",
}
FORM = {"schema": {"type": "object", "required": [FIELD], "properties": {FIELD: FILE, NEUTRAL: REST}}}
BODY = {"requestBody": {"required": True, "content": {"multipart/form-data": FORM}}}
MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table")

api = APIRouter(responses=REFUSALS)
pages = APIRouter(include_in_schema=False)


def make_app(
    detector: AUDetector,
    about: About,
    limits: Limits,
    *,
    password: str | None = None,
    hosts: Sequence[str] = (),
) -> FastAPI:
    """The whole server as an ASGI application; when it shuts down, no file of it is left.

    Args:
        detector: the model.
        about: what people are told of it.
        limits: what is accepted.
        password: None lets everybody in who can reach the server.
        hosts: names by which the server may be called, beside localhost and addresses.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.service = Service(detector, limits)
        yield
        app.state.service.close()

    app = FastAPI(
        title="metafacs",
        version=__version__,
        description=DESCRIPTION,
        docs_url=None,  # FastAPI's own pages load their scripts from elsewhere
        redoc_url=None,
        lifespan=lifespan,
    )
    app.state.model = describe(detector, about, limits)
    app.state.card = about.card
    app.add_middleware(Door, hosts=hosts, password=password)
    app.include_router(api)
    app.include_router(pages)
    app.mount("/static", StaticFiles(directory=Path(__file__).parent / "static"))
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(RequestValidationError, _refused)
    app.add_exception_handler(Exception, _refused)
    return app


async def _upload(
    request: Request,
    faces: Annotated[int, Query(ge=0, le=1000, description="at most so many, the largest; 0: all")] = 0,
    every: Annotated[int, Query(ge=1, le=1000, description="of a video: search whole frames every so often")] = 1,
    smaller: Annotated[bool, Query(description="seek smaller faces, beside large ones too; slower")] = False,
) -> AsyncIterator[Job]:
    """The upload at work; what it holds is let go after the response, however that ends."""
    async with request.app.state.service.job(request, faces, every, smaller) as job:
        yield job


@api.post("/api/v1/detect", responses=ANSWERS, openapi_extra=BODY)
async def detect(
    request: Request,
    job: Annotated[Job, Depends(_upload)],
    format: Annotated[
        Literal["json", "csv"] | None, Query(description="of the answer; else the header `Accept` decides")
    ] = None,
) -> Response:
    """Reads the Action Units of every face in a photo or video."""
    while not await job.is_done(request):
        pass
    table, accepted = job.table.result(), request.headers.get("accept", "").lower()
    if format == "csv" or (format is None and accepted.startswith("text/csv")):
        headers = {"Content-Disposition": 'attachment; filename="action_units.csv"'}
        return Response(to_csv(table, header=True), media_type="text/csv", headers=headers)
    answer = to_detection(table, job.name, job.contents, request.app.state.service.detector.aus)
    return Response(answer.model_dump_json(), media_type="application/json")


@api.get("/api/v1/model")
async def model(request: Request) -> Model:
    """What the detector is: its AUs with their meanings, how faces are cut out, what it was trained on."""
    description: Model = request.app.state.model
    return description


@api.get("/health")
async def health(request: Request) -> Health:
    """Whether the server works, and how busy it is."""
    service: Service = request.app.state.service
    return Health(status="ok", under_way=service.under_way, places=service.limits.places)


@pages.get("/docs")
async def docs(request: Request) -> HTMLResponse:
    """The API's description for people."""
    return HTMLResponse(render("docs.html", api=request.app.openapi()))


@pages.get("/")
async def page(request: Request) -> HTMLResponse:
    """The page."""
    return HTMLResponse(render("page.html", model=request.app.state.model, card=bool(request.app.state.card)))


@pages.get("/card")
async def card(request: Request) -> HTMLResponse:
    """The model card, where there is one."""
    if not request.app.state.card:
        raise HTTPException(404)
    return HTMLResponse(render("card.html", card=Markup(MARKDOWN.render(request.app.state.card))))


@pages.post("/page/detect")
async def detect_for_page(request: Request, job: Annotated[Job, Depends(_upload)]) -> StreamingResponse:
    """How the work goes on, one JSON object a line; the last one has the result as HTML, or an error."""

    async def lines() -> AsyncIterator[str]:
        try:
            while not await job.is_done(request):
                yield json.dumps({"begun": job.begun, "done": job.frames, "frames": job.contents.frames}) + "\n"
            table = job.table.result()
            html = await run_in_threadpool(result_html, table, job, request.app.state.model)
            yield json.dumps({"html": html}) + "\n"
        except RefusedError as error:
            yield json.dumps({"error": error_fields(error)}) + "\n"

    return StreamingResponse(lines(), media_type="application/x-ndjson")


async def _refused(_: Request, error: Exception) -> JSONResponse:
    if isinstance(error, RequestValidationError):
        reasons = "; ".join(f"{'.'.join(map(str, one['loc'][1:]))}: {one['msg']}" for one in error.errors())
        return error_response(RefusedError(422, "bad_parameter", reasons))
    return error_response(error if isinstance(error, HTTPException) else internal())


def open_port(host: str, port: int) -> socket.socket:
    """A socket that listens; port 0 takes a free one.

    Raises:
        InputError: the port is taken, or the address is not one of this machine.
    """
    listening = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen()  # whoever reads the address may connect at once, before the server takes over
    except (OSError, OverflowError) as error:
        listening.close()
        raise InputError(f"cannot serve at {host}, port {port}: {error}; give another --port or --host") from error
    return listening


def run(app: FastAPI, listening: socket.socket) -> None:
    """Serves until Ctrl-C or a request to end; to be called by the main thread."""
    config = uvicorn.Config(
        app,
        log_level=logging.WARNING,
        access_log=False,  # addresses and file names are nobody's business
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=5,
        limit_concurrency=CONNECTIONS,
        ws="none",
        proxy_headers=False,
    )
    # uvicorn stops on either signal and then raises it again: being asked to end is not a failure
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[listening])
