"""Whether videos are as long as their labels."""

import pandas as pd

from metafacs.datasets.audit.finding import CHECK, Finding
from metafacs.datasets.audit.listed import Clip, Listed

MOST_LISTED = 5


def videos(listed: Listed | None) -> pd.DataFrame:
    """Per video: `first` and `last` labelled frame (from 0), `frames` it has, `surplus` of them behind the labels."""
    entries = [
        (clip.video, clip.first, clip.last, clip.frames, _surplus(clip)) for clip in (listed.videos if listed else [])
    ]
    table = pd.DataFrame(entries, columns=["video", "first", "last", "frames", "surplus"])
    return table.astype({"frames": "Int64", "surplus": "Int64"}).set_index("video")


def check_videos(listed: Listed | None) -> list[Finding]:
    """Videos that end before their labels, or that go on after labels that begin with the first frame."""
    clips = listed.videos if listed else []
    known = [(clip, surplus) for clip in clips if (surplus := _surplus(clip)) is not None]
    short = [(clip, surplus) for clip, surplus in known if surplus < 0]
    long = [(clip, surplus) for clip, surplus in known if surplus > 0 and clip.first == 0]
    found = []
    for what, some, action in (
        ("fewer", short, "are labels counted from 1 where the reader takes 0, or is the video cut off?"),
        ("more", long, "is the first or the last picture the surplus one? Look at labels beside pictures"),
    ):
        if some:
            by_one = sum(abs(surplus) == 1 for _, surplus in some)
            topic = "off by one" if by_one else "length of videos"
            told = ", ".join(f"{clip.video} {clip.frames:,} for {clip.last + 1:,}" for clip, _ in some[:MOST_LISTED])
            text = f"{len(some)} videos have {what} frames than labels ({by_one} of them by just one): {told}"
            found.append(Finding(CHECK, topic, text, action))
    return found


def _surplus(clip: Clip) -> int | None:
    return None if clip.frames is None else clip.frames - clip.last - 1
