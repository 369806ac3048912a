"""DISFA as it is released: `ActionUnit_Labels/SN001/SN001_au1.txt` and a video from a left and a right camera.

Label files hold "frame,intensity" lines, frames counted from 1, for twelve AUs. The videos,
`Videos_LeftCamera/LeftVideoSN001_comp.avi` and its like on the right, show the same moments from two sides. The label
files of the four AUs that papers leave out hold what the coder would have written for them.
"""

from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

from metafacs.errors import InputError
from metafacs.facs import AU_SETS
from metafacs.files import write_text
from metafacs.synth.parts import Row
from metafacs.synth.raw.camera import film
from metafacs.synth.raw.people import Footage

NAME = "DISFA"
EYES = 0.11
"""Distance between the eyes, as a share of the frame's width, on average."""
TURNS = {"Left": -0.09, "Right": 0.09}
"""Camera -> how far it stands to the side, radians."""


def write_footage(root: Path, shown: Footage, size: tuple[int, int], rays: int) -> list[Row]:
    """Writes both videos and the labels of one person into the tree and returns what is true of each frame."""
    subject = shown.subject.name
    for au in AU_SETS["disfa_all"]:
        lines = [f"{number},{level}" for number, _, level in shown.coded(au)]
        write_text(root / "ActionUnit_Labels" / subject / f"{subject}_au{au}.txt", "\n".join(lines) + "\n")
    rows: list[Row] = []
    for camera, turn in TURNS.items():
        path = Path(f"Videos_{camera}Camera") / f"{camera}Video{subject}_comp.avi"
        shots = list(shown.shots(turn))

        def pictures(path: Path = path, shots: list[Any] = shots) -> Iterator[bytes]:
            for frame, (encoded, marks, _) in enumerate(film(shots, size, rays)):
                rows.append({**shown.row(frame, path.as_posix(), shots[frame]), "landmarks": marks})
                yield encoded

        write_video(root / path, pictures(), size, 1 / shown.recording.step)
    return rows


def require_av() -> Any:
    """PyAV, which writes videos.

    Raises:
        InputError: it is not installed.
    """
    try:
        import av
    except ImportError as error:
        raise InputError("videos need PyAV; install it with `pip install 'metafacs[faces]'`") from error
    return av


def write_video(path: Path, pictures: Iterable[bytes], size: tuple[int, int], rate: float) -> None:
    """Writes a motion-JPEG video in constant memory.

    Args:
        path: of the AVI file.
        pictures: one JPEG file a frame.
        size: (height, width) in pixels.
        rate: frames a second.

    Raises:
        InputError: PyAV is not installed.
    """
    av = require_av()
    path.parent.mkdir(parents=True, exist_ok=True)
    exact = Fraction(rate).limit_denominator(1000)
    with av.open(str(path), "w", format="avi", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("mjpeg", rate=exact)
        stream.height, stream.width = size
        stream.pix_fmt = "yuvj420p"
        for number, picture in enumerate(pictures):
            packet = av.Packet(picture)  # the pictures are frames already: nothing is encoded again
            packet.stream, packet.time_base = stream, 1 / exact
            packet.pts = packet.dts = number
            packet.is_keyframe = True
            container.mux(packet)
