"""Images a second of `metafacs synth`, everything included, at 128 and 256 pixels; run it on an otherwise idle machine.

Renders an AU and an expression dataset of each size into a temporary folder with all cores, and prints the wall-clock
rate of the rendering (the head model is loaded before).
"""

import argparse
import tempfile
import time
from pathlib import Path

from facsynth.head import load_head
from metafacs import distributed
from metafacs.data.prepared import PreparedDataset
from metafacs.files import write_text
from metafacs.synth.presets import render_preset

SIZES = (128, 256)


def main() -> None:
    """Measures and writes a table."""
    made = argparse.ArgumentParser(description=__doc__)
    made.add_argument("--images", type=int, default=820, help="of each kind and size.")
    made.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "rendering_speed.csv")
    given = made.parse_args()
    load_head()
    lines = ["data,side,images,workers,images_per_second"]
    for side in SIZES:
        for data, counts in (("bp4d", {"frames": given.images // 41}), ("rafdb", {"images": given.images})):
            with tempfile.TemporaryDirectory() as folder:
                start = time.perf_counter()
                (out,) = render_preset(Path(folder) / data, data, size=side, **counts)
                seconds = time.perf_counter() - start
                count = len(PreparedDataset.open(out))
            lines.append(f"{data},{side},{count},{distributed.cores()},{count / seconds:.1f}")
            print(lines[-1], flush=True)
    write_text(given.out, "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
