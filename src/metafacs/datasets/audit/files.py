"""Writes an audit beside the prepared dataset it is about."""

from pathlib import Path

from metafacs.datasets.audit.page import page
from metafacs.datasets.audit.report import Audit, Progress, audit
from metafacs.files import write_text

TEXT_FILE, JSON_FILE, PAGE_FILE = "audit.txt", "audit.json", "audit.html"


def write_audit(folder: Path, progress: Progress | None = None) -> Audit:
    """Audits the prepared dataset in `folder` and writes `audit.txt`, `audit.json` and `audit.html` there.

    The same dataset gives the same files.

    Raises:
        InputError: there is no prepared dataset, or its files are damaged.
    """
    found, material = audit(folder, progress)
    write_text(folder / JSON_FILE, found.to_json())
    write_text(folder / PAGE_FILE, page(found, material))
    write_text(folder / TEXT_FILE, found.to_text())
    return found
