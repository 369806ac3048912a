"""Where the detector that ships with the package lies."""

from pathlib import Path

from metafacs.errors import InputError
from metafacs.runs import DETECTOR


def starter_run() -> Path:
    """The folder of the detector that ships with the package, as `AUDetector.from_run` takes it.

    It holds `detector.safetensors`, and `MODEL_CARD.md` that says what it is good for.

    Raises:
        InputError: the package was installed without it.
    """
    folder = Path(__file__).parent
    if not (folder / DETECTOR).is_file():
        raise InputError(
            "this installation of metafacs holds no detector of its own; install metafacs again, or name a trained "
            "run with --model"
        )
    return folder
