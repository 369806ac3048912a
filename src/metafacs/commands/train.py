"""`metafacs train`: prepared datasets in, run folder out."""

import re
from collections.abc import Collection, Sequence
from pathlib import Path

from jsonargparse import ArgumentParser

from metafacs.commands.parsing import parse, parser, plain
from metafacs.config import TrainConfig
from metafacs.methods import NAMES

DESCRIPTION = """Trains a detector of facial Action Units on a prepared AU dataset, with the help of a prepared
expression dataset where the method uses one, and writes a run folder: configuration, logs, checkpoints and, for
methods that learn them, sample weights. The test fold is not touched (its pictures are only compared
with the expression pictures, so that copies can be left out): `metafacs evaluate` scores it. A run that was
killed goes on with --resume and, on the CPU, ends with the very same parameters."""
RESUME_HELP = "go on with the unfinished run in `out`, if there is one; or prolong a finished one to a larger "
RESUME_HELP += "--loop.steps, where the learning rate is constant without warmup."


METHODS_HELP = f"""Every method has options of its own: `metafacs train --method NAME --help` lists them too. The
methods: {", ".join(NAMES)}."""


def helped(arguments: Sequence[str]) -> list[str] | None:
    """The methods named beside --help, as only their options are listed; None where help is not asked for."""
    if not {"-h", "--help"} & {*arguments}:
        return None
    words = {word for argument in arguments for word in re.split("[=,:]", argument)}
    return [name for name in NAMES if name in words]


def train_parser(prog: str, description: str = DESCRIPTION, methods: Collection[str] | None = None) -> ArgumentParser:
    """Flags of the command; a method's options stand under its name.

    Args:
        prog: name of the command.
        description: of the command.
        methods: whose options are flags, which takes PyTorch; every registered method's where not given.
    """
    description += f" {METHODS_HELP}" if methods is not None else ""
    flags = parser(prog, description, config_file=True)
    flags.add_class_arguments(TrainConfig, None, skip={"options"})
    flags.add_argument("--resume", action="store_true", help=RESUME_HELP)
    if methods is None or methods:
        from metafacs.methods import METHODS

        for name in METHODS if methods is None else methods:
            flags.add_class_arguments(METHODS[name].Options, name, instantiate=False)
            (flags.groups or {})[name].title = str(METHODS[name].__doc__).splitlines()[0].rstrip(".")
    return flags


def train_config(flags: ArgumentParser, arguments: Sequence[str]) -> tuple[TrainConfig, bool]:
    """The run that flags of `train_parser` ask for, and whether to go on with it."""
    values = plain(parse(flags, arguments))
    return TrainConfig.read(values, Path(values["out"])), values["resume"]


def main(prog: str, arguments: Sequence[str]) -> None:
    """Runs the command."""
    config, resume = train_config(train_parser(prog, methods=helped(arguments)), arguments)
    from metafacs.training.session import train

    train(config, resume)
