"""How the server says no."""

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from metafacs.serving.limits import MEGABYTE


class RefusedError(HTTPException):
    """A request that gets no answer but a reason.

    Args:
        status: HTTP status.
        code: one word for programs.
        message: what was found and what to do, for people.
        headers: of the response.
    """

    def __init__(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(status, message, headers)
        self.code = code


def error_fields(error: HTTPException) -> dict[str, str]:
    """A refusal as JSON has it: `code` and `message`."""
    code = {404: "not_found", 405: "wrong_method"}.get(error.status_code, "refused")
    # what was sent may hold half of a surrogate pair, which UTF-8 has no bytes for
    message = str(error.detail).encode("utf-8", "replace").decode()
    return {"code": getattr(error, "code", code), "message": message}


def error_response(error: HTTPException) -> JSONResponse:
    """The response to a request that is refused."""
    return JSONResponse({"error": error_fields(error)}, error.status_code, error.headers)


def unreadable(reason: str) -> RefusedError:
    """The file is not a picture or video, or a damaged one."""
    return RefusedError(
        422,
        "unreadable",
        f"this file cannot be read: {reason}; send a photo (JPEG, PNG, WebP ...) or a video (MP4, MOV, WebM, AVI ...)",
    )


def too_large(most: int) -> RefusedError:
    """The request has more bytes than allowed."""
    return RefusedError(
        413,
        "too_large",
        f"the file is larger than the {most / MEGABYTE:g} MB that this server takes; "
        "send a smaller photo or a shorter video",
    )


def timed_out() -> RefusedError:
    """There is no answer in time."""
    return RefusedError(
        503, "timeout", "the answer took too long; try a shorter video, or later", {"Retry-After": "30"}
    )


def internal() -> RefusedError:
    """The fault is ours."""
    return RefusedError(500, "internal", "something went wrong here; the server's log has the details")
