"""`metafacs benchmark`: a grid of methods, folds and seeds in, the table out."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from jsonargparse import ArgumentParser
from jsonargparse.typing import NonNegativeInt
from rich.console import Console

from metafacs.commands.parsing import parse
from metafacs.commands.train import helped, train_config, train_parser
from metafacs.errors import InputError
from metafacs.experiments.paper_tables import table_variants

if TYPE_CHECKING:
    from metafacs.experiments.benchmark import BenchmarkConfig

DESCRIPTION = """Trains and scores every method on every fold from every seed, and prints one table: F1 per AU and on
average, mean and standard deviation, AUC, the all-positive floor, paired differences with 95 % intervals, and what each
method costs relative to MTL. All other flags are those of `metafacs train` and hold for every cell. What is done
already is not done again; what was killed goes on; a cell that fails is named with its log, and the rest is done.

With --table I, II or III the variants are the rows of that table of the MAL paper, each detector on its own network and
image size, and the paper's averages stand beside the measured ones; --small takes networks and images that a CPU can
train.

Variants of a method have a name: --methods "mal,gentle=mal:alpha=0.01;optimiser.learning_rate=1e-4"."""


def benchmark_parser(prog: str, methods: Collection[str] | None = None) -> ArgumentParser:
    """Flags of the command: its own, and those of `metafacs train`; `methods` as in `train_parser`."""
    flags = train_parser(prog, DESCRIPTION, methods)
    flags.add_argument("--methods", default="stl,mtl,mal", help="methods or named variants, comma-separated.")
    flags.add_argument("--folds", default="P1,P2,P3", help="test folds, comma-separated.")
    flags.add_argument("--seeds", default="0,1,2", help="seeds, comma-separated.")
    flags.add_argument("--jobs", type=NonNegativeInt, default=0, help="cells side by side; 0 means one a core.")
    flags.add_argument(
        "--cluster", type=Literal["ray"] | None, default=None, help="run the cells on a Ray cluster (shared files)."
    )
    flags.add_argument("--address", type=str | None, default=None, help="of the Ray cluster; none starts one here.")
    flags.add_argument("--reference", type=str | None, default=None, help="method that the others are compared with.")
    flags.add_argument(
        "--paper", type=Literal["bp4d", "disfa", "gft"] | None, default=None, help="add the paper's own table below."
    )
    flags.add_argument(
        "--table", type=Literal["I", "II", "III"] | None, default=None, help="the rows of this table of the paper."
    )
    flags.add_argument("--small", action="store_true", help="with --table: networks and images for a CPU.")
    return flags


def main(prog: str, arguments: Sequence[str]) -> None:
    """Runs the command."""
    config = benchmark_config(benchmark_parser(prog, helped(arguments)), arguments)
    from metafacs.experiments.benchmark import benchmark

    result = benchmark(config)
    Console(soft_wrap=True, highlight=False).print(result.text(config.paper), markup=False)
    if result.failures:
        failed = ", ".join(failure.split(" failed")[0] for failure in result.failures)
        cells = len(result.failures) + len(result.runs)
        raise InputError(
            f"{len(result.failures)} of {cells} cells failed ({failed}); the same command tries them again"
        )


def benchmark_config(flags: ArgumentParser, arguments: Sequence[str]) -> "BenchmarkConfig":
    """The grid that flags of `benchmark_parser` ask for.

    Raises:
        InputError: a flag that the grid sets itself, or a list that cannot be read.
    """
    fixed = {"--method": "--methods", "--seed": "--seeds", "--data.test_fold": "--folds", "--label": "--methods"}
    for flag, instead in fixed.items():
        if any(argument == flag or argument.startswith(f"{flag}=") for argument in arguments):
            raise InputError(f"{flag} differs from cell to cell; use {instead}")
    values = parse(flags, arguments)
    from metafacs.experiments.benchmark import BenchmarkConfig

    seeds = read_list(values.seeds)
    if wrong := [entry for entry in seeds if not entry.isdecimal()]:
        raise InputError(f"--seeds: '{wrong[0]}' is not a seed; give whole numbers from 0 on, such as 0,1,2")
    chosen = table_variants(values.table, values.small) if values.table else read_variants(values.methods)
    variants = [train_config(flags, [*arguments, *variant])[0] for variant in chosen]
    return BenchmarkConfig(
        Path(values.out),
        variants,
        read_list(values.folds),
        [int(entry) for entry in seeds],
        int(values.jobs),
        values.cluster,
        values.address,
        values.reference or ("STL" if values.table else None),
        values.paper,
        values.table,
    )


def read_list(text: str) -> list[str]:
    """The entries of a comma-separated list."""
    return [entry.strip() for entry in text.split(",") if entry.strip()]


def read_variants(text: str) -> list[list[str]]:
    """The flags of `metafacs train` that each variant adds to those of all.

    Args:
        text: such as "mal,mtl,stl", or with options "mal,gentle=mal:alpha=0.01;optimiser.learning_rate=1e-4"; an option
            without a dot belongs to the method.

    Raises:
        InputError: an unknown method, an option that is not name=value, or options without a name of their own.

    Example:
        >>> read_variants("mtl,gentle=mal:alpha=0.01")[1]
        ['--method', 'mal', '--label', 'gentle', '--mal.alpha', '0.01']
    """
    from metafacs.methods import METHODS

    variants = []
    for entry in read_list(text):
        head, _, tail = entry.partition(":")
        label, equals, method = map(str.strip, head.partition("="))
        method = method or label
        METHODS[method]  # an unknown one is an error that lists the known
        if tail and not equals:
            raise InputError(f"--methods: '{entry}' has options but no name of its own; write NAME={entry}")
        flags = ["--method", method, *(["--label", label] if label != method else [])]
        for option in filter(None, tail.split(";")):
            name, equals, value = map(str.strip, option.partition("="))
            if not equals or not name:
                raise InputError(f"--methods: '{option}' in '{entry}' is not an option; write name=value")
            flags += [f"--{name if '.' in name else f'{method}.{name}'}", value]
        variants.append(flags)
    return variants
