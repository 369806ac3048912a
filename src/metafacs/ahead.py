"""Work that is done ahead of its use, by threads."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import repeat
from typing import TypeVar

T = TypeVar("T")
Made = TypeVar("Made")
_END = object()


def ahead(
    make: Callable[[T], Made],
    items: Iterable[T],
    lead: int = 1,
    threads: int = 1,
    begin: Callable[[], None] | None = None,
) -> Generator[Made, None, None]:
    """`make` of every item, in order, made by threads while earlier results are used.

    The items themselves are taken by the thread of the user. What fails, fails at its own place.

    Args:
        make: what is done in the threads.
        items: taken as far ahead as `lead` says.
        lead: so many results are made, or waited for, beside the one in use.
        threads: that work at the same time.
        begin: is called in each thread first, as the GPU that a thread works on is its own affair.
    """
    waiting: deque[Future[Made]] = deque()
    pool = ThreadPoolExecutor(threads, initializer=begin)
    try:
        for item in items:
            waiting.append(pool.submit(make, item))
            if len(waiting) > lead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def iterated_ahead(items: Iterator[T], lead: int = 3) -> Generator[T, None, None]:
    """The same items, taken by a thread of their own while earlier ones are used."""
    results = ahead(lambda _: next(items, _END), repeat(None), lead)
    try:
        for item in results:
            if item is _END:
                return
            yield item  # type: ignore[misc]
    finally:
        results.close()
