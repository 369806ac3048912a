from metafacs.datasets.audit.losses import check_videos, videos
from metafacs.datasets.audit.material import CHECK
from metafacs.datasets.listed import Clip, Listed


def listed(*clips: Clip) -> Listed:
    return Listed("disfa", [], 1, 1, videos=list(clips))


def test_lengths() -> None:
    whole, segment, broken = Clip("a.avi", 0, 9, 10), Clip("b.avi", 5, 9, 100), Clip("c.avi", 0, 9, None)
    assert check_videos(listed(whole, segment, broken)) == []
    assert check_videos(None) == [] == check_videos(listed())
    table = videos(listed(whole, segment, broken))
    assert table["surplus"].fillna(-99).tolist() == [0, 90, -99]


def test_one_frame_more_or_less_is_suspected() -> None:
    (more,) = check_videos(listed(Clip("a.avi", 0, 4844, 4846), Clip("b.avi", 0, 4844, 4845)))
    assert (more.level, more.topic) == (CHECK, "off by one")
    assert more.text == "1 videos have more frames than labels (1 of them by just one): a.avi 4,846 for 4,845"
    (fewer,) = check_videos(listed(Clip("a.avi", 3, 4844, 4840)))
    assert fewer.topic == "length of videos" and "1 videos have fewer frames than labels" in fewer.text
