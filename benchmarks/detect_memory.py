"""How much memory `metafacs detect` takes while it works through longer and longer videos.

Renders a short clip, repeats it to videos of some minutes, and lets the command work through each, searching every
fifth frame whole. Frames are small here and so is what the network sees, to save processor time: what matters is
whether memory grows with the length.

    python benchmarks/detect_memory.py --minutes 1 3 10 --out benchmarks/results/detect_memory.csv
"""

import argparse
import tempfile
from pathlib import Path

import pandas as pd

from detect_speed import RATE, film, make_run, make_video, whole
from metafacs.files import write_text

EVERY = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, nargs="+", default=[1.0, 3.0, 10.0], help="lengths of the videos")
    parser.add_argument("--backbone", default="resnet18")
    parser.add_argument("--side", type=int, default=112, help="pixels that the network sees")
    parser.add_argument("--size", type=int, nargs=2, default=[240, 320], help="height and width of the frames")
    parser.add_argument("--out", type=Path, help="CSV file to write")
    given = parser.parse_args()
    pictures, rows = film((given.size[0], given.size[1])), []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        make_run(folder / "run", given.backbone, given.side)
        for minutes in given.minutes:
            frames, video = round(60 * RATE * minutes), folder / "video.mp4"
            make_video(video, pictures, frames)
            found = whole(folder / "run", video, frames, EVERY, folder)
            what = {"backbone": given.backbone, "side": given.side, "height": given.size[0], "width": given.size[1]}
            rows.append({"minutes": minutes, "frames": frames, **what, "every": EVERY, **found})
            print(pd.DataFrame(rows).round(1).to_string(index=False), flush=True)
    if given.out:
        given.out.parent.mkdir(parents=True, exist_ok=True)
        write_text(given.out, pd.DataFrame(rows).round(1).to_csv(index=False))


if __name__ == "__main__":
    main()
