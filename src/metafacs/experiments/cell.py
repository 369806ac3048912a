"""One run from training to predictions, in a process that ends when the one that started it does.

Started as `python -m metafacs.experiments.cell RUN CONFIGURATION`, the latter as JSON, with a pipe as standard input
that its starter keeps open.
"""

import json
import os
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from metafacs import cli
from metafacs.config import TrainConfig
from metafacs.inference.scoring import predict_run
from metafacs.runs import DONE
from metafacs.training.session import train


def main(arguments: Sequence[str]) -> int:
    """`carry_out` in a process of its own."""
    threading.Thread(target=_follow, daemon=True).start()
    return carry_out(arguments)


def carry_out(arguments: Sequence[str]) -> int:
    """Trains (or goes on, or finds it done) and predicts the test fold; returns the exit status."""
    run, values = Path(arguments[0]), json.loads(arguments[1])
    status = 0 if (run / DONE).exists() else cli.run("train", lambda: train(TrainConfig.read(values, run), resume=True))
    return status or cli.run("evaluate", lambda: predict_run(run))


def _follow() -> None:
    """Waits until the other end of standard input is closed, as it is when its owner is killed."""
    while os.read(0, 1):  # not by sys.stdin, whose lock would be held when the interpreter ends
        pass
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
