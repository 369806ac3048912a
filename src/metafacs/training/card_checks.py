"""Whether the card of a detector, which a stranger may have written, holds what a card can hold."""

import re
from collections.abc import Mapping
from math import isfinite
from typing import Any

from metafacs.errors import InputError
from metafacs.facs import ACTION_UNITS, au_column

MOST_SIDE = 4096
"""Pixels."""
MOST_SEED = 2**63
MOST_NAMES = 1000
"""Expressions."""
MOST_LETTERS = 300
"""In a name."""
MOST_NUMBER = 100_000
"""In the options of a backbone; what timm's models take stays far below."""
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f]")
_NAMES = ("backbone", "dataset", "test_fold", "method", "tool_version")
_NUMBERS = {"side": (1, MOST_SIDE), "resize": (1, MOST_SIDE), "seed": (0, MOST_SEED - 1), "steps": (0, 2**63)}


def check_card(card: Mapping[str, Any]) -> None:
    """Checks types, sizes and characters of the entries that are there; missing and unknown ones are not its affair.

    Raises:
        InputError: says which entry holds what.
    """
    for entry, value in card.items():
        wrong = _wrong(entry, value)
        if wrong:
            raise InputError(f"{entry} {wrong}")
    if "aus" in card and len(card.get("thresholds", card["aus"])) != len(card["aus"]):
        raise InputError(f"{len(card['aus'])} aus and {len(card['thresholds'])} thresholds; each needs one")
    if card.get("side", 1) > card.get("resize", MOST_SIDE):
        raise InputError(f"side is {card['side']}, more than resize, {card['resize']}")


def _wrong(entry: str, value: Any) -> str:
    """What is wrong with an entry; empty if nothing."""
    if entry in _NAMES:
        return _no_name(value)
    if entry in _NUMBERS:
        low, high = _NUMBERS[entry]
        whole = isinstance(value, int) and not isinstance(value, bool)
        return "" if whole and low <= value <= high else f"is {shown(value)}; a whole number in {low}-{high} is wanted"
    if entry == "aus":
        known = {au_column(code) for code in ACTION_UNITS}
        fits = _names(value) and value and set(value) <= known and len(set(value)) == len(value)
        return "" if fits else f"are {shown(value)}; AU columns such as 'AU12', each once, are wanted"
    if entry == "thresholds":
        fits = isinstance(value, list) and all(isinstance(each, int | float) and 0 <= each <= 1 for each in value)
        return "" if fits else f"are {shown(value)}; numbers in 0-1 are wanted"
    if entry == "expressions":
        fits = _names(value) and 0 < len(value) <= MOST_NAMES and len(set(value)) == len(value)
        return "" if fits else f"are {shown(value)}; names, each once, are wanted"
    if entry == "test_subjects":
        return "" if _names(value) else f"are {shown(value)}; a list of names is wanted"
    if entry in ("crop", "backbone_options"):
        fits = isinstance(value, dict) and all(not _no_name(key) for key in value)
        largest = MOST_NUMBER if entry == "backbone_options" else float("inf")
        return _no_plain_value(value, largest) if fits else f"is {shown(value)}; a mapping is wanted"
    return ""


def _names(value: Any) -> bool:
    return isinstance(value, list) and all(not _no_name(each) for each in value)


def _no_name(value: Any) -> str:
    """Why a value is no name: those are printed, also into terminals and as the names of files."""
    if not isinstance(value, str):
        return f"is {shown(value)}; a text is wanted"
    if len(value) > MOST_LETTERS:
        return f"has {len(value)} letters"
    return f"is {shown(value)}; it holds characters that cannot be printed" if _CONTROLS.search(value) else ""


def _no_plain_value(value: Any, largest: float) -> str:
    """Why a JSON value is not taken: numbers that are too large or not finite, texts that cannot be printed."""
    if isinstance(value, dict):
        return next(filter(None, (_no_plain_value(each, largest) for each in [*value, *value.values()])), "")
    if isinstance(value, list):
        return next(filter(None, (_no_plain_value(each, largest) for each in value)), "")
    if isinstance(value, str):
        return _no_name(value)
    if isinstance(value, int | float) and not (isfinite(value) and abs(value) <= largest):
        return f"holds the number {shown(value)}"
    return ""


def shown(value: Any) -> str:
    """A value for a message: no control characters, not long, whatever it is."""
    if isinstance(value, int) and abs(value) > 10**100:
        return "a number of more than 100 digits"
    text = ascii(value[:20] if isinstance(value, list | str) else value) if not isinstance(value, dict) else "a mapping"
    return text if len(text) <= 100 else f"{text[:100]}..."
