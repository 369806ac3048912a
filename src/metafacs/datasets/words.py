"""What people call expressions, AUs and unknown labels in tables of their own."""

import re

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
        >>> au_name("au1"), au_name("AU06_r"), au_name("age")
        ((1, False), (6, True), None)
    """
    match = _AU.fullmatch(column.strip())
    if match is None or int(match["code"]) not in ACTION_UNITS:
        return None
    return int(match["code"]), (match["kind"] or "").lstrip("_").lower() in ("r", "int", "intensity")
