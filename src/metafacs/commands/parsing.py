"""Flags and YAML of a command from one typed source."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser, Namespace, set_parsing_settings

set_parsing_settings(docstring_parse_attribute_docstrings=True)


def parser(prog: str, description: str, config_file: bool = False) -> ArgumentParser:
    """A parser that prints defaults and, if asked, reads YAML with --config."""
    made = ArgumentParser(prog=prog, usage=f"{prog} [flags]", description=description, default_env=False)
    if config_file:
        made.add_argument("--config", action="config", help="YAML file with any of the settings below.")
    return made


def parse(made: ArgumentParser, arguments: Sequence[str]) -> Namespace:
    """Parses; a wrong flag or value prints what is wrong and exits with status 2."""
    return made.parse_args(list(arguments))


def plain(namespace: Any) -> Any:
    """Namespaces, paths and restricted numbers as dictionaries, strings and plain numbers, fit for YAML."""
    if isinstance(namespace, Namespace):
        return {key: plain(value) for key, value in vars(namespace).items()}
    if isinstance(namespace, dict):
        return {key: plain(value) for key, value in namespace.items()}
    for kind in (str, int, float):  # restricted numbers are types of their own
        if isinstance(namespace, kind) and not isinstance(namespace, bool):
            return kind(namespace)
    return str(namespace) if isinstance(namespace, Path) else namespace
