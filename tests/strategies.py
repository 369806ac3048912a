"""Damage that files come to: changed bytes, lines and cells, other encodings; all of it from a seed."""

import csv
import io
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

HOSTILE_CELLS = (
    *("", " ", "NaN", "nan", "-nan", "inf", "-inf", "1e309", "1e18", "1e300", "9" * 30, "9" * 5000, "-1", "-0", "0x1"),
    *("1_0", "0_1", "1.5", "0.99999999999999999999", "+1", "1.", "1e0", "2147483648", "9223372036854775808", "5", "9"),
    *("٣", "²", "１", "½", "=1+1", "=cmd|' /C calc'!A0", "@SUM(1)", "-2+3", '"', '""', '"1', "'1'", "1;0", "1\t0"),
    *("true", "None", "null", "<NA>", "../../etc/passwd", "/etc/passwd", "../x.jpg", "~/x.jpg", "C:\\x.jpg", "."),
    *("a" * 300 + ".jpg", "x/" * 2000 + "1.jpg", "y" * 300 + "/1.jpg", "/" + "z" * 300 + ".jpg", "%s%n", "{0.x}"),
    *("\x1b[31m", "\x7f", "\x85", "\u2028", "\u202e", "\x00", "\ufeff1", "\U0001f600", "e\u0301", "AU01", "au1"),
    *("happiness", "Happy", "contempt", "train", "test", "Training", "F001", "S001_001_00000001.png", "²/1.jpg"),
)
"""Cells that a program, a spreadsheet or a stranger may leave in a table."""
WIDE = 10_000
"""Columns of the widest line; a million would only take longer."""


@dataclass(frozen=True)
class Damage:
    """What became of a file.

    Attributes:
        name: what was done.
        content: the bytes of the file now.
        lines: its lines as a reader that knows the encoding sees them.
    """

    name: str
    content: bytes
    lines: list[str]


Lines = list[str]
LineChange = Callable[[Lines, random.Random], Lines]


def damaged(content: bytes, rng: random.Random) -> Damage:
    """One to three changes to a file; a third of the time to its bytes, else to its lines and the way it is encoded."""
    if rng.random() < 0.33:
        name, changed = changed_bytes(content, rng)
        return Damage(name, changed, lines_of(changed.decode("latin-1")))
    lines, names = content.decode("utf-8", "surrogateescape").split("\n"), []
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        name = rng.choice(tuple(LINE_CHANGES))
        lines, names = LINE_CHANGES[name](lines, rng), [*names, name]
    how = rng.choice(tuple(ENCODINGS)) if rng.random() < 0.3 else "as it was"
    text = "\n".join(lines)
    changed = ENCODINGS[how](text) if how in ENCODINGS else text.encode("utf-8", "surrogateescape")
    seen = changed.decode("latin-1") if how in NARROW else text
    return Damage(f"{', '.join(names)}, {how}", changed, lines_of(seen))


def lines_of(text: str) -> Lines:
    """Lines, whatever ends them, without spaces around and without a byte order mark; empty ones left out."""
    plain = text.replace("\r\n", "\n").replace("\r", "\n").removeprefix("\ufeff").removeprefix("ï»¿")
    return [line.strip() for line in plain.split("\n") if line.strip()]


def hostile_cell(rng: random.Random) -> str:
    """One of `HOSTILE_CELLS`, or some letters out of all of Unicode."""
    if rng.random() < 0.85:
        return rng.choice(HOSTILE_CELLS)
    letters = (rng.randrange(1, 0x11000) for _ in range(rng.randrange(1, 12)))
    return "".join(chr(code) for code in letters if not 0xD800 <= code < 0xE000)


def changed_bytes(content: bytes, rng: random.Random) -> tuple[str, bytes]:
    """Flips, cuts, holes and rubbish: what disks, transfers and strangers do."""
    kind = rng.choice(("flip", "flip", "flip", "cut", "cut", "hole", "insert", "zeros", "random", "empty", "repeat"))
    found, at = bytearray(content), rng.randrange(len(content) + 1) if content else 0
    length = rng.choice((1, 2, 7, 64))
    if kind == "flip":
        for _ in range(rng.choice((1, 1, 2, 8))):
            if found:
                found[rng.randrange(len(found))] ^= 1 << rng.randrange(8)
    elif kind == "cut":
        del found[at:]
    elif kind == "hole":
        del found[at : at + length]
    elif kind == "insert":
        found[at:at] = rng.randbytes(length)
    elif kind == "zeros":
        found[at : at + length] = bytes(len(found[at : at + length]))
    elif kind == "random":
        found = bytearray(rng.randbytes(rng.choice((1, 50, 2000))))
    elif kind == "empty":
        found = bytearray()
    else:
        found += found[at:]
    return kind, bytes(found)


def _split(line: str) -> tuple[list[str], str]:
    mark = max(",;\t ", key=line.count)
    return (line.split(mark), mark) if mark in line else ([line], ",")


def _changed_cell(lines: Lines, rng: random.Random) -> Lines:
    at = rng.randrange(len(lines))
    cells, mark = _split(lines[at])
    cells[rng.randrange(len(cells))] = hostile_cell(rng)
    return [*lines[:at], mark.join(cells), *lines[at + 1 :]]


def _quoted_cell(lines: Lines, rng: random.Random) -> Lines:
    """A cell that a proper writer of CSV wrote."""
    at = rng.randrange(len(lines))
    cells, mark = _split(lines[at])
    cells[rng.randrange(len(cells))] = rng.choice(HOSTILE_CELLS) + rng.choice((",", '"', "\n", ""))
    out = io.StringIO()
    csv.writer(out, delimiter=mark, lineterminator="").writerow(cells)
    return [*lines[:at], *out.getvalue().split("\n"), *lines[at + 1 :]]


def _other_column(lines: Lines, rng: random.Random) -> Lines:
    """A column more, less, twice or moved, in every line."""
    split = [_split(line) for line in lines]
    first, at, kind = len(split[0][0]), rng.randrange(20), rng.choice(("more", "less", "twice", "moved"))
    out = []
    for cells, mark in split:
        place = min(at, first - 1) % max(1, len(cells))
        new = list(cells)
        if kind == "more":
            new.insert(place, hostile_cell(rng))
        elif kind == "less":
            del new[place]
        elif kind == "twice":
            new.insert(place, cells[place])
        else:
            new.append(new.pop(place))
        out.append(mark.join(new))
    return out


def _dropped(lines: Lines, rng: random.Random) -> Lines:
    at = rng.randrange(len(lines))
    return lines[:at] + lines[at + rng.choice((1, 1, 3)) :]


def _doubled(lines: Lines, rng: random.Random) -> Lines:
    at = rng.randrange(len(lines))
    to = rng.choice((at, len(lines), rng.randrange(len(lines))))
    return [*lines[:to], lines[at], *lines[to:]]


def _swapped(lines: Lines, rng: random.Random) -> Lines:
    one, other = rng.randrange(len(lines)), rng.randrange(len(lines))
    out = list(lines)
    out[one], out[other] = out[other], out[one]
    return out


def _shuffled(lines: Lines, rng: random.Random) -> Lines:
    rest = lines[1:]
    rng.shuffle(rest)
    return lines[:1] + rest


def _cut_line(lines: Lines, rng: random.Random) -> Lines:
    at = rng.randrange(len(lines))
    return [*lines[:at], lines[at][: rng.randrange(len(lines[at]) + 1)], *lines[at + 1 :]]


def _inserted(lines: Lines, rng: random.Random) -> Lines:
    at = rng.randrange(len(lines) + 1)
    cells = [hostile_cell(rng) for _ in range(rng.choice((1, 2, 3, 13)))]
    return [*lines[:at], rng.choice(", \t").join(cells), *lines[at:]]


def _spaced(lines: Lines, rng: random.Random) -> Lines:
    """Blank lines and spaces, which say nothing."""
    return [text for line in lines for text in (rng.choice(("", " ", "\t")) + line + rng.choice(("", "  ")), "")]


def _widened(lines: Lines, rng: random.Random) -> Lines:
    at = rng.randrange(len(lines))
    return [*lines[:at], lines[at] + ",1" * rng.choice((WIDE, 1, 2)), *lines[at + 1 :]]


def _lengthened(lines: Lines, rng: random.Random) -> Lines:
    at = rng.randrange(len(lines))
    return [*lines[:at], lines[at] + rng.choice(("0", "x", " ")) * 200_000, *lines[at + 1 :]]


def _guarded(change: LineChange) -> LineChange:
    return lambda lines, rng: change(lines, rng) if lines else [hostile_cell(rng)]


LINE_CHANGES: dict[str, LineChange] = {
    name: _guarded(change)
    for name, change in {
        **{"a cell": _changed_cell, "a cell again": _changed_cell, "a quoted cell": _quoted_cell},
        **{"a column": _other_column, "dropped": _dropped, "doubled": _doubled, "swapped": _swapped},
        **{"shuffled": _shuffled, "cut off": _cut_line, "inserted": _inserted, "spaces": _spaced},
        **{"wide": _widened, "long": _lengthened},
    }.items()
}
ENCODINGS: dict[str, Callable[[str], bytes]] = {
    "CRLF": lambda text: text.replace("\n", "\r\n").encode("utf-8", "surrogateescape"),
    "CR": lambda text: text.replace("\n", "\r").encode("utf-8", "surrogateescape"),
    "no last newline": lambda text: text.rstrip("\n").encode("utf-8", "surrogateescape"),
    "BOM": lambda text: b"\xef\xbb\xbf" + text.encode("utf-8", "surrogateescape"),
    "UTF-16": lambda text: text.encode("utf-16", "surrogatepass"),
    "UTF-16 BE": lambda text: b"\xfe\xff" + text.encode("utf-16-be", "surrogatepass"),
    "UTF-16 without a mark": lambda text: text.encode("utf-16-le", "surrogatepass"),
    "UTF-32": lambda text: text.encode("utf-32", "surrogatepass"),
    "Latin-1": lambda text: text.encode("latin-1", "replace"),
    "code page": lambda text: text.replace("1", "1é").encode("latin-1", "replace"),
}
NARROW = frozenset({"Latin-1", "code page"})
"""Encodings that change what a reader sees."""


def changed_lines(before: Sequence[str], after: Sequence[str]) -> set[str]:
    """Lines that stand in one of two files more often than in the other."""
    left = list(after)
    changed = set()
    for line in before:
        if line in left:
            left.remove(line)
        else:
            changed.add(line)
    return changed | set(left)
