"""When memory runs out: what was wanted, and what makes a command want less."""

import errno
import re

_TRAINING = (
    "smaller batches (--data.batch_primary, --data.batch_auxiliary, --data.batch_meta), smaller images (--data.side, "
    "--data.resize), --data.device_cache_gib 0 (keeps no images on the GPU), --data.cache_gib 0 (nor in memory), "
    "--loop.precision bf16; MAL also --mal.checkpointing all"
)
_ADVICE = {
    "train": f"{_TRAINING}. What was saved is untouched: --resume goes on from it with the same settings, other "
    "settings need another --out",
    "benchmark": f"fewer runs side by side (--jobs 1), {_TRAINING}",
    "demo": "fewer other programs at the same time",
    "evaluate": "fewer images at a time (--batch 16)",
    "detect": "fewer faces at a time (--batch 1), the processor in place of the GPU (--device cpu)",
    "synth": "fewer processes (--workers 1)",
    "prepare": "fewer processes (--workers 1)",
}
_TEXTS = (
    "out of memory",
    "defaultcpuallocator",
    "not enough memory",
    "can't allocate memory",
    "cannot allocate memory",
)
_WANTED = re.compile(
    r"[Tt]ried to allocate ([\d.]+ ?[KMGT]?i?B|\d+ bytes)|[Uu]nable to allocate ([\d.]+ ?[KMGT]?i?B)|"
    r"[Ww]orker .*(killed by signal)"
)


def wanted(error: BaseException) -> str | None:
    """What could not be had, such as "2.00 GiB"; empty where the error does not say; None for errors of another kind.

    Args:
        error: torch's for a GPU or for this machine, Python's and NumPy's, the system's, or that of a decoding process
            that the system has killed.

    Example:
        >>> wanted(RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 64 bytes."))
        '64 bytes'
        >>> wanted(RuntimeError("size mismatch")) is None
        True
    """
    text = str(error)
    killed = isinstance(error, RuntimeError) and "killed by signal: Killed" in text
    known = isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM)
    told = isinstance(error, RuntimeError) and any(part in text.lower() for part in _TEXTS)
    if not (killed or known or told):
        return None
    found = _WANTED.search(text)
    return (found[1] or found[2] or "") if found else ""


def advice(command: str) -> str:
    """What makes a command of the command line want less memory."""
    return _ADVICE.get(command, "fewer or smaller inputs")


def message(command: str, error: BaseException) -> str | None:
    """One sentence on what happened and what to do; None for errors of another kind."""
    amount = wanted(error)
    if amount is None:
        return None
    where = "the GPU's memory" if "cuda" in str(error).lower() else "this machine's memory"
    return (
        f"{where} is used up{f': {amount} more were wanted' if amount else ''}. Less is wanted with {advice(command)}"
    )
