"""Flags and YAML of a command from one typed source."""

import json
from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ArgumentParser, Namespace, get_loader, set_loader, set_parsing_settings
from rich.console import Console

from metafacs import __version__
from metafacs.errors import InputError
from metafacs.files import read_yaml

set_parsing_settings(docstring_parse_attribute_docstrings=True)
_load = get_loader("yaml")


def _load_plain(text: str) -> Any:
    """The parser's own reading of a value or a file.

    The parser would import the module that a `class_path` names; no setting here is a class.
    """
    value = _load(text)
    if "'class_path':" in repr(value):
        raise yaml.YAMLError("it names a class_path; settings are plain values")
    return value


SEVERAL = ("--data.primary", "--data.auxiliary")
"""Flags that take one value or more."""

set_loader("yaml", _load_plain, (yaml.YAMLError, ValueError))


def parser(prog: str, description: str, config_file: bool = False) -> ArgumentParser:
    """A parser that prints defaults and, if asked, reads YAML with --config."""
    flags = ArgumentParser(prog=prog, usage=f"{prog} [flags]", description=description, default_env=False)
    if config_file:
        flags.add_argument("--config", action="config", help="YAML file with any of the settings below.")
    return flags


def parse(flags: ArgumentParser, arguments: Sequence[str]) -> Namespace:
    """Parses; a wrong flag or value prints what is wrong and exits with status 2.

    Raises:
        InputError: the file given with --config is not YAML.
    """
    given = [value for flag, value in pairwise(arguments) if flag == "--config"]
    given += [text.removeprefix("--config=") for text in arguments if text.startswith("--config=")]
    for path in map(Path, given):
        if path.is_file():  # read here too, because the parser's own message does not say which file it could not read
            read_yaml(path)
        elif path.exists():
            raise InputError(f"{path} is not a file; give a YAML file with --config")
    try:
        return flags.parse_args(_listed(arguments))
    except UnicodeDecodeError as error:
        raise InputError(f"a file that was given for settings is not text: {error}") from error
    except SystemExit as ended:
        for path in map(Path, given if ended.code else []):
            _hint_version(path)
        raise


def _listed(arguments: Sequence[str]) -> list[str]:
    """Several values of a flag as one, a list.

    Example:
        >>> _listed(["--data.primary", "A", "B", "--out", "C"])
        ['--data.primary', '["A", "B"]', '--out', 'C']
    """
    listed: list[str] = []
    values: list[str] = []
    for text in [*arguments, "--"]:
        if values and not text.startswith("--"):
            values.append(text)
            continue
        if values:
            listed += [values[0], json.dumps(values[1:])] if len(values) > 2 else values
        values = [text] if text in SEVERAL else []
        listed += [] if values else [text]
    return listed[:-1]


def _hint_version(path: Path) -> None:
    """Says that the settings of a run were written by another version, which may have other flags."""
    from metafacs.runs import ENVIRONMENT  # not above: it brings torch, and --help is to be quick

    with suppress(OSError, ValueError, AttributeError, RecursionError):
        writer = json.loads((path.parent / ENVIRONMENT).read_text(encoding="utf-8")).get("metafacs")
        if writer and writer != __version__:
            console = Console(stderr=True, soft_wrap=True, highlight=False)
            console.print(f"note: {path} was written by metafacs {writer!a}, this is {__version__}", markup=False)


def plain(namespace: Any) -> Any:
    """Namespaces, paths and restricted numbers as dictionaries, strings and plain numbers, fit for YAML."""
    if isinstance(namespace, Namespace):
        return {key: plain(value) for key, value in vars(namespace).items()}
    if isinstance(namespace, dict):
        return {key: plain(value) for key, value in namespace.items()}
    if isinstance(namespace, list):
        return [plain(value) for value in namespace]
    for kind in (str, int, float):  # restricted numbers are types of their own
        if isinstance(namespace, kind) and not isinstance(namespace, bool):
            return kind(namespace)
    return str(namespace) if isinstance(namespace, Path) else namespace
