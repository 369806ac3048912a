"""The API's reference as one page, made from its OpenAPI description, without scripts."""

from collections.abc import Mapping
from html import escape
from importlib.resources import files
from typing import Any

from fastapi import APIRouter, Response

EXAMPLES = {
    "/api/v1/detect": "curl -F file=@photo.jpg {base}/api/v1/detect\n"
    "curl -F file=@session.mp4 -H 'Accept: text/csv' {base}/api/v1/detect -o session.csv",
    "/api/v1/model": "curl {base}/api/v1/model",
    "/health": "curl {base}/health",
}
BASE = "http://127.0.0.1:7860"


def reference_page(described: Mapping[str, Any]) -> str:
    """HTML of an OpenAPI description.

    Args:
        described: as `FastAPI.openapi` returns it.
    """
    operations = "".join(
        _operation(method, path, facts)
        for path, methods in described["paths"].items()
        for method, facts in methods.items()
    )
    schemas = "".join(_schema(name, facts) for name, facts in described["components"]["schemas"].items())
    return _PAGE.format(version=escape(described["info"]["version"]), operations=operations, schemas=schemas)


def style_route() -> APIRouter:
    """The looks of this page, the login form and the web page."""
    router = APIRouter(include_in_schema=False)

    @router.get("/page/page.css")
    async def style() -> Response:
        text = (files("metafacs.serving") / "page.css").read_text(encoding="utf-8")
        return Response(text, media_type="text/css; charset=utf-8", headers={"Cache-Control": "no-cache"})

    return router


def _operation(method: str, path: str, facts: Mapping[str, Any]) -> str:
    rows = "".join(
        f"<tr><td><code>{escape(one['name'])}</code></td><td>{escape(one.get('description', ''))}</td></tr>"
        for one in facts.get("parameters", [])
    )
    if "requestBody" in facts:
        rows = "<tr><td><code>file</code></td><td>the photo or video, in a multipart form</td></tr>" + rows
    asks = f"<h3>Takes</h3><table>{rows}</table>" if rows else ""
    answers = "".join(
        f"<tr><td><code>{escape(status)}</code></td><td>{_plain(one['description'])}</td></tr>"
        for status, one in sorted(facts["responses"].items())
    )
    example = escape(EXAMPLES[path].format(base=BASE))
    return (
        f"<section><h2><span>{escape(method.upper())}</span> <code>{escape(path)}</code></h2>"
        f"<p>{escape(facts.get('description', ''))}</p><pre>{example}</pre>{asks}"
        f"<h3>Answers</h3><table>{answers}</table></section>"
    )


def _schema(name: str, facts: Mapping[str, Any]) -> str:
    rows = "".join(
        f"<tr><td><code>{escape(field)}</code></td><td>{escape(_type(one))}</td>"
        f"<td>{_plain(one.get('description', ''))}</td></tr>"
        for field, one in facts.get("properties", {}).items()
    )
    told = _plain(facts.get("description", ""))
    return f"<section><h2><code>{escape(name)}</code></h2><p>{told}</p><table>{rows}</table></section>"


def _type(one: Mapping[str, Any]) -> str:
    if "$ref" in one:
        return str(one["$ref"]).rsplit("/", 1)[-1]
    if "anyOf" in one:
        return " or ".join(_type(kind) for kind in one["anyOf"])
    if one.get("type") == "array":
        return f"list of {_type(one['items'])}"
    if "enum" in one or "const" in one:
        return " or ".join(str(value) for value in one.get("enum", [one.get("const")]))
    return str(one.get("type", "anything"))


def _plain(text: str) -> str:
    return escape(text.replace("`", "").replace("\n", " "))


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>metafacs: HTTP API</title><link rel="stylesheet" href="/page/page.css"></head>
<body class="mf-doc"><main>
<p><a href="/">metafacs</a></p>
<h1>HTTP API</h1>
<p>Version {version}. For programs: <a href="/openapi.json">OpenAPI description</a>. Errors are JSON of the form
<code>{{"error": {{"code": ..., "message": ...}}}}</code>. Uploads are removed as soon as they are answered.
With a password: <code>curl -u :PASSWORD ...</code></p>
{operations}
<h1>Data</h1>
{schemas}
</main></body></html>
"""
