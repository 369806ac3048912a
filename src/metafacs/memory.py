"""When memory runs out, on a GPU or here."""

import errno

_TEXTS = ("out of memory", "not enough memory", "can't allocate memory", "killed by signal: killed")
"""What torch says of a GPU, of this machine, and of a decoding process that the system has killed."""


def is_used_up(error: BaseException) -> bool:
    """Whether an error says that memory could not be had.

    Example:
        >>> is_used_up(RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 64 bytes."))
        True
        >>> is_used_up(RuntimeError("size mismatch"))
        False
    """
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    text = str(error).lower()
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and any(part in text for part in _TEXTS))


def message(error: BaseException) -> str | None:
    """One sentence on what happened and what to do; None for errors of another kind."""
    if not is_used_up(error):
        return None
    reason = f" ({str(error).splitlines()[0]})" if str(error) else ""
    return (
        f"memory is used up{reason}; ask for smaller batches, smaller images or fewer processes. What was saved before "
        "is untouched"
    )
