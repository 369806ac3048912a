"""What a server accepts, and how it says no."""

from dataclasses import dataclass

MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Limits:
    """What a server accepts.

    Attributes:
        most_bytes: of a request.
        most_pixels: of a picture, or of a frame.
        most_seconds: of a video.
        most_frames: of a video; a file can pack any number into a second.
        places: requests that may be waited for or worked on at the same time.
        timeout: seconds until an answer must be there, from the end of the upload.
        upload_timeout: seconds that an upload may take.
    """

    most_bytes: int = 64 * MEGABYTE
    most_pixels: int = 50_000_000
    most_seconds: float = 120.0
    most_frames: int = 7200
    places: int = 32
    timeout: float = 300.0
    upload_timeout: float = 60.0


class RefusedError(Exception):
    """A request that gets no answer but a reason.

    Args:
        status: HTTP status.
        code: one word for programs.
        message: what was found and what to do, for people.
        retry_after: seconds after which it is worth trying again; None where trying again does not help.
    """

    def __init__(self, status: int, code: str, message: str, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.retry_after = status, code, message, retry_after

    def body(self) -> dict[str, dict[str, str]]:
        """What is sent as JSON."""
        # what was sent may hold half of a surrogate pair, which UTF-8 has no bytes for
        return {"error": {"code": self.code, "message": self.message.encode("utf-8", "replace").decode()}}

    def headers(self) -> dict[str, str]:
        """Headers of the response."""
        return {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}


def unreadable(reason: str) -> RefusedError:
    """The file is no picture or video, or a damaged one."""
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
