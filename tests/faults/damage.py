"""Ways to damage a file, each a function of its bytes and a seed."""

import random
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

Region = tuple[int, int]
"""First byte, and the one after the last."""


def flipped(content: bytes, byte: int, bit: int) -> bytes:
    """A copy with one bit turned over."""
    return content[:byte] + bytes([content[byte] ^ (1 << bit)]) + content[byte + 1 :]


def random_bits(regions: Sequence[Region], count: int, seed: int) -> Iterator[tuple[int, int]]:
    """`count` bits (byte, bit) of every region that is not empty; all of them where it has no more."""
    generator = random.Random(seed)
    for start, stop in regions:
        bits = 8 * (stop - start)
        for place in generator.sample(range(bits), min(count, bits)):
            yield start + place // 8, place % 8


def cut_places(boundaries: Iterable[int], size: int) -> list[int]:
    """Lengths to cut a file to: at, just before and just after every boundary, and nothing at all."""
    places = {0, 1, size - 1, *(at + by for at in boundaries for by in (-1, 0, 1))}
    return sorted(place for place in places if 0 <= place < size)


def header_end(content: bytes) -> int:
    """Where the tensors of a safetensors file begin."""
    return 8 + int.from_bytes(content[:8], "little")


def rewritten(path: Path, content: bytes) -> Path:
    """`path` with other content; not in place, as it may be memory-mapped or linked."""
    path.unlink(missing_ok=True)
    path.write_bytes(content)
    return path
