from pathlib import Path

import pytest

from metafacs.datasets.textfiles import read_csv, read_lines, whole_number
from metafacs.errors import InputError


@pytest.mark.parametrize("content", ["a\nb\n", "\ufeffa\nb", "a\r\nb\r\n\r\n", "  a \n\n\tb\n  \n", "a\rb"])
def test_bom_crlf_spaces_and_blank_lines_do_not_matter(content: str, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_bytes(content.encode())
    assert [line for _, line in read_lines(tmp_path / "list.txt", "the list")] == ["a", "b"]


def test_lines_keep_their_numbers(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("\n a\n\nb\n")
    assert read_lines(tmp_path / "list.txt", "the list") == [(2, "a"), (4, "b")]


def test_utf_16_of_spreadsheets_is_read(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes("a,b\r\n1,2\r\n".encode("utf-16"))
    assert list(read_csv(tmp_path / "t.csv", "the table")) == [(1, ["a", "b"]), (2, ["1", "2"])]


@pytest.mark.parametrize("reader", [read_lines, lambda path, what: list(read_csv(path, what))])
def test_what_is_no_text_file_is_told_apart(reader, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there is no file .*absent\.txt \(the list\)"):
        reader(tmp_path / "absent.txt", "the list")
    (tmp_path / "folder.txt").mkdir()
    with pytest.raises(InputError, match=r"folder\.txt is a folder, but the list must be a file"):
        reader(tmp_path / "folder.txt", "the list")
    (tmp_path / "empty.txt").touch()
    with pytest.raises(InputError, match=r"empty\.txt \(the list\) is empty, 0 bytes"):
        reader(tmp_path / "empty.txt", "the list")
    (tmp_path / "blank.txt").write_text("\n  \n")
    with pytest.raises(InputError, match="blank lines only"):
        reader(tmp_path / "blank.txt", "the list")
    (tmp_path / "binary.txt").write_bytes(b"a,\xff\xd8,\n")
    with pytest.raises(InputError, match="not text in UTF-8"):
        reader(tmp_path / "binary.txt", "the list")


def test_zero_bytes_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_bytes(b"a\n\0\0\0\n")
    with pytest.raises(InputError, match="zero bytes"):
        read_lines(tmp_path / "list.txt", "the list")
    with pytest.raises(InputError, match="zero bytes"):
        list(read_csv(tmp_path / "list.txt", "the list"))


def test_a_ten_thousand_line_file_cut_in_a_line_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    whole = "frame,AU1,AU2\n" + "".join(f"{frame},0,1\n" for frame in range(9_999))
    path.write_text(whole)
    assert len(list(read_csv(path, "labels"))) == 10_000
    path.write_text(whole[:-4])
    with pytest.raises(InputError, match=r"line 10,000: 2 of 3 columns; the last line: the file was cut off"):
        list(read_csv(path, "labels"))
    lines = whole.split("\n")
    lines[5_000] = lines[5_000][:4]
    path.write_text("\n".join(lines))
    with pytest.raises(InputError, match=r"line 5,001: 1 of 3 columns; the file is damaged there"):
        list(read_csv(path, "labels"))


def test_a_file_cut_inside_quotes_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text('a,b\n1,"two\n')
    with pytest.raises(InputError, match="after line 1: unexpected end of data"):
        list(read_csv(tmp_path / "t.csv", "the table"))


@pytest.mark.parametrize(("text", "value"), [("3", 3), ("3.0", 3), ("1.7000000e+01", 17), ("-1", -1), ("+2", 2)])
def test_whole_numbers(text: str, value: int) -> None:
    assert whole_number(text, Path("f"), 1, "a label") == value


@pytest.mark.parametrize("text", ["", "x", "3.5", "1.7000000e+0", "1.7e", "nan", "1e999", "0x1", "1_000", "１"])
def test_other_cells_name_file_and_line(text: str) -> None:
    with pytest.raises(InputError, match=r"f\.csv, line 1,234: .* where a label should be a whole number"):
        whole_number(text, Path("f.csv"), 1234, "a label")
