"""Cards: dataclasses of plain JSON values that stand beside data, checked against their types when they are read."""

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from metafacs.errors import InputError
from metafacs.facs import ACTION_UNITS, au_column

Card = TypeVar("Card")


def read_card(kind: type[Card], entries: Mapping[str, Any]) -> Card:
    """The card that a file holds.

    Args:
        kind: a dataclass whose fields are `str`, `int`, `float`, `bool`, `Any`, or lists and dictionaries of these.
        entries: what the file says, JSON values.

    Raises:
        InputError: entries are missing, unknown or of another type; names them.
    """
    kinds = get_type_hints(kind)
    needed = {entry.name for entry in fields(kind) if entry.default is entry.default_factory is MISSING}  # type: ignore[arg-type]
    wrong = [*sorted(needed - set(entries)), *sorted(set(entries) - set(kinds))]
    wrong += [name for name, value in entries.items() if name in kinds and not _fits(value, kinds[name])]
    if wrong:
        raise InputError(f"missing, unknown or mistyped entries: {', '.join(wrong)}")
    return kind(**entries)


def _fits(value: Any, kind: Any) -> bool:
    """Whether a value is of a type; a truth value is not a number."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin is list:
        return isinstance(value, list) and all(_fits(each, inner[0]) for each in value)
    if origin is dict:
        return isinstance(value, dict) and all(_fits(each, inner[1]) for each in value.values())
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return kind is Any or (isinstance(value, kind) and isinstance(value, bool) == (kind is bool))


def check_aus(columns: Sequence[str]) -> None:
    """Refuses what is not an AU column such as "AU01", or comes twice.

    Raises:
        InputError: names them.
    """
    known = {au_column(code) for code in ACTION_UNITS}
    wrong = [column for column in columns if column not in known or list(columns).count(column) > 1]
    if wrong:
        raise InputError(f"not AU columns, or named twice: {wrong}; name each once, as in 'AU01', 'AU12'")
