import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from metafacs.errors import InputError
from metafacs.faces.pictures import UnreadableError
from metafacs.faces.video import (
    DAMAGED,
    announced_frames,
    camera_frames,
    count_frames,
    expected_frames,
    frame_times,
    read_frames,
    video_frames,
)

av: Any = pytest.importorskip("av")
FRAMES, BITS, WIDTH, HEIGHT = 60, 8, 160, 96


def numbered(number: int) -> np.ndarray:
    """A frame that shows its number as black and white bars, and is brighter at the top."""
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    for bit in range(BITS):
        image[:, bit * 20 : (bit + 1) * 20] = 180 * (number >> bit & 1)
    image[: HEIGHT // 4] += 60
    return image


def shown(image: np.ndarray) -> int:
    middle = image[image.shape[0] // 2]
    return sum(1 << bit for bit in range(BITS) if middle[bit * 20 + 10].mean() > 100)


def make_video(path: Path, codec: str, options: dict[str, str] | None = None, frames: int = FRAMES) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.options = options or {}
        stream.codec_context.gop_size = 12
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray(numbered(number), format="rgb24")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


CASES = [
    ("a.mp4", "libx264", {"bf": "3"}),
    ("b.avi", "mpeg4", {}),
    ("c.avi", "libx264", {"bf": "2"}),  # AVI has no times of showing: frames must be counted
    ("d.mkv", "libx264", {"bf": "2"}),
    ("e.mov", "mpeg4", {"bf": "2"}),
]


@pytest.mark.parametrize("name, codec, options", CASES)
def test_frames_come_by_number(name: str, codec: str, options: dict[str, str], tmp_path: Path) -> None:
    if codec not in av.codecs_available:
        pytest.skip(f"no encoder {codec}")
    path = make_video(tmp_path / name, codec, options)
    assert count_frames(path) == FRAMES
    for wanted in (range(FRAMES), [0], [FRAMES - 1], [25, 26, 51], [3, 40]):
        assert [(number, shown(image)) for number, image in read_frames(path, list(wanted))] == [(k, k) for k in wanted]
    for start in (0, 1, 17, FRAMES - 1, FRAMES):
        frames = [(frame.number, frame.time, shown(frame.picture)) for frame in video_frames(path, start)]  # type: ignore[arg-type]
        assert frames == [(k, pytest.approx(k / 25), k) for k in range(start, FRAMES)]
    assert expected_frames(path) in (FRAMES, 0)


def test_frames_that_a_video_does_not_have_are_left_out(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", "mpeg4", frames=10)
    assert [number for number, _ in read_frames(path, [8, 9, 10, 500])] == [8, 9]
    assert list(read_frames(path, [77])) == [] and list(read_frames(path, [])) == []


def turn(path: Path, matrix: tuple[int, int, int, int]) -> None:
    """Writes a display matrix into the track header of an MP4 file."""
    content = bytearray(path.read_bytes())
    start = content.index(b"tkhd") + 4 + 40  # after version, flags, times, layer, volume
    a, b, c, d = (value << 16 for value in matrix)
    for k, value in enumerate((a, b, 0, c, d, 0, 0, 0, 1 << 30)):
        content[start + 4 * k : start + 4 * k + 4] = value.to_bytes(4, "big", signed=True)
    path.write_bytes(content)


@pytest.mark.parametrize(
    "matrix, top",
    [((1, 0, 0, 1), "top"), ((0, 1, -1, 0), "right"), ((-1, 0, 0, -1), "bottom"), ((0, -1, 1, 0), "left")],
)
def test_rotation_is_undone(matrix: tuple[int, int, int, int], top: str, tmp_path: Path) -> None:
    """The bright band, at the top of what is stored, goes where the matrix (x' = ax + cy, y' = bx + dy) takes it."""
    path = make_video(tmp_path / "turned.mp4", "mpeg4", frames=2)
    turn(path, matrix)
    ((_, image),) = read_frames(path, [0])
    assert image.shape[:2] == ((HEIGHT, WIDTH) if top in ("top", "bottom") else (WIDTH, HEIGHT))
    edges = {"top": image[:8], "bottom": image[-8:], "left": image[:, :8], "right": image[:, -8:]}
    assert max(edges, key=lambda edge: edges[edge].mean()) == top


def test_a_damaged_frame_does_not_shift_the_others(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mkv", "mpeg4", {"bf": "0"})
    with av.open(str(path)) as container:
        packets = [(p.pos, p.size) for p in container.demux(video=0) if p.size]
    content = bytearray(path.read_bytes())
    at, size = packets[5]
    content[at + 8 : at + size] = bytes(size - 8)
    path.write_bytes(content)
    found = {number: shown(image) for number, image in read_frames(path, list(range(FRAMES)))}
    assert all(found[k] == k for k in range(12, FRAMES))
    frames = list(video_frames(path))
    assert [frame.number for frame in frames] == list(range(FRAMES))
    assert all(frame.problem == (DAMAGED if frame.picture is None else "") for frame in frames)


def test_a_video_that_is_cut_off_gives_what_it_has(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.avi", "mpeg4")
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    found = [(number, shown(image)) for number, image in read_frames(path, list(range(FRAMES)))]
    assert 20 < len(found) < FRAMES and all(one == other for one, other in found)
    seen = [(frame.number, shown(frame.picture)) for frame in video_frames(path) if frame.picture is not None]
    assert seen == found
    mp4 = make_video(tmp_path / "a.mp4", "mpeg4")
    mp4.write_bytes(mp4.read_bytes()[: mp4.stat().st_size // 2])
    with pytest.raises(UnreadableError, match="damaged or no video"):
        list(video_frames(mp4))


def test_what_is_no_video(tmp_path: Path) -> None:
    (tmp_path / "text.avi").write_text("not a video " * 100)
    (tmp_path / "empty.mp4").write_text("")
    (tmp_path / "zeros.mp4").write_bytes(bytes(5000))
    for path, text in (
        (tmp_path / "none.avi", "missing file"),
        (tmp_path / "zeros.mp4", "damaged or no video"),
        (tmp_path, "a folder"),
        (tmp_path / "text.avi", "damaged or no video"),
        (tmp_path / "empty.mp4", "empty file"),
    ):
        with pytest.raises(UnreadableError, match=text):
            list(read_frames(path, [0]))
        with pytest.raises(UnreadableError, match=text):
            list(video_frames(path))
        assert expected_frames(path) == 0


def test_shared_times_are_not_believed() -> None:
    class Packet:
        size = 1

        def __init__(self, pts: int | None, is_discard: bool = False) -> None:
            self.pts, self.is_discard = pts, is_discard

    class Container:
        def __init__(self, *times: int | None, hidden: int = 0) -> None:
            self.packets = [Packet(time, k < hidden) for k, time in enumerate(times)]

        def demux(self, stream: object) -> list[Packet]:
            return self.packets

    context = type("Context", (), {"has_b_frames": 0})()
    stream = type("Stream", (), {"codec_context": context, "width": 8, "height": 8})()
    assert frame_times(Container(0, 20, 10), stream, av) == [0, 10, 20]
    assert frame_times(Container(0, 10, 10), stream, av) is None
    assert frame_times(Container(0, None, 10), stream, av) is None
    assert frame_times(Container(-20, -10, 0, 10, hidden=2), stream, av) == [0, 10]


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.mov"])
def test_a_cover_that_stands_before_the_film_is_passed_over(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    with av.open(str(path), "w") as container:
        cover, film = container.add_stream("mjpeg", rate=25), container.add_stream("mpeg4", rate=25)
        cover.width, cover.height, cover.pix_fmt = 64, 64, "yuvj420p"
        film.width, film.height, film.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        blank = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
        blank.pts = 0
        for packets in (cover.encode(blank), cover.encode()):
            container.mux(packets)
        for number in range(10):
            frame = av.VideoFrame.from_ndarray(numbered(number), format="rgb24")
            frame.pts = number
            container.mux(film.encode(frame))
        container.mux(film.encode())
    assert [shown(frame.picture) for frame in video_frames(path)] == list(range(10))  # type: ignore[arg-type]
    assert [(number, shown(image)) for number, image in read_frames(path, [7])] == [(7, 7)] and count_frames(path) == 10


@pytest.mark.parametrize("hidden", [3, 14])  # 14: the next key frame is behind the first frames
def test_an_edit_list_hides_frames_and_is_not_taken_for_a_cut_off_file(hidden: int, tmp_path: Path) -> None:
    whole, path = make_video(tmp_path / "a.mp4", "libx264", {"bf": "3"}), tmp_path / "trimmed.mp4"
    with av.open(str(whole)) as given, av.open(str(path), "w") as container:
        stream = given.streams.video[0]
        copy, off = container.add_stream_from_template(stream), round(hidden / 25 / stream.time_base)
        for packet in given.demux(stream):
            if packet.dts is not None:
                packet.pts, packet.dts, packet.stream = packet.pts - off, packet.dts - off, copy
                container.mux(packet)
    frames = [(frame.number, frame.time, shown(frame.picture)) for frame in video_frames(path)]  # type: ignore[arg-type]
    assert frames == [(k, pytest.approx(k / 25), k + hidden) for k in range(FRAMES - hidden)]
    assert announced_frames(path, len(frames), frames[-1][1] or 0) == 0
    assert announced_frames(path, 20, 19 / 25) == FRAMES


def test_a_still_picture_is_never_a_video(tmp_path: Path) -> None:
    for name, form in (("a.mp4", "JPEG"), ("b.avi", "PNG"), ("c.gif", "GIF"), ("d.mov", "AVIF")):
        Image.fromarray(numbered(3)).save(tmp_path / name, form)
    photograph = (Path(__file__).parent / "grid.heic").read_bytes()
    (tmp_path / "e.mov").write_bytes(photograph)
    (tmp_path / "damaged.mov").write_bytes(photograph[:400])
    for path in tmp_path.iterdir():
        with pytest.raises(UnreadableError, match="a still picture"):
            list(video_frames(path))
        with pytest.raises(UnreadableError, match="a still picture"):
            count_frames(path)


def test_a_playlist_is_not_followed(tmp_path: Path) -> None:
    make_video(tmp_path / "a.mp4", "mpeg4", frames=5)
    (tmp_path / "list.mp4").write_text("ffconcat version 1.0\nfile a.mp4\n")
    with pytest.raises(UnreadableError, match="damaged or no video"):
        list(video_frames(tmp_path / "list.mp4"))


def test_pyav_that_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(InputError, match="install the faces extra"):
        list(read_frames(tmp_path / "a.avi", [0]))


def test_a_video_of_no_known_kind(tmp_path: Path) -> None:
    path = make_video(tmp_path / "v.mov", "libx264", frames=5)
    path.write_bytes(path.read_bytes().replace(b"avc1", b"zzzz"))
    for read in (lambda: count_frames(path), lambda: list(read_frames(path, [0])), lambda: list(video_frames(path))):
        with pytest.raises(UnreadableError, match="no decoder here knows"):
            read()
    assert expected_frames(path) == 5


def test_a_file_with_sound_only(tmp_path: Path) -> None:
    path = tmp_path / "a.mov"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.int16), format="s16", layout="mono")
        sound.rate = 8000
        container.mux(stream.encode(sound))
    with pytest.raises(UnreadableError, match="no video in it"):
        list(video_frames(path))


def test_a_camera_that_is_not_there() -> None:
    with pytest.raises(InputError, match="camera 77"):
        list(camera_frames(77))
