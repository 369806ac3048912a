"""Flags and YAML of a command from one typed source."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ArgumentParser, Namespace, set_parsing_settings

from metafacs.errors import InputError

set_parsing_settings(docstring_parse_attribute_docstrings=True)


def parser(prog: str, description: str, config_file: bool = False) -> ArgumentParser:
    """A parser that prints defaults and, if asked, reads YAML with --config."""
    made = ArgumentParser(prog=prog, usage=f"{prog} [flags]", description=description, default_env=False)
    if config_file:
        made.add_argument("--config", action="config", help="YAML file with any of the settings below.")
    return made


def parse(made: ArgumentParser, arguments: Sequence[str]) -> Namespace:
    """Parses; a wrong flag or value prints what is wrong and exits with status 2.

    Raises:
        InputError: the file given with --config is no YAML.
    """
    for flag, value in pairwise(arguments):
        if flag == "--config" and Path(value).is_file():
            _check_yaml(Path(value))
    return made.parse_args(list(arguments))


def _check_yaml(path: Path) -> None:
    """The parser's own message does not say which file it could not read."""
    try:
        yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not valid YAML: {error}") from error


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
