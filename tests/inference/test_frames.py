"""Every frame of a video is accounted for, wherever reading begins."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from metafacs.errors import InputError
from metafacs.faces.pictures import UnreadableError
from metafacs.inference.frames import DAMAGED, ahead, camera_frames, expected_frames, picture_frame, video_frames
from tests.inference.toys import draw, make_video

pytest.importorskip("av")


def shades(count: int) -> list[np.ndarray]:
    """Frames whose brightness says their number."""
    return [np.full((64, 80, 3), 20 + 5 * k, np.uint8) for k in range(count)]


def read(path: Path, start: int = 0) -> list[int]:
    frames = list(video_frames(path, start))
    assert [frame.number for frame in frames] == list(range(start, start + len(frames)))
    assert all(frame.time == pytest.approx(frame.number / 25) for frame in frames)
    return [round((frame.picture.mean() - 20) / 5) for frame in frames if frame.picture is not None]


@pytest.mark.parametrize("name, codec", [("a.mp4", "libx264"), ("b.avi", "mpeg4"), ("c.mkv", "libx264")])
@pytest.mark.parametrize("start", [0, 1, 17, 39])
def test_frames_from_any_place_on(name: str, codec: str, start: int, tmp_path: Path) -> None:
    path = make_video(tmp_path / name, shades(40), codec)
    assert read(path, start) == list(range(start, 40))
    whole = {frame.number: frame.picture for frame in video_frames(path)}
    for frame in video_frames(path, start):
        assert frame.picture is not None and np.array_equal(frame.picture, whole[frame.number])
    assert expected_frames(path) in (40, 0)


def test_a_damaged_frame_is_told(tmp_path: Path) -> None:
    import av

    path = make_video(tmp_path / "a.mkv", [draw([(60, 40)], k) for k in range(30)])
    with av.open(str(path)) as container:
        packets = [(p.pos, p.size) for p in container.demux(video=0) if p.size]
    content = bytearray(path.read_bytes())
    at, size = packets[5]
    content[at + 8 : at + size] = bytes(size - 8)
    path.write_bytes(content)
    frames = list(video_frames(path))
    assert [frame.number for frame in frames] == list(range(30))
    assert all(frame.problem == (DAMAGED if frame.picture is None else "") for frame in frames)


def test_a_cut_off_video_ends_where_it_was_cut(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.avi", [draw([(60, 40)], k) for k in range(40)])
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    frames = list(video_frames(path))
    assert 5 < sum(frame.picture is not None for frame in frames) < 35
    mp4 = make_video(tmp_path / "a.mp4", shades(20))
    mp4.write_bytes(mp4.read_bytes()[: mp4.stat().st_size // 2])
    with pytest.raises(UnreadableError, match="damaged or no video"):
        list(video_frames(mp4))


@pytest.mark.parametrize("content", [b"", b"some text", bytes(5000)])
def test_what_is_no_video(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    with pytest.raises(UnreadableError):
        list(video_frames(path))
    assert expected_frames(path) == 0


def test_a_video_of_no_known_kind(tmp_path: Path) -> None:
    path = make_video(tmp_path / "v.mov", [draw([])] * 5, "libx264")
    path.write_bytes(path.read_bytes().replace(b"avc1", b"zzzz"))
    with pytest.raises(UnreadableError, match="no decoder here knows"):
        list(video_frames(path))
    assert expected_frames(path) == 5


def test_a_file_with_sound_only(tmp_path: Path) -> None:
    import av

    path = tmp_path / "a.wav"
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


def test_a_picture_is_one_frame(tmp_path: Path) -> None:
    frame = picture_frame(tmp_path / "none.png")
    assert (frame.number, frame.time, frame.picture, frame.problem) == (0, None, None, "missing file")


def test_what_is_made_ahead_is_the_same() -> None:
    assert list(ahead(iter(range(50)), 2)) == list(range(50))
    assert list(ahead(iter([None, 0, False]))) == [None, 0, False]


def test_errors_come_through_from_the_thread() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise InputError("broken")

    made = ahead(items())
    assert next(made) == 1
    with pytest.raises(InputError, match="broken"):
        next(made)


def test_few_wait_and_the_thread_ends_with_its_user() -> None:
    made: list[int] = []

    def items() -> Iterator[int]:
        for k in range(1000):
            made.append(k)
            yield k

    before = threading.active_count()
    generator = ahead(items(), 3)
    assert next(generator) == 0
    time.sleep(0.05)
    assert len(made) <= 6
    generator.close()
    assert threading.active_count() == before
