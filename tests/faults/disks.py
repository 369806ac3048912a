"""Small disks in memory, to be filled; they need the right to mount."""

import os
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest


class Disk:
    """A disk in memory, mounted at `folder`.

    Args:
        folder: where to; skips the test where that is not allowed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", str(folder)]
        try:
            refused = subprocess.run(command, capture_output=True, check=False).returncode
        except FileNotFoundError:
            refused = 1
        if refused:
            pytest.skip("disks cannot be mounted here")

    def leave(self, room: int) -> None:
        """Fills it but for `room` bytes."""
        self.free()
        filler = self.folder / "filler"
        with filler.open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(1 << 16))
        os.truncate(filler, max(0, filler.stat().st_size - room))

    def free(self) -> None:
        """Gives the room back."""
        (self.folder / "filler").unlink(missing_ok=True)

    def close(self) -> None:
        """Unmounts it."""
        subprocess.run(["umount", "-l", str(self.folder)], capture_output=True, check=False)
