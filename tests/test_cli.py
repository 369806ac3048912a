import errno
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from metafacs import __version__, cli
from metafacs.errors import InputError
from metafacs.methods import METHODS


def run(*arguments: str) -> int:
    try:
        return cli.main(arguments)
    except SystemExit as exit:
        return int(exit.code or 0)


def test_the_overview_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, status in ((["--help"], 0), (["-h"], 0), ([], 2)):
        assert run(*arguments) == status
        printed = capsys.readouterr().out
        assert all(f"  {name} " in printed for name in cli.COMMANDS)


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--version") == 0
    assert capsys.readouterr().out == f"metafacs {__version__}\n"


def test_an_unknown_command_lists_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("trian") == 2
    printed = capsys.readouterr().err
    assert "'trian'" in printed and "did you mean 'train'" in printed and all(name in printed for name in cli.COMMANDS)
    assert run("xyz") == 2 and "did you mean" not in capsys.readouterr().err


@pytest.mark.parametrize("command", ["train", "evaluate", "compare", "figures"])
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(command, "--help") == 0
    printed = capsys.readouterr().out
    assert f"usage: metafacs {command}" in printed


def test_help_of_train_explains_the_options_of_the_methods_that_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("train", "--help") == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert all(name in printed for name in (*METHODS, "--resume", "--loop.steps")) and "--mal.alpha" not in printed
    assert run("benchmark", "--methods", "mal,gentle=mtl:auxiliary_weight=0.1", "--help") == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert all(text in printed for text in ("--mal.alpha", "length of the virtual", "--mtl.auxiliary_weight"))
    assert "--dwa.window" not in printed


def test_help_comes_before_pytorch_is_loaded() -> None:
    commands = [[name] for name in cli.COMMANDS] + [["prepare", "bp4d"], ["synth", "au"]]
    code = f"""
import contextlib, sys
from metafacs import cli
for command in {commands}:
    with contextlib.suppress(SystemExit):
        assert cli.main([*command, "--help"]) == 0
    assert not {{"torch", "timm", "matplotlib"}} & {{*sys.modules}}, command
"""
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


@pytest.mark.parametrize("command", ["train", "evaluate", "compare", "figures"])
def test_an_unknown_flag_is_named(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(command, "--sideways", "3") == 2
    assert "Traceback" not in capsys.readouterr().err


def fail_with(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    def main(prog: str, arguments: list[str]) -> None:
        raise error

    monkeypatch.setattr(cli.importlib, "import_module", lambda name: SimpleNamespace(main=main))


def test_input_errors_are_printed_as_they_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fail_with(InputError("row 7 of [bold]faces[/] is odd; mend it"), monkeypatch)
    assert run("inspect") == 2
    assert capsys.readouterr().err == "metafacs inspect: row 7 of [bold]faces[/] is odd; mend it\n"


@pytest.mark.parametrize(
    "code, text",
    [
        (errno.ENOSPC, "the disk is full (out/file); what was finished before is untouched"),
        (errno.EDQUOT, "the disk quota is used up (out/file)"),
        (errno.EACCES, "permission denied (out/file)"),
        (errno.EROFS, "the disk is read-only (out/file)"),
        (errno.ENOTDIR, "a part of the path is a file"),
    ],
)
def test_what_the_system_refuses(
    code: int, text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fail_with(OSError(code, os.strerror(code), "out/file"), monkeypatch)
    assert run("synth") == 2
    assert text in capsys.readouterr().err


@pytest.mark.parametrize("error", [OSError(errno.EBADF, "bad"), RuntimeError("a bug"), OSError("a bug")])
def test_bugs_are_not_hidden(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_with(error, monkeypatch)
    with pytest.raises(type(error)):
        run("synth")


@pytest.mark.parametrize(
    "command, text",
    [
        ("train", "the same command with --resume goes on from what was saved"),
        ("synth", "the same command goes on from what was saved"),
    ],
)
def test_an_interruption(
    command: str, text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fail_with(KeyboardInterrupt(), monkeypatch)
    assert run(command) == 130
    assert capsys.readouterr().err == f"metafacs {command}: stopped; {text}\n"


def test_the_installed_command() -> None:
    found = subprocess.run([sys.executable, "-m", "metafacs.cli", "trian"], capture_output=True, text=True)
    assert (found.returncode, found.stdout) == (2, "")
    assert "unknown command 'trian'" in found.stderr
