"""What a server accepts."""

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
