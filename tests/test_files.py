import errno
import os
import signal
import stat
from pathlib import Path

import pytest

from metafacs.errors import InputError
from metafacs.files import LOCK, atomic_file, lock, make_folder, naming, read_yaml, refuse_files, write_text
from tests.launcher import Launcher


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


def test_what_a_killed_process_left_is_written_over(tmp_path: Path) -> None:
    with pytest.raises(KeyError), atomic_file(tmp_path / "a.txt") as partial:
        raise KeyError
    partial.write_text("half")
    write_text(tmp_path / "a.txt", "whole")
    assert names(tmp_path) == ["a.txt"]


def test_a_link_is_replaced_and_what_it_leads_to_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "a").symlink_to(tmp_path / "mine")
    write_text(tmp_path / "a", "new")
    assert (tmp_path / "mine").read_text() == "mine" and not (tmp_path / "a").is_symlink()


@pytest.mark.parametrize("below", ["", "a", "a/b"])
def test_no_folder_is_made_where_something_else_is(tmp_path: Path, below: str) -> None:
    (tmp_path / "dangling").symlink_to(tmp_path / "nothing")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for link in ("dangling", "loop"):
        with pytest.raises(InputError, match=f"{link}.* cannot be made: a file, or a link that leads to no folder"):
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


def test_a_lock_is_of_one_process_and_a_killed_one_does_not_hold_it(launcher: Launcher, tmp_path: Path) -> None:
    """Nor does a process that was forked off, and outlives it."""
    hold = f"from pathlib import Path; from metafacs.files import lock; a = lock(Path({str(tmp_path / LOCK)!r}), 'x')\n"
    wait = "import os, time; os.fork()\n" + f"Path({str(tmp_path / 'held')!r}).touch(); time.sleep(5)\n"
    process = launcher.start(["--version"], tmp_path / "log", hold + wait)
    process.wait_for((tmp_path / "held").exists)
    for _ in range(2):
        with pytest.raises(InputError, match="it is taken"):
            lock(tmp_path / LOCK, "it is taken")
    process.send(signal.SIGKILL)
    process.wait()
    with lock(tmp_path / LOCK, "it is taken"), pytest.raises(InputError, match="here too"):
        lock(tmp_path / LOCK, "here too")
    lock(tmp_path / LOCK, "it is taken").close()


def test_a_lock_empties_nothing_that_a_link_leads_to(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    (tmp_path / LOCK).symlink_to(tmp_path / "mine")
    with pytest.raises(OSError, match=r"\.lock"):
        lock(tmp_path / LOCK, "taken")
    assert (tmp_path / "mine").read_text() == "mine"


@pytest.mark.parametrize("content", [b"a: [1", b"\xff", b"a: 2024-99-99", b"!!python/object/apply:os.system [x]"])
def test_yaml_that_is_not_plain_values_says_where(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(content)
    with pytest.raises(InputError, match=r"a.yaml is not valid YAML"):
        read_yaml(tmp_path / "a.yaml")
