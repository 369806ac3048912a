"""A picture of AUs over time says of what, of whom, and how often each is present."""

import re
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd

from metafacs.inference.timeline import plot_timeline


def texts(folder: Path, rows: pd.DataFrame) -> list[str]:
    """What stands in the picture."""
    with mpl.rc_context({"svg.fonttype": "none"}):
        plot_timeline(folder / "a.svg", [rows[:3], rows[3:]], ["AU04", "AU12"], [0.5, 0.9])
    return re.findall(r"<text[^>]*>([^<]*)</text>", (folder / "a.svg").read_text())


def test_a_video_with_two_people(tmp_path: Path) -> None:
    frames = [(0, 1), (0, 2), (1, 1), (1, 2), (2, 1), (3, None)]
    rows = pd.DataFrame(frames, columns=["frame", "face"]).assign(input="in/talk.mp4")
    rows["timestamp"] = rows["frame"] / 2
    rows["AU04"], rows["AU12"] = np.float32([0.6, 0.1, 0.5, 0.1, 0.1, np.nan]), np.float32([0.8] * 5 + [np.nan])
    shown = texts(tmp_path, rows)
    assert {"talk.mp4", "1.5 s, 4 frames, 2 people; a face in 75 % of the frames", "seconds"} <= set(shown)
    assert {"Face 1", "Face 2", "AU4", "Brow lowerer", "AU12", "Lip corner puller"} <= set(shown)
    assert [text for text in shown if text.endswith(" %")] == ["67 %", "0 %", "0 %", "0 %"]


def test_pictures_and_nobody(tmp_path: Path) -> None:
    rows = pd.DataFrame({"input": ["a.png", "b.png"], "frame": 0, "timestamp": np.nan, "face": pd.array([1, None])})
    rows["AU04"] = rows["AU12"] = np.float32([0.95, np.nan])
    assert {"2 pictures", "picture", "100 %"} <= set(texts(tmp_path, rows))
    nobody = rows.assign(timestamp=[0.0, 1.0], face=pd.array([None, None], "Int32"), AU04=np.nan, AU12=np.nan)
    assert "Face 1" not in texts(tmp_path, nobody)
