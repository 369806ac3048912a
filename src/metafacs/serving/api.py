"""The HTTP API: `POST /api/v1/detect`, `GET /api/v1/model`, `GET /health`, described at `/openapi.json`."""

from pathlib import Path
from typing import Annotated, Any, Literal

import pandas as pd
from fastapi import APIRouter, FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse
from starlette.exceptions import HTTPException

from metafacs import __version__
from metafacs.inference.outputs import to_csv
from metafacs.serving.answers import Detection, ErrorAnswer, Health, Model, to_detection
from metafacs.serving.asking import asked, table_of
from metafacs.serving.limits import RefusedError
from metafacs.serving.reference import reference_page, style_route
from metafacs.serving.service import Service
from metafacs.serving.uploads import FIELD

DESCRIPTION = """Finds faces in a photo or video and reads their Action Units (FACS). Every error has the form
`{"error": {"code": ..., "message": ...}}`. Uploads are removed as soon as they are answered."""
_FORM = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": [FIELD],
                    "properties": {
                        FIELD: {
                            "type": "string",
                            "format": "binary",
                            "description": "a photo (JPEG, PNG, WebP ...) or a video (MP4, MOV, WebM, AVI ...)",
                        }
                    },
                }
            }
        },
    }
}
_REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorAnswer, "description": text}
    for status, text in {
        400: "the form cannot be read, or the upload was broken off",
        408: "the upload took too long",
        413: "too many bytes or pixels, or too long a video",
        415: "no multipart form",
        422: "no file, no picture or video, a damaged one, or a wrong parameter",
        501: "videos cannot be read here: PyAV is not installed",
        503: "the queue is full, or there was no answer in time; `Retry-After` says when to try again",
    }.items()
}
_DOOR: dict[int | str, dict[str, Any]] = {
    401: {"model": ErrorAnswer, "description": "the password is missing or wrong"},
    403: {"model": ErrorAnswer, "description": "the request comes from a page elsewhere, or names another host"},
    429: {"model": ErrorAnswer, "description": "too many wrong passwords"},
}


def make_api(service: Service, model: Model, folder: Path) -> FastAPI:
    """The API as an application, still without the guard at its door.

    Args:
        service: answers requests.
        model: what the detector is.
        folder: private folder for files under way.
    """
    app = FastAPI(
        title="metafacs",
        version=__version__,
        description=DESCRIPTION,
        docs_url=None,  # FastAPI's own pages load their scripts from elsewhere
        redoc_url=None,
        openapi_url="/openapi.json",
    )
    app.include_router(_routes(service, model, folder))
    app.include_router(style_route())
    app.add_exception_handler(RefusedError, _refused)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _invalid)

    @app.get("/docs", include_in_schema=False)
    def docs() -> HTMLResponse:
        return HTMLResponse(reference_page(app.openapi()))

    return app


def _routes(service: Service, model: Model, folder: Path) -> APIRouter:
    router = APIRouter(responses=_DOOR)

    @router.post("/api/v1/detect", responses={**_REFUSALS, 200: _both_forms()}, openapi_extra=_FORM, tags=["detect"])
    async def detect(
        request: Request,
        faces: Annotated[int, Query(ge=0, le=1000, description="at most so many, the largest; 0: all")] = 0,
        every: Annotated[int, Query(ge=1, le=1000, description="of a video: search whole frames every so often")] = 1,
        format: Annotated[
            Literal["json", "csv"] | None, Query(description="of the answer; else the header `Accept` decides")
        ] = None,
    ) -> Response:
        """Reads the Action Units of every face in a photo or video."""
        async with asked(request, service, folder, faces, every) as found:
            async for table in table_of(found, service.limits.timeout, request.is_disconnected):
                if table is not None:
                    if (format or _accepted(request)) == "csv":
                        return _csv(table)
                    body = to_detection(table, found.name, found.contents, service.detector)
                    return Response(body.model_dump_json(), media_type="application/json")
        raise RefusedError(503, "stopping", "the server is being stopped", 10)

    @router.get("/api/v1/model", tags=["model"])
    async def describe_model() -> Model:
        """What the detector is: its AUs with their meanings, how faces are cut out, what it was trained on."""
        return model

    @router.get("/health", tags=["health"])
    async def health() -> Health:
        """Whether the server works, and how busy it is."""
        return Health(status="ok", under_way=service.under_way(), places=service.limits.places)

    return router


def _both_forms() -> dict[str, Any]:
    """The two forms of the answer, for the description."""
    return {
        "model": Detection,
        "description": "what was found; a photo without a face is an answer too",
        "content": {"text/csv": {"schema": {"type": "string", "description": "the table of `metafacs detect`"}}},
    }


def _accepted(request: Request) -> str:
    return "csv" if request.headers.get("accept", "").lower().startswith("text/csv") else "json"


def _csv(table: pd.DataFrame) -> Response:
    headers = {"Content-Disposition": 'attachment; filename="action_units.csv"'}
    return Response(to_csv(table, header=True), media_type="text/csv; charset=utf-8", headers=headers)


async def _refused(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RefusedError)
    return JSONResponse(error.body(), error.status, error.headers())


async def _http_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    code = {404: "not_found", 405: "wrong_method"}.get(error.status_code, "refused")
    body = RefusedError(error.status_code, code, str(error.detail)).body()
    return JSONResponse(body, error.status_code, error.headers)


async def _invalid(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    said = "; ".join(f"{'.'.join(map(str, one['loc'][1:]))}: {one['msg']}" for one in error.errors())
    return JSONResponse(RefusedError(422, "bad_parameter", said).body(), 422)
