"""What disks, transfers and strangers do to files; from a seed."""

import random


def damaged(content: bytes, places: random.Random) -> tuple[str, bytes]:
    """What was done, and a copy with flipped bits, a cut, a hole, rubbish in between or instead."""
    kind = places.choice(("flip", "flip", "flip", "cut", "cut", "hole", "insert", "zeros", "random", "empty", "repeat"))
    result, at, length = bytearray(content), places.randrange(len(content) + 1), places.choice((1, 2, 7, 64))
    if kind == "flip":
        for _ in range(places.choice((1, 1, 2, 8)) if content else 0):
            result[places.randrange(len(result))] ^= 1 << places.randrange(8)
    elif kind == "cut":
        del result[at:]
    elif kind == "hole":
        del result[at : at + length]
    elif kind == "insert":
        result[at:at] = places.randbytes(length)
    elif kind == "zeros":
        result[at : at + length] = bytes(len(result[at : at + length]))
    elif kind == "random":
        result = bytearray(places.randbytes(places.choice((1, 50, 2000))))
    elif kind == "empty":
        result = bytearray()
    else:
        result += result[at:]
    return kind, bytes(result)
