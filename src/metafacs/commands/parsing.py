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
    """Namespaces and paths as dictionaries and strings, fit for YAML."""
    if isinstance(namespace, Namespace):
        return {key: plain(value) for key, value in vars(namespace).items()}
    if isinstance(namespace, dict):
        return {key: plain(value) for key, value in namespace.items()}
    return str(namespace) if isinstance(namespace, Path) else namespace
