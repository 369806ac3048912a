import errno
import os
import stat
from pathlib import Path

import pytest

from metafacs.errors import InputError
from metafacs.files import LONGEST, atomic_file, make_folder, naming, refuse_files, remove_partials, write_text


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_whole_and_alone(tmp_path: Path) -> None:
    with atomic_file(tmp_path / "new" / "a.txt") as partial:
        partial.write_text("half")
        assert not (tmp_path / "new" / "a.txt").exists()
        partial.write_text("whole")
    assert (tmp_path / "new" / "a.txt").read_text() == "whole"
    assert names(tmp_path / "new") == ["a.txt"]


def test_the_temporary_name_is_hidden_and_keeps_the_suffix(tmp_path: Path) -> None:
    with atomic_file(tmp_path / "a.parquet") as partial:
        partial.touch()
        assert partial.name.startswith(".a.parquet.") and partial.suffix == ".parquet"


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_an_error_leaves_what_was_there(tmp_path: Path, error: type[BaseException]) -> None:
    (tmp_path / "a").write_text("old")
    with pytest.raises(error), atomic_file(tmp_path / "a") as partial:
        partial.write_text("new")
        raise error
    assert (tmp_path / "a").read_text() == "old"
    assert names(tmp_path) == ["a"]


def test_a_file_that_was_never_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), atomic_file(tmp_path / "a"):
        pass
    assert names(tmp_path) == []


def test_a_file_is_synced_before_it_takes_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(os, "fsync", lambda file: seen.append((tmp_path / "a").exists()))
    write_text(tmp_path / "a", "text")
    assert seen == [False]
    assert (tmp_path / "a").read_text() == "text"


def test_text_is_utf8_and_as_open_to_others_as_any_file(tmp_path: Path) -> None:
    write_text(tmp_path / "a", "œuvre\n")
    assert (tmp_path / "a").read_bytes() == "œuvre\n".encode()
    (tmp_path / "b").touch()
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == stat.S_IMODE((tmp_path / "b").stat().st_mode)


def test_a_failed_write_says_where(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=str(tmp_path / "a")) as caught, atomic_file(tmp_path / "a"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert caught.value.errno == errno.ENOSPC


def test_an_error_that_says_where_is_left_alone(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="nowhere") as caught, naming(tmp_path):
        (tmp_path / "nowhere").open()
    assert caught.value.filename == str(tmp_path / "nowhere") or caught.value.filename == tmp_path / "nowhere"


@pytest.mark.parametrize("name", ["n" * LONGEST, "a." + "n" * 253, "ä" * 120 + ".parquet", "a\nb.csv"])
def test_the_longest_names_can_be_written_and_what_is_left_of_them_be_found(tmp_path: Path, name: str) -> None:
    with atomic_file(tmp_path / name) as partial:
        partial.write_text("whole")
        left = partial.name
    assert names(tmp_path) == [name]
    dead = left.replace(str(os.getpid()), "4194305")  # above every process number
    (tmp_path / dead).touch()
    remove_partials(tmp_path, ["other"])
    assert len(names(tmp_path)) == 2
    remove_partials(tmp_path, [name], of_living=False)
    assert names(tmp_path) == [name]


def test_only_what_is_left_of_files_is_removed(tmp_path: Path) -> None:
    kept = [
        ".a.partial",
        "b.12.partial.csv",
        ".c.partial.csv",
        ".d.12.partial.csv.old.txt",
        f".e.{os.getppid()}.partial",
    ]
    for name in (*kept, ".f.4194305.partial", ".g.h.4194305.partial.h"):
        (tmp_path / name).touch()
    (tmp_path / ".folder.4194305.partial").mkdir()
    remove_partials(tmp_path, of_living=False)
    assert names(tmp_path) == sorted([*kept, ".folder.4194305.partial"])
    remove_partials(tmp_path)
    assert f".e.{os.getppid()}.partial" not in names(tmp_path)
    remove_partials(tmp_path / "nothing")


@pytest.mark.parametrize("below", ["", "a", "a/b"])
def test_no_folder_is_made_where_something_else_is(tmp_path: Path, below: str) -> None:
    (tmp_path / "dangling").symlink_to(tmp_path / "nothing")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for link in ("dangling", "loop"):
        with pytest.raises(InputError, match=f"{link} is a link that leads to no folder, where a folder is needed"):
            make_folder(tmp_path / link / below)
    (tmp_path / "file").touch()
    with pytest.raises(InputError if not below else NotADirectoryError):
        make_folder(tmp_path / "file" / below)
    assert names(tmp_path) == ["dangling", "file", "loop"]


def test_files_that_would_be_replaced_are_named(tmp_path: Path) -> None:
    refuse_files(tmp_path, ["a", "b"], "move them")
    (tmp_path / "b").symlink_to(tmp_path / "nothing")
    with pytest.raises(InputError, match=r"holds b already, .* move them"):
        refuse_files(tmp_path, ["a", "b"], "move them")
