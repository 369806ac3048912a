"""What inputs may be."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from metafacs.errors import InputError
from metafacs.inference.sources import (
    CAMERA,
    PICTURE,
    RECORDING,
    VIDEO,
    expected_total,
    find_sources,
    recordings,
    source_frames,
)
from tests.inference.toys import draw, make_video, save_picture


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "Sitzung 1" / "b").mkdir(parents=True)
    for name in ("Sitzung 1/ä 2.png", "Sitzung 1/b/1.JPG", "Sitzung 1/.hidden.png", "0.png"):
        Image.fromarray(draw([])).save(tmp_path / name)
    (tmp_path / "Sitzung 1" / "notes.txt").write_text("not meant")
    make_video(tmp_path / "Sitzung 1" / "a.mp4", [draw([])] * 3)
    return tmp_path


def names(*inputs: object) -> list[str]:
    return [source.path.name for source in find_sources([str(one) for one in inputs])]


def test_folders_patterns_and_files(folder: Path) -> None:
    assert names(folder) == ["0.png", "a.mp4", "ä 2.png", "1.JPG"]
    assert names(folder / "**" / "*.png") == ["0.png", "ä 2.png"]
    assert names(folder / "0.png", folder) == ["0.png", "a.mp4", "ä 2.png", "1.JPG"]  # each once
    kinds = [source.kind for source in find_sources([str(folder)])]
    assert kinds == [PICTURE, VIDEO, PICTURE, PICTURE]
    assert expected_total(find_sources([str(folder)])) == 6


def test_what_is_left_out_is_counted_and_named(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert len(find_sources([str(folder)])) == 4
    assert "1 files are left out" in caplog.text and "notes.txt" in caplog.text and "hidden" not in caplog.text
    caplog.clear()
    for k in range(1, 12):
        (folder / f"{k}.doc").write_text("not meant")
    find_sources([str(folder / "*")])
    assert "11 files are left out" in caplog.text and "1.doc, 2.doc, 3.doc, ..." in caplog.text


def test_names_come_in_the_order_in_which_people_count(tmp_path: Path) -> None:
    for k in (1, 2, 9, 10, 11):
        (tmp_path / f"t{k}").mkdir()
        for name in (f"{k}.png", f"t{k}/1.png", f"t{k}/10.png", f"t{k}/2.png"):
            save_picture(tmp_path / name, draw([], size=(16, 16)))
    assert names(tmp_path)[:5] == names(tmp_path / "*.png") == ["1.png", "2.png", "9.png", "10.png", "11.png"]
    inside = [source.path.relative_to(tmp_path).as_posix() for source in find_sources([str(tmp_path)])][5:]
    assert inside == [f"t{k}/{name}.png" for k in (1, 2, 9, 10, 11) for name in (1, 2, 10)]


def test_the_pictures_of_a_folder_as_a_recording(tmp_path: Path) -> None:
    for name in ("a/9.png", "a/10.png", "b/x012.png", "b/x003.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        save_picture(tmp_path / name, draw([], size=(16, 16)))
    make_video(tmp_path / "c.mp4", [draw([])] * 3)
    sources = recordings(find_sources([str(tmp_path)]), 10)
    assert [(source.path.name, source.kind) for source in sources] == [
        ("c.mp4", VIDEO),
        ("a", RECORDING),
        ("b", RECORDING),
    ]
    assert expected_total(sources) == 7
    frames = [(place, frame.number, frame.time) for place, frame in source_frames(sources, 1)]
    assert frames == [(1, 0, 0.0), (1, 1, 0.1), (2, 0, 0.0), (2, 9, 0.9)]
    assert [(place, frame.number) for place, frame in source_frames(sources, 2, 1)] == [(2, 9)]


def test_what_is_not_there(folder: Path) -> None:
    for text, message in (
        ("nothing.jpg", "does not exist"),
        (str(folder / "*.mov"), "matches no"),
        (str(folder / "none"), "does not exist"),
    ):
        with pytest.raises(InputError, match=message):
            find_sources([text])
    (folder / "bare").mkdir()
    with pytest.raises(InputError, match="no picture or video in the folder"):
        find_sources([str(folder / "bare")])


def test_cameras(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    (source,) = find_sources(["0"])
    assert (source.kind, source.name) == (CAMERA, "camera 0") and expected_total([source]) == 0
    with pytest.raises(InputError, match="cannot be mixed"):
        find_sources(["0", "1"])


def test_links_to_folders_and_what_cannot_be_looked_at(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "link").symlink_to(folder / "Sitzung 1")
    assert names(folder / "link") == ["a.mp4", "ä 2.png", "1.JPG"]
    with pytest.raises(InputError, match=r"cannot be looked at .File name too long"):
        names("a" * 300)

    def refuse(path: Path) -> bool:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "is_dir", refuse)
    with pytest.raises(InputError, match=r"cannot be looked at .Permission denied"):
        names(folder)


def test_a_folder_that_may_not_be_looked_into_is_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real = os.scandir

    def scandir(path: str) -> object:
        if str(path).endswith("b"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert names(folder) == ["0.png", "a.mp4", "ä 2.png"]
    assert "is left out: Permission denied" in caplog.text


def test_an_animation_is_a_video(tmp_path: Path) -> None:
    pictures = [Image.fromarray(draw([], seed)) for seed in range(4)]
    pictures[0].save(tmp_path / "moving.gif", save_all=True, append_images=pictures[1:])
    pictures[0].save(tmp_path / "still.gif")
    sources = find_sources([str(tmp_path)])
    assert [source.kind for source in sources] == [VIDEO, PICTURE]
    frames = list(source_frames(sources))
    assert [(place, frame.number) for place, frame in frames] == [(0, 0), (0, 1), (0, 2), (0, 3), (1, 0)]


def test_names_that_are_no_unicode(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/\xff.png"
    with open(path, "wb") as file:  # noqa: PTH123 - a name of bytes
        Image.fromarray(draw([])).save(file, "PNG")
    (source,) = find_sources([str(tmp_path)])
    source.name.encode("utf-8")


def test_a_carriage_return_in_a_name_does_not_end_a_line_of_the_table(tmp_path: Path) -> None:
    path = tmp_path / "a\rb.png"
    Image.new("RGB", (20, 20)).save(path)
    (source,) = find_sources([str(path)])
    assert source.path == path and source.name == str(tmp_path / "a\ufffdb.png")
    ((_, frame),) = source_frames([source])
    assert frame.picture is not None


def test_frames_of_all_sources_from_any_place_on(tmp_path: Path) -> None:
    for k in range(5):
        save_picture(tmp_path / f"a{k}.png", np.full((20, 20, 3), 10 * k, np.uint8))
    make_video(tmp_path / "b.mp4", [draw([])] * 6)
    (tmp_path / "c.mp4").write_bytes(b"no video")
    save_picture(tmp_path / "d.png", draw([]))
    sources = find_sources([str(tmp_path)])
    whole = [(place, frame.number) for place, frame in source_frames(sources)]
    assert whole == [*((k, 0) for k in range(5)), *((5, k) for k in range(6)), (6, 0), (7, 0)]
    for at, (place, number) in enumerate(whole):
        assert [(p, f.number) for p, f in source_frames(sources, place, number)] == whole[at:]
    assert [(p, f.number) for p, f in source_frames(sources, 2, 1)] == whole[3:]
    # behind the last frame of a video, where a part may end
    assert [(p, f.number) for p, f in source_frames(sources, 5, 6)] == whole[11:]
    problems = [frame.problem for place, frame in source_frames(sources) if place == 6]
    assert "no video" in problems[0]
