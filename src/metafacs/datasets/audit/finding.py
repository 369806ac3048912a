"""One thing that an audit found."""

from dataclasses import dataclass

DIFFERS, CHECK, NOTE = "differs", "check", "note"
"""How much it matters: results cannot be compared with published ones; somebody should look; good to know."""


@dataclass(frozen=True)
class Finding:
    """What was found and what to do about it.

    Attributes:
        level: "differs", "check" or "note".
        topic: what it is about, in a word or two.
        text: what was found.
        action: what to do; empty for notes.
    """

    level: str
    topic: str
    text: str
    action: str = ""
