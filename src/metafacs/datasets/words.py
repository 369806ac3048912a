"""What people call expressions, AUs and unknown labels in tables of their own."""

import re
from collections.abc import Collection

from metafacs.facs import ACTION_UNITS, EXPRESSIONS

_WORDS = {
    **{name: name for name in EXPRESSIONS},
    **{"happy": "happiness", "joy": "happiness", "sad": "sadness", "surprised": "surprise", "angry": "anger"},
    **{"disgusted": "disgust", "fearful": "fear", "afraid": "fear", "scared": "fear", "neutrality": "neutral"},
}
UNKNOWN_WORDS = frozenset({"", "nan", "na", "n/a", "null", "none", "?", "<na>"})
"""Cells that say nothing."""

OTHER_EXPRESSIONS = frozenset({"contempt", "contemptuous", "unknown", "uncertain", "nf", "no face", "no-face", "other"})
"""Expression labels that exist, but are none of the seven."""

_AU = re.compile(r"au[ _-]?0*(?P<code>\d{1,2})(?P<kind>_?(?:c|occ|occurrence|r|int|intensity))?", re.IGNORECASE)
_DESCRIBED = re.compile(r"au[ _-]?0*(?P<code>\d{1,2})[^a-z0-9]+(?P<words>\D*)", re.IGNORECASE)
_SIDE = re.compile(r"au[ _-]?0*(?P<code>\d{1,2})[ _-]?(?P<side>l|r|left|right)", re.IGNORECASE)


def expression_name(word: str) -> str | None:
    """One of the seven expressions, or None for another word.

    Example:
        >>> expression_name("Happy"), expression_name("contempt")
        ('happiness', None)
    """
    return _WORDS.get(word.strip().lower())


def au_name(column: str) -> tuple[int, bool] | None:
    """The AU that a column's name speaks of, and whether of its intensity; None for other names.

    Example:
        >>> au_name("au1"), au_name("AU06_r"), au_name("AU1 (inner brow)"), au_name("AU1_confidence")
        ((1, False), (6, True), (1, False), None)
    """
    described = _DESCRIBED.fullmatch(column.strip())
    if described and _describes(described["words"], int(described["code"])):
        return int(described["code"]), False
    match = _AU.fullmatch(column.strip())
    if match is None or int(match["code"]) not in ACTION_UNITS:
        return None
    return int(match["code"]), (match["kind"] or "").lstrip("_").lower() in ("r", "int", "intensity")


def _describes(text: str, code: int) -> bool:
    """Whether all words are words of the AU's name, whatever their endings."""
    name = re.findall("[a-z]+", ACTION_UNITS[code].name.lower()) if code in ACTION_UNITS else []
    words = re.findall("[a-z]+", text.lower())
    return bool(words) and all(any(word[:4] == part[:4] or word + "s" == part for part in name) for word in words)


def au_side(column: str, columns: Collection[str]) -> int | None:
    """The AU of which a column's name speaks of one side; None for other names.

    A lone R is not a side, as it stands for the intensity in OpenFace's tables; one beside an L is.

    Example:
        >>> au_side("AU02_left", []), au_side("AU12R", ["AU12L"]), au_side("AU12_r", ["AU12_c"])
        (2, 12, None)
    """
    match = _SIDE.fullmatch(column.strip())
    if match is None or int(match["code"]) not in ACTION_UNITS:
        return None
    if match["side"].lower() == "r":
        other = column.strip()[:-1].lower() + "l"
        if other not in {name.strip().lower() for name in columns}:
            return None
    return int(match["code"])
