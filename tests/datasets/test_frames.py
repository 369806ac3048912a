from metafacs.datasets.frames import Missing, ranges


def test_missing_frames_are_gathered_by_sequence_and_reason() -> None:
    missing = Missing()
    for frame in (3, 1, 2, 9):
        missing.add("F001/T1", frame, "no picture")
    missing.add("F001/T1", 4, "two pictures")
    (first, second) = missing.skips()
    assert (first.where, first.reason, first.rows) == ("F001/T1, frames 1-3, 9", "no picture", 4)
    assert (second.where, second.rows) == ("F001/T1, frame 4", 1)


def test_many_stretches_are_counted() -> None:
    assert ranges(range(0, 20, 2), most=3) == "0, 2, 4 and 7 more stretches"
