"""Rows that belong together stay together across parts; half-written files are never seen."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from metafacs.errors import InputError
from metafacs.inference.outputs import (
    append_csv,
    check_outputs,
    partial_path,
    read_groups,
    writable_folder,
    write_tables,
)


def test_groups_across_parts() -> None:
    tables = [
        pd.DataFrame({"source": [0, 0], "frame": [0, 1], "face": [0, 0]}),
        pd.DataFrame({"source": [0, 0], "frame": [1, 1], "face": [1, 2]}),
        pd.DataFrame({"source": [1], "frame": [1], "face": [0]}),
    ]
    found = [(key, group["face"].tolist()) for key, group in read_groups(tables, ["source", "frame"])]
    assert found == [((0, 0), [0]), ((0, 1), [0, 1, 2]), ((1, 1), [0])]


def test_kinds_of_output() -> None:
    check_outputs([Path("a.csv"), Path("b.PARQUET")])
    with pytest.raises(InputError, match=r"a.xlsx: the name has to end in .csv or .parquet"):
        check_outputs([Path("a.xlsx")])
    with pytest.raises(InputError, match="twice"):
        check_outputs([Path("a.csv"), Path("./a.csv")])


def test_outputs_that_are_there(tmp_path: Path) -> None:
    out = tmp_path / "a.csv"
    out.write_text("precious")
    with pytest.raises(InputError, match="is there already"):
        check_outputs([out])
    check_outputs([out], overwrite=True)
    (tmp_path / "b.csv").mkdir()
    with pytest.raises(InputError, match="is a folder"):
        check_outputs([tmp_path / "b.csv"])


def test_folders_that_cannot_be_written_into(tmp_path: Path) -> None:
    writable_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir() and not list((tmp_path / "a" / "b").iterdir())
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file" / "a", Path("/proc/a"), Path("/proc")):
        with pytest.raises(InputError, match="nothing can be written into"):
            writable_folder(folder)


def test_a_failure_leaves_nothing_behind(tmp_path: Path) -> None:
    def tables() -> Iterator[pd.DataFrame]:
        yield pd.DataFrame({"a": [1]})
        raise InputError("broken")

    (tmp_path / "a.csv").write_text("before")
    with pytest.raises(InputError):
        write_tables([tmp_path / "a.csv", tmp_path / "b.parquet"], tables())
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"] and (tmp_path / "a.csv").read_text() == "before"


def test_the_file_so_far(tmp_path: Path) -> None:
    path = partial_path(tmp_path / "a.parquet")
    path.write_text("of another run")
    append_csv(path, pd.DataFrame({"a": [1], "b": ["x, y"]}), first=True)
    append_csv(path, pd.DataFrame({"a": [2], "b": [None]}), first=False)
    assert path.read_text() == 'a,b\n1,"x, y"\n2,\n'


def test_the_first_table_gets_its_name_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replace, placed = Path.replace, []
    monkeypatch.setattr(Path, "replace", lambda path, to: (placed.append(to.name), replace(path, to)))
    write_tables([tmp_path / "a.csv", tmp_path / "b.csv", tmp_path / "c.parquet"], [pd.DataFrame({"a": [1]})])
    assert placed[0] == "a.csv" and sorted(placed) == ["a.csv", "b.csv", "c.parquet"]
