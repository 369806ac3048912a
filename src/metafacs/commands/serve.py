"""`metafacs serve`: the detector as a web page and an HTTP API."""

import ipaddress
from collections.abc import Sequence
from pathlib import Path

from jsonargparse import ArgumentParser, Namespace
from jsonargparse.typing import NonNegativeInt, PositiveFloat, PositiveInt
from rich.console import Console

from metafacs.commands.parsing import parse, parser
from metafacs.commands.starter import add_model_flag, announced_starter
from metafacs.errors import InputError
from metafacs.runs import DETECTOR
from metafacs.serving.limits import MEGABYTE, Limits

DESCRIPTION = """Serves a detector: a web page where one drops a photo or a video, and an HTTP API (described at
/docs). Only this computer can reach it unless --host says otherwise. Uploads are removed as soon as they are answered,
and nothing is sent anywhere. Ctrl-C ends it."""
STARTER = "the starter detector"
STARTER_NOTE = (
    "This is the starter detector. It is for trying things out, not for measuring people: it was never scored against "
    "FACS codes of real faces."
)
NOTE = (
    "A detector is only as good as its training: on people, cameras, ages, skin tones or head poses unlike those it "
    "learned from, it may be wrong with confidence. Look at the boxes before you believe the numbers."
)
MODEL_CARD = "MODEL_CARD.md"
FRAMES_A_SECOND = 60
"""So many frames are allowed for each second of video that is."""


def main(prog: str, arguments: Sequence[str]) -> None:
    """Runs the command."""
    settings = parse(_flags(prog), arguments)
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    password = _password(settings)
    _check_reach(settings, password)
    try:
        from metafacs.serving.answers import About
        from metafacs.serving.app import make_app, open_port, run
    except ImportError as error:
        raise InputError(
            f"`metafacs serve` needs a package that is not installed ({error}); pip install 'metafacs[serve]'"
        ) from error
    model, *about = _model(settings.model, console)
    from metafacs.inference.detector import AUDetector

    with open_port(settings.host, settings.port) as listening:
        detector = AUDetector.from_run(model, device=settings.device, batch=settings.batch)
        hosts = [settings.host, *settings.allow_host]
        app = make_app(detector, About(*about), _limits(settings), password=password, hosts=hosts)
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        address = f"http://{host}:{listening.getsockname()[1]}"
        console.print(f"metafacs: serving at {address} (Ctrl-C ends it)", markup=False)
        run(app, listening)


def _flags(prog: str) -> ArgumentParser:
    flags, usual = parser(prog, DESCRIPTION), Limits()
    add_model_flag(flags)
    add = flags.add_argument
    add("--host", type=str, default="127.0.0.1", help="address to serve at; 0.0.0.0: all of this machine.")
    add("--port", type=NonNegativeInt, default=7860, help="0 takes a free one.")
    add(
        "--password",
        type=str | None,
        default=None,
        help="asked for everything; other users of this machine can see it in the list of processes, so rather:",
    )
    add("--password_file", type=Path | None, default=None, help="file whose first line is the password.")
    add(
        "--open",
        action="store_true",
        help="allow to serve other computers without a password: whoever reaches it may use it.",
    )
    add("--allow_host", nargs="*", type=str, default=[], help="names of the server, as behind a reverse proxy.")
    add("--max_mb", type=PositiveFloat, default=usual.most_bytes / MEGABYTE, help="of a file.")
    megapixels = usual.most_pixels / 1e6
    add("--max_megapixels", type=PositiveFloat, default=megapixels, help="of a photo or a frame, up to 100.")
    add("--max_seconds", type=PositiveFloat, default=usual.most_seconds, help="of a video.")
    queue = "requests under way; the next is told to come again later."
    add("--queue", type=PositiveInt, default=usual.places, help=queue)
    add("--timeout", type=PositiveFloat, default=usual.timeout, help="seconds an answer may take.")
    add("--upload_timeout", type=PositiveFloat, default=usual.upload_timeout, help="seconds of an upload.")
    add("--batch", type=PositiveInt, default=16, help="faces that go through the network together.")
    add("--device", choices=["auto", "cpu", "cuda"], default="auto", help="where the network runs.")
    return flags


def _limits(settings: Namespace) -> Limits:
    return Limits(
        most_bytes=int(settings.max_mb * MEGABYTE),
        most_pixels=int(settings.max_megapixels * 1e6),
        most_seconds=float(settings.max_seconds),
        most_frames=int(settings.max_seconds * FRAMES_A_SECOND),
        places=int(settings.queue),
        timeout=float(settings.timeout),
        upload_timeout=float(settings.upload_timeout),
    )


def _password(settings: Namespace) -> str | None:
    if settings.password is not None and settings.password_file is not None:
        raise InputError("--password and --password_file are two ways to the same end; give one of them")
    if settings.password_file is not None:
        if not settings.password_file.is_file():
            raise InputError(f"there is no file {settings.password_file} to read the password from")
        try:
            lines = settings.password_file.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError as error:
            raise InputError(f"{settings.password_file} is not a text in UTF-8: {error}") from error
        settings.password = lines[0].strip() if lines else ""
    if settings.password is not None and not settings.password:
        raise InputError("the password is empty; give one, or leave it out")
    return settings.password


def _check_reach(settings: Namespace, password: str | None) -> None:
    if password is None and not settings.open and not _is_local(settings.host):
        raise InputError(
            f"--host {settings.host} lets other computers in, and there is no password; give --password_file FILE, "
            "or --open if everybody who can reach this computer may use it"
        )


def _is_local(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _model(path: Path | None, console: Console) -> tuple[Path, str, str, str]:
    """Where the model is, its name, what is to be said of it, and its model card."""
    if path is not None:
        return path, path.stem if path.name != DETECTOR else path.parent.name, NOTE, ""
    folder = announced_starter(console)
    return folder, STARTER, STARTER_NOTE, (folder / MODEL_CARD).read_text(encoding="utf-8")
