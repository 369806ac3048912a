from pathlib import Path

import pytest

from metafacs.datasets.disfa import DISFA
from metafacs.errors import InputError
from metafacs.facs import AU_SETS, au_column
from tests.datasets.trees import disfa, picture, text

SUBJECTS = ["SN001", "SN013", "SN003"]
VARIANTS = [
    ("img/{subject}/{frame}.png", 0),
    ("DISFA/{subject}/{frame}.jpg", 0),
    ("aligned_images/{subject}/{frame:05d}.png", 1),
    ("RightVideo{subject}_comp/RightVideo{subject}_comp_{frame:04d}.png", 1),
    ("frames/LeftVideo{subject}_comp_{frame}.JPG", 0),
]


@pytest.mark.parametrize(("images", "first"), VARIANTS)
def test_every_label_and_its_own_picture_come_back(images: str, first: int, tmp_path: Path) -> None:
    truth = disfa(tmp_path, SUBJECTS, 6, images, first)
    reader = DISFA(camera="right" if "Right" in images else "left")
    listing = reader.read(tmp_path)
    assert listing.aus == [au_column(code) for code in AU_SETS["disfa"]]
    assert len(listing.rows) == len(truth) and not listing.skipped
    for row in listing.rows.to_dict("records"):
        levels = truth[row["subject"], row["frame"]]
        assert row["image"] == images.format(subject=row["subject"], frame=row["frame"] - 1 + first)
        for column in listing.aus:
            assert row[f"{column}_intensity"] == levels[column]
            assert row[column] == (levels[column] >= 2)
    assert listing.rows.groupby("subject")["fold"].first().to_dict() == {"SN001": "P1", "SN013": "P2", "SN003": "P3"}
    assert f"picture {first} belongs to the first label (found)" in listing.notes


def test_the_threshold_is_an_option_and_recorded(tmp_path: Path) -> None:
    truth = disfa(tmp_path, SUBJECTS)
    for threshold in (1, 2, 3):
        listing = DISFA(aus="disfa_all", present_from=threshold).read(tmp_path)
        assert len(listing.aus) == 12
        present = {(row["subject"], row["frame"]): row["AU05"] for row in listing.rows.to_dict("records")}
        assert present == {key: int(levels["AU05"] >= threshold) for key, levels in truth.items()}
        assert f"an AU is present from intensity {threshold} on" in listing.notes
    for wrong in (0, 6):
        with pytest.raises(InputError, match="must be 1 to 5, 2 is usual"):
            DISFA(present_from=wrong)


def test_folds_hold_all_27_people(tmp_path: Path) -> None:
    people = {subject: part for part, names in DISFA.published.folds.items() for subject in names}
    disfa(tmp_path, sorted(people), 1)
    listing = DISFA().read(tmp_path)
    assert listing.rows.set_index("subject")["fold"].to_dict() == people
    assert len(people) == 27 and not any("not among" in note for note in listing.notes)


@pytest.mark.parametrize("camera", ["left", "right"])
def test_videos_of_the_wanted_camera(camera: str, tmp_path: Path) -> None:
    disfa(tmp_path, SUBJECTS, images=None)
    for side in ("Left", "Right"):
        for subject in SUBJECTS:
            picture(tmp_path / f"Videos_{side}Camera/{side}Video{subject}_comp.avi")
    listing = DISFA(camera=camera).read(tmp_path)
    side = camera.title()
    for row in listing.rows.to_dict("records"):
        assert row["video"] == f"Videos_{side}Camera/{side}Video{row['subject']}_comp.avi"
        assert row["video_frame"] == row["frame"] - 1
    assert any(f"3 videos of the {camera} camera" in note for note in listing.notes)


def test_the_wrong_camera_is_an_error(tmp_path: Path) -> None:
    disfa(tmp_path, SUBJECTS, images=None)
    for subject in SUBJECTS:
        picture(tmp_path / f"Videos_RightCamera/RightVideo{subject}_comp.avi")
    with pytest.raises(InputError, match=r"right camera only, --camera left .*; give --camera right"):
        DISFA().read(tmp_path)
    with pytest.raises(InputError, match="--camera is 'top'; it is left or right"):
        DISFA(camera="top")  # type: ignore[arg-type]


def test_a_person_without_video_is_counted(tmp_path: Path) -> None:
    disfa(tmp_path, SUBJECTS, 6, images=None)
    for subject in SUBJECTS[:2]:
        picture(tmp_path / f"LeftVideo{subject}_comp.avi")
    (skip,) = DISFA().read(tmp_path).skipped
    assert (skip.where, skip.reason, skip.rows) == ("SN003, frames 1-6", "no video of this person", 6)


def test_pictures_that_do_not_tell_their_count_need_an_option(tmp_path: Path) -> None:
    disfa(tmp_path, SUBJECTS, 6)
    for subject in SUBJECTS:
        (tmp_path / f"img/{subject}/0.png").unlink()
    with pytest.raises(InputError, match="do not tell whether they are counted from 0 or from 1"):
        DISFA().read(tmp_path)
    listing = DISFA(first_frame=0).read(tmp_path)
    assert len(listing.rows) == 15
    assert (listing.rows["image"].str.extract(r"(\d+)\.png")[0].astype(int) + 1).tolist() == listing.rows[
        "frame"
    ].tolist()
    assert len(DISFA(first_frame=1).read(tmp_path).rows) == 15
    with pytest.raises(InputError, match="counted from 0 or from 1"):
        DISFA(first_frame=2)


def test_pictures_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    disfa(tmp_path, ["SN001"], 6, first=0)
    disfa(tmp_path, ["SN013"], 6, first=1)
    with pytest.raises(InputError, match="pictures of SN001 are counted from 0, those of SN013 from 1"):
        DISFA().read(tmp_path)


def test_one_picture_too_many_is_suspected(tmp_path: Path) -> None:
    disfa(tmp_path, SUBJECTS, 6)
    for subject in SUBJECTS:
        picture(tmp_path / f"img/{subject}/6.png")
    notes = " ".join(DISFA().read(tmp_path).notes)
    assert "off by one? 3 people have one picture more than labels (0 to 6, as SN001)" in notes


def test_one_picture_too_few_is_counted(tmp_path: Path) -> None:
    disfa(tmp_path, SUBJECTS, 6)
    (tmp_path / "img/SN013/5.png").unlink()
    listing = DISFA().read(tmp_path)
    assert [(skip.where, skip.rows) for skip in listing.skipped] == [("SN013, frame 6", 1)]
    assert listing.skipped[0].reason == "no picture img/{subject}/{frame}, whatever the zero padding"


def test_other_counts_than_the_published_are_noted(tmp_path: Path) -> None:
    disfa(tmp_path, SUBJECTS, 6)
    assert "people with other than 4,845 labelled frames: SN001 6, SN003 6, SN013 6" in DISFA().read(tmp_path).notes


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["1,0", "2,7"], r"SN001_au1\.txt, line 2: intensity 7; 0 to 5 exist"),
        (["1,0", "2"], r"SN001_au1\.txt, line 2: '2' is not 'frame,intensity'; cut off there\?"),
        (["1,0", "2,"], r"SN001_au1\.txt, line 2: nothing where the intensity should be"),
        (["1,0", "3,0"], r"SN001_au1\.txt, line 2: frame 3, but 2 should follow"),
        (["0,0", "1,0"], r"SN001_au1\.txt, line 1: frame 0, but 1 should follow"),
        (["1,0", "2,0"], r"AU1 has 2 frames, AU2 6; the file of AU1 was cut off"),
    ],
)
def test_damage_names_file_and_line(lines: list[str], message: str, tmp_path: Path) -> None:
    disfa(tmp_path, SUBJECTS, 6)
    text(tmp_path / "ActionUnit_Labels/SN001/SN001_au1.txt", lines)
    with pytest.raises(InputError, match=message):
        DISFA().read(tmp_path)


def test_a_ten_thousand_line_file_cut_in_the_middle_of_a_line(tmp_path: Path) -> None:
    disfa(tmp_path, ["SN001"], 1)
    path = text(tmp_path / "ActionUnit_Labels/SN001/SN001_au1.txt", [f"{frame},0" for frame in range(1, 10_001)])
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(InputError, match=r"SN001_au1\.txt, line 10,000: '1000' is not 'frame,intensity'; cut off"):
        DISFA().read(tmp_path)


def test_bom_crlf_spaces_and_tabs_do_not_matter(tmp_path: Path) -> None:
    disfa(tmp_path, ["SN001"], 3)
    for au in AU_SETS["disfa"]:
        path = tmp_path / f"ActionUnit_Labels/SN001/SN001_au{au}.txt"
        path.unlink()
        text(path.with_name(f"sn001_AU{au}.TXT"), ["\ufeff1,0 ", " 2 , 5", "3\t2", "", " "], newline="\r\n")
    assert DISFA().read(tmp_path).rows["AU01_intensity"].tolist() == [0, 5, 2]


def test_other_faults_have_messages_of_their_own(tmp_path: Path) -> None:
    disfa(tmp_path, SUBJECTS)
    path = tmp_path / "ActionUnit_Labels/SN001/SN001_au26.txt"
    path.unlink()
    with pytest.raises(InputError, match=r"there is no file .*SN001_au26\.txt \(intensities of AU26\)"):
        DISFA().read(tmp_path)
    path.mkdir()
    with pytest.raises(InputError, match=r"SN001_au26\.txt is a folder"):
        DISFA().read(tmp_path)
    path.rmdir()
    path.touch()
    with pytest.raises(InputError, match=r"SN001_au26\.txt .* is empty"):
        DISFA().read(tmp_path)
    assert len(DISFA(aus="1,2").read(tmp_path).rows), "an AU that is not wanted is not read"
