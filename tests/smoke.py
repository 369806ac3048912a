"""What `make pythons` does in a fresh environment of each Python: finds a face, and trains five steps of MAL."""

import csv
import sys
import tempfile
from pathlib import Path

from metafacs.cli import main
from tests.builders import make_prepared

PHOTO = Path(__file__).parents[1] / "docs" / "images" / "overlay.jpg"


def smoke(folder: Path) -> None:
    """Detects and trains in an empty folder."""
    table = folder / "faces.csv"
    assert main(["detect", str(PHOTO), "--out", str(table)]) == 0
    with table.open(newline="") as file:
        assert [row["success"] for row in csv.DictReader(file)] == ["1"]
    make_prepared(folder / "au")
    make_prepared(folder / "fe", kind="fe", subjects=40, frames=1)
    settings = {"data.primary": "au", "data.auxiliary": "fe", "out": "run"}
    flags = [text for name, place in settings.items() for text in (f"--{name}", str(folder / place))]
    flags += ["--network.backbone", "test_resnet", "--network.weights", "scratch", "--loop.steps", "5"]
    flags += ["--data.resize", "40", "--data.side", "32", "--loop.device", "cpu"]
    flags += [f"--data.{name}=8" for name in ("batch_primary", "batch_auxiliary", "batch_meta", "reserve_minimum")]
    assert main(["train", *flags]) == 0
    assert (folder / "run" / "done").exists()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        smoke(Path(place))
    sys.stdout.write(f"Python {sys.version.split()[0]}: a face was found, five steps were trained\n")
