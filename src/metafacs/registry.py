"""Name -> class, for the parts of metafacs that are open for extension."""

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from metafacs.errors import InputError

T = TypeVar("T")


class Registry(Generic[T]):
    """A set of named classes of one kind.

    Args:
        kind: what the registry holds, in the singular, for error messages ("method").

    Example:
        >>> shapes: Registry[type] = Registry("shape")
        >>> @shapes.register("round")
        ... class Round: ...
        >>> shapes["round"].__name__
        'Round'
        >>> shapes["square"]
        Traceback (most recent call last):
        ...
        metafacs.errors.InputError: unknown shape 'square'; known: round
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, type[T]] = {}

    def register(self, name: str) -> Callable[[type[T]], type[T]]:
        """Decorator that enters a class under `name`; a name can be taken once."""

        def enter(entry: type[T]) -> type[T]:
            if name in self._entries:
                raise ValueError(f"{self.kind} '{name}' is registered already, as {self._entries[name]!r}")
            self._entries[name] = entry
            return entry

        return enter

    def __getitem__(self, name: str) -> type[T]:
        if name not in self._entries:
            raise InputError(f"unknown {self.kind} '{name}'; known: {', '.join(self._entries)}")
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)
