"""Unfinished work: whole parts, one place to go on from, no mixing."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from metafacs.errors import InputError
from metafacs.faces.video import Frame
from metafacs.inference.parts import Parts, parts_folder
from metafacs.inference.rows import empty_row, raw_table
from metafacs.inference.watching import Part

AUS = ["AU01"]


def part(start: int) -> Part:
    rows = [empty_row(0, "v.mp4", Frame(k, k / 25, None)) for k in range(start, start + 3)]
    table = raw_table(rows, np.zeros((0, 1), np.float32), AUS)
    return Part(table, 3, {"source": 0, "frame": start + 3, "tracker": {"next": start}})


def test_parts_and_the_place_behind_them(tmp_path: Path) -> None:
    parts = Parts(tmp_path / "a.csv", {"every": 1})
    assert parts.after() is None and parts.frames() == 0
    parts.append(part(0))
    parts.append(part(3))
    parts.close()
    again = Parts(tmp_path / "a.csv", {"every": 1}, resume=True)
    assert again.after() == {"source": 0, "frame": 6, "tracker": {"next": 3}, "frames": 6}
    assert pa.concat_tables(again.read())["frame"].to_pylist() == list(range(6))
    again.remove()
    assert list(tmp_path.iterdir()) == []


def test_unfinished_work_is_neither_lost_nor_mixed(tmp_path: Path) -> None:
    out = tmp_path / "a.csv"
    first = Parts(out, {"every": 1})
    first.append(part(0))
    with pytest.raises(InputError, match="another process"):
        Parts(out, {"every": 1}, resume=True)
    first.close()
    with pytest.raises(InputError, match="holds unfinished work"):
        Parts(out, {"every": 1})
    with pytest.raises(InputError, match="begun with another every"):
        Parts(out, {"every": 2}, resume=True)
    anew = Parts(out, {"every": 2}, overwrite=True)
    assert anew.count == 0
    anew.close()


def test_damaged_parts(tmp_path: Path) -> None:
    out = tmp_path / "a.csv"
    parts = Parts(out, {})
    parts.append(part(0))
    parts.append(part(3))
    parts.close()
    second = parts_folder(out) / "part-000001.parquet"
    second.write_bytes(second.read_bytes()[:50])
    with pytest.raises(InputError, match="is damaged"):
        Parts(out, {}, resume=True).after()
    (parts_folder(out) / "part-000000.parquet").unlink()
    with pytest.raises(InputError, match="a part is missing"):
        Parts(out, {}, resume=True)


def test_work_whose_removal_was_interrupted_can_be_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = Parts(tmp_path / "a.csv", {"every": 1})
    for start in (0, 3, 6):
        parts.append(part(start))
    unlink, gone = Path.unlink, []

    def once(path: Path, missing_ok: bool = False) -> None:
        if gone:
            raise KeyboardInterrupt
        gone.append(path.name)
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", once)
    with pytest.raises(KeyboardInterrupt):
        parts.remove()
    monkeypatch.undo()
    parts.close()
    assert gone == ["part-000002.parquet"]
    again = Parts(tmp_path / "a.csv", {"every": 1}, resume=True)
    assert again.frames() == 6
    again.remove()
    assert list(tmp_path.iterdir()) == []


def test_nobody_elses_files_are_removed(tmp_path: Path) -> None:
    (tmp_path / "a.csv.parts").mkdir()
    (tmp_path / "a.csv.parts" / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match=r"it holds notes.txt, which metafacs did not put there"):
        Parts(tmp_path / "a.csv", {}, overwrite=True)
    (tmp_path / "b.csv.parts").symlink_to(tmp_path / "a.csv.parts")
    with pytest.raises(InputError, match="is a link"):
        Parts(tmp_path / "b.csv", {}, overwrite=True)
    assert (tmp_path / "a.csv.parts" / "notes.txt").read_text() == "mine"
