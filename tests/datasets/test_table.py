from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from metafacs.cli import main
from metafacs.datasets.audit.report import audit
from metafacs.datasets.preparation import prepare
from metafacs.datasets.table import Table
from metafacs.errors import InputError
from metafacs.faces import Recipe
from tests.datasets.trees import picture, table, text
from tests.inference.toys import make_video

HEADER = ["image_path", "subject", "frame", "fold", "au1", "AU02", "AU 12", "expression"]
ROWS = [
    ["a/1.jpg", "eve", 1, "train", 0, 1, "", "Happy"],
    ["a/2.jpg", "eve", 2, "train", 1, 9, -1, "sadness"],
    ["b/1.jpg", "bob", 1, "test", "nan", 999, "1.0", ""],
]


def pictures(raw: Path, names: list[str]) -> None:
    for name in names:
        picture(raw / name)


def write(raw: Path, kind: str) -> None:
    pictures(raw, [str(row[0]) for row in ROWS])
    if kind == "parquet":
        frame = pd.DataFrame(ROWS, columns=HEADER).replace({"": None, "nan": None})
        frame[["au1", "AU02", "AU 12"]] = frame[["au1", "AU02", "AU 12"]].astype(float)
        frame.to_parquet(raw / "labels.parquet")
        return
    mark = {"csv": ",", "tsv": "\t", "semicolon": ";"}[kind]
    lines = [f" {mark} ".join(map(str, row)) for row in (HEADER, *ROWS)]
    text(raw / f"labels.{'tsv' if kind == 'tsv' else 'csv'}", ["\ufeff" + lines[0], *lines[1:], ""], "\r\n")


@pytest.mark.parametrize("kind", ["csv", "tsv", "semicolon", "parquet"])
def test_columns_are_known_by_their_names(kind: str, tmp_path: Path) -> None:
    write(tmp_path, kind)
    listing = Table().read(tmp_path)
    rows = listing.rows
    assert listing.aus == ["AU01", "AU02", "AU12"]
    assert rows["image"].tolist() == ["a/1.jpg", "a/2.jpg", "b/1.jpg"]
    assert rows["subject"].tolist() == ["eve", "eve", "bob"] and rows["fold"].tolist() == ["train", "train", "test"]
    assert rows["expression"].tolist() == ["happiness", "sadness", None]
    assert rows["AU01"].tolist() == [0, 1, pd.NA]
    assert rows["AU02"].tolist() == [1, pd.NA, pd.NA]
    assert rows["AU12"].tolist() == [pd.NA, pd.NA, 1]
    assert not listing.skipped


def test_other_names_are_declared(tmp_path: Path) -> None:
    pictures(tmp_path, ["pics/x.jpg"])
    table(tmp_path / "t.csv", [["photo", "who", "smile", "mood", "id"], ["x.jpg", "eve", 1, 4, 7]])
    columns = {"image": "photo", "subject": "who", "AU12": "Smile", "expression": "mood"}
    rows = Table(columns=columns, images="pics", expressions={"4": "joy"}).read(tmp_path).rows
    row = rows.to_dict("records")[0]
    assert (row["image"], row["subject"], row["AU12"], row["expression"]) == ("pics/x.jpg", "eve", 1, "happiness")


@pytest.mark.parametrize(
    "name", ["participant_id", "Subject ID", "person", "pid", "id_subject", "VP", "vp-code", "SubjectNo", "Participant"]
)
def test_people_are_known_by_many_names(name: str, tmp_path: Path) -> None:
    pictures(tmp_path, ["1.jpg", "2.jpg", "3.jpg"])
    table(tmp_path / "t.csv", [["image", name, "AU1"], ["1.jpg", "eve", 1], ["2.jpg", "eve", 0], ["3.jpg", 7, 0]])
    listing = Table().read(tmp_path)
    assert listing.people_known and sorted(listing.rows["subject"]) == ["7", "eve", "eve"]
    assert f"people: 2, from the column '{name}'" in listing.notes


def test_people_are_never_made_up(tmp_path: Path) -> None:
    pictures(tmp_path, ["1.jpg", "2.jpg", "F001_3.jpg"])
    table(tmp_path / "t.csv", [["image", "who", "AU1"], ["1.jpg", "eve", 1], ["2.jpg", "eve", 0], ["F001_3.jpg", 7, 0]])
    listing = Table().read(tmp_path)
    assert not listing.people_known
    assert "2 of 3 rows" in listing.notes[0] and "--subject" in listing.notes[0] and "who" in listing.notes[0]
    assert Table(subject="who").read(tmp_path).people_known
    with pytest.raises(InputError, match=r"no column 'whom'.* Its columns are: image, who, AU1"):
        Table(subject="whom").read(tmp_path)


def test_a_guessed_column_that_repeats_nobody_is_doubted(tmp_path: Path) -> None:
    names = [f"{k}.jpg" for k in range(12)]
    pictures(tmp_path, names)
    table(tmp_path / "t.csv", [["image", "pid", "AU1"], *([name, k, 1] for k, name in enumerate(names))])
    doubted, told = Table().read(tmp_path), Table(subject="pid").read(tmp_path)
    assert not doubted.people_known and "--subject 'pid'" in doubted.notes[0]
    assert told.people_known and told.rows["subject"].nunique() == 12


def au_values(raw: Path, header: list[str], row: list[object], **options: object) -> tuple[dict[str, object], str]:
    """AU columns of the one row of a table, and its notes."""
    pictures(raw, ["1.jpg"])
    table(raw / "t.csv", [["image", "subject", *header], ["1.jpg", "eve", *row]])
    listing = Table(**options).read(raw)
    first = listing.rows.iloc[0]
    return {au: None if pd.isna(first[au]) else first[au] for au in listing.aus}, "\n".join(listing.notes)


@pytest.mark.parametrize(
    ("header", "row", "expected"),
    [
        (["AU1 (inner brow)", "AU4_brow_lowerer", "AU 12: Lip Corner Puller"], [1, 0, 1], {1: 1, 4: 0, 12: 1}),
        (["AU01", "AU12", "AU12L", "AU02_left"], [0, 0, 1, 1], {1: 0, 2: 1, 12: 1}),
        (["AU12L", "AU12R", "AU6_left", "AU6_right"], [0, 0, "", 0], {6: None, 12: 0}),
        (["AU12", "AU12 left"], [0, ""], {12: 0}),
        (["AU06_r", "AU12_c"], [3, 1], {6: 1, 12: 1}),
        (["1", "4", "12"], [1, 0, 1], {1: 1, 4: 0, 12: 1}),
        (["AU1", "AU2", "AU4"], ["C", "0", ""], {1: 1, 2: 0, 4: None}),
    ],
)
def test_aus_as_people_write_them(header: list[str], row: list[object], expected: dict, tmp_path: Path) -> None:
    values, _ = au_values(tmp_path, header, row)
    assert values == {f"AU{code:02}": value for code, value in expected.items()}


def test_letters_are_intensities(tmp_path: Path) -> None:
    assert au_values(tmp_path, ["AU1", "AU2"], ["B", "A"], present_from=2)[0] == {"AU01": 1, "AU02": 0}
    assert Table(present_from=2).read(tmp_path).rows["AU01_intensity"].tolist() == [2]


def test_what_is_not_understood_is_named_not_guessed(tmp_path: Path) -> None:
    header = ["AU1", "AU12_confidence", "AU99", "AU4_mean", "1", "ms"]
    values, notes = au_values(tmp_path, header, [1, 0.7, 1, 0.3, 1, 5])
    assert values == {"AU01": 1}
    assert "AU12_confidence, AU99, AU4_mean" in notes and "--columns.AU12" in notes and "not read: 1, ms" in notes
    assert "AU02_left" in au_values(tmp_path, ["AU02_left"], [1])[1]
    assert "numbers: 1, 12" in au_values(tmp_path, ["1", "12"], [1, 0])[1]
    with pytest.raises(InputError, match="neither AU columns"):
        au_values(tmp_path, ["0", "1", "2"], [1, 0, 1])


def test_the_form_of_fg_net(tmp_path: Path) -> None:
    aus = [1, 2, 4, 6, 7, 10, 12, 14, 15, 17, 23, 24]
    names = ["aligned_images/F001/T1/02440.jpg", "aligned_images/M011/T2/00095.jpg"]
    table(
        tmp_path / "labels/0/test.csv",
        [["image_path", *(f"au{au}" for au in aus)], *([name, *[1, 0] * 6] for name in names)],
    )
    pictures(tmp_path, names)
    listing = Table(file="labels/0/test.csv", protocol="bp4d").read(tmp_path)
    assert listing.rows["subject"].tolist() == ["F001", "M011"]
    assert listing.rows["frame"].tolist() == [2440, 95]
    assert listing.rows["fold"].tolist() == ["P1", "P2"]
    assert listing.rows[listing.aus].to_numpy().tolist() == [[1, 0] * 6] * 2
    assert listing.protocol == "bp4d"


def test_intensities_need_a_threshold(tmp_path: Path) -> None:
    pictures(tmp_path, ["1.jpg", "2.jpg"])
    table(tmp_path / "t.csv", [["image", "AU01"], ["1.jpg", 1], ["2.jpg", 3]])
    with pytest.raises(
        InputError, match=r"t\.csv, line 3: AU1 is 3; labels are 0 and 1 \(for intensities give --present_from"
    ):
        Table().read(tmp_path)
    rows = Table(present_from=2).read(tmp_path).rows
    assert rows["AU01"].tolist() == [0, 1] and rows["AU01_intensity"].tolist() == [1, 3]


def test_intensity_columns_stand_beside(tmp_path: Path) -> None:
    pictures(tmp_path, ["1.jpg"])
    table(tmp_path / "t.csv", [["image", "AU01", "AU01_intensity", "AU02_r"], ["1.jpg", 1, 4, 0.4]])
    row = Table().read(tmp_path).rows.to_dict("records")[0]
    assert (row["AU01"], row["AU01_intensity"], row["AU02"], row["AU02_intensity"]) == (1, 4, 0, 0)


def test_votes(tmp_path: Path) -> None:
    names = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear")
    pictures(tmp_path, ["1.jpg"])
    table(
        tmp_path / "t.csv",
        [["image", "expression", *(f"votes_{name}" for name in names)], ["1.jpg", "fear", *range(7)]],
    )
    assert Table().read(tmp_path).rows["votes"].tolist() == [list(range(7))]


def test_left_out_rows_are_counted(tmp_path: Path) -> None:
    pictures(tmp_path, ["1.jpg", "2.jpg"])
    rows = [["1.jpg", "fear"], ["1.jpg", "fear"], ["9.jpg", "fear"], ["", "fear"], ["2.jpg", "contempt"]]
    table(tmp_path / "sub/t.csv", [["image", "expression"], *rows])
    listing = Table().read(tmp_path)
    assert [(skip.where, skip.reason) for skip in listing.skipped] == [
        ("t.csv, line 3", "repeats line 2"),
        ("t.csv, line 4", "no picture sub/9.jpg or 9.jpg"),
        ("t.csv, line 5", "the row names no image"),
        ("t.csv, line 6", "expression contempt is none of the seven"),
    ]


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        ([["image", "age"], ["1.jpg", 3]], {}, r"line 1: neither AU columns .* nor a column expression"),
        ([["photo", "au1"], ["1.jpg", 1]], {}, r"line 1: no column of image paths"),
        ([["image", "au1"], ["1.jpg", 1]], {"aus": "1,2"}, r"line 1: no column for AU2; AUs found: AU1"),
        ([["image", "au1"], ["1.jpg", 1]], {"columns": {"AU02": "x"}}, r"line 1: no column 'x'"),
        ([["image", "au1"], ["1.jpg", 1]], {"columns": {"age": "au1"}}, r"--columns\.age: a column can be image"),
        ([["image", "au1", "AU01"], ["1.jpg", 1, 0]], {}, "columns 'au1' and 'AU01' are both AU1"),
        ([["image", "au1"], ["1.jpg", "yes"]], {}, r"line 2: AU1 is 'yes'"),
        ([["image", "au1"], ["1.jpg", 1], ["1.jpg", 0]], {}, r"lines 2 and 3 give 1\.jpg different labels"),
        (
            [["image", "expression"], ["1.jpg", 3]],
            {},
            r"line 2: expression '3' is none of neutral, .* say what it means",
        ),
        ([["image", "au1", "frame"], ["1.jpg", 1, "x"]], {}, r"line 2: 'x' where the frame should be"),
        ([["image", "au1"], ["1.jpg"]], {}, r"line 2: 1 of 2 columns; the last line"),
    ],
)
def test_faults_name_file_and_line(rows: list[list[object]], options: dict, message: str, tmp_path: Path) -> None:
    pictures(tmp_path, ["1.jpg"])
    table(tmp_path / "t.csv", rows)
    with pytest.raises(InputError, match=message):
        Table(**options).read(tmp_path)


def test_a_declared_column_is_not_taken_for_another(tmp_path: Path) -> None:
    pictures(tmp_path, ["1.jpg"])
    table(tmp_path / "t.csv", [["image", "au1", "au1_c"], ["1.jpg", 0, 1]])
    assert Table(columns={"AU01": "au1_c"}, aus="1").read(tmp_path).rows["AU01"].tolist() == [1]


def test_which_table_must_be_clear(tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv"):
        table(tmp_path / name, [["image", "au1"]])
    with pytest.raises(InputError, match=r"2 tables \(a\.csv, b\.csv\); say which with --file"):
        Table().read(tmp_path)
    with pytest.raises(InputError, match=r"there is no file .*c\.csv"):
        Table(file="c.csv").read(tmp_path)
    with pytest.raises(InputError, match=r"tables end in \.csv"):
        Table(file="c.xlsx").read(tmp_path)
    (tmp_path / "c.parquet").write_text("no parquet")
    with pytest.raises(InputError, match=r"c\.parquet cannot be read as Parquet"):
        Table(file="c.parquet").read(tmp_path)
    with pytest.raises(InputError, match="is not a regular expression"):
        Table(subjects="(")
    with pytest.raises(InputError, match="has no group"):
        Table(subjects="S[0-9]+")


def test_names_from_another_machine_and_without_a_folder(tmp_path: Path) -> None:
    pictures(tmp_path, ["img/eve/1.jpg", "img/bob/1.jpg", "img/bob/2.jpg"])
    named = ["D:\\study\\img\\eve\\1.jpg", "/home/me/study/img/bob/1.jpg", "2.jpg", "1.jpg", "C:\\x\\3.jpg"]
    table(tmp_path / "t.csv", [["image", "subject", "AU1"], *([name, "eve", 1] for name in named)])
    listing = Table().read(tmp_path)
    assert sorted(listing.rows["image"]) == ["img/bob/1.jpg", "img/bob/2.jpg", "img/eve/1.jpg"]
    reasons = [skip.reason for skip in listing.skipped]
    assert reasons[0] == "2 files are called 1.jpg, as img/bob/1.jpg and img/eve/1.jpg"
    assert reasons[1].startswith("no picture C:/x/3.jpg, nor the end of this path below")
    assert "1 images found by their names alone, in other folders" in listing.notes


def test_a_picture_in_a_named_folder_is_not_sought_in_others(tmp_path: Path) -> None:
    pictures(tmp_path, ["b/1.jpg", "b/2.jpg"])
    table(tmp_path / "t.csv", [["image", "subject", "AU1"], ["a/1.jpg", "eve", 1], ["b/2.jpg", "eve", 0]])
    assert Table().read(tmp_path).rows["image"].tolist() == ["b/2.jpg"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("mark", [";", ",", "\t"])
def test_excels_word_on_the_mark_between_cells(mark: str, encoding: str, tmp_path: Path) -> None:
    pictures(tmp_path, ["1.jpg"])
    rows = ["sep=" + mark, mark.join(["image", "subject", "AU1"]), mark.join(["1.jpg", "eve", "1"])]
    (tmp_path / "t.csv").write_text("\r\n".join(rows), encoding=encoding)
    assert Table().read(tmp_path).rows["subject"].tolist() == ["eve"]


@pytest.mark.parametrize(
    ("numbers", "first", "expected"),
    [((0, 1, 2), None, [0, 1, 2]), ((1, 2, 3), None, [0, 1, 2]), ((1, 2, 3), 0, [1, 2, 3])],
)
def test_labels_by_video_and_frame(
    numbers: tuple[int, ...], first: int | None, expected: list[int], tmp_path: Path
) -> None:
    (tmp_path / "videos").mkdir()
    for name in ("one.mp4", "two.avi"):
        (tmp_path / "videos" / name).write_bytes(b"a video")
    rows = [[video, "eve", k, 1] for video in ("videos/one.mp4", "two", "three.mp4") for k in numbers]
    table(tmp_path / "t.csv", [["video", "subject", "frame", "AU1"], *rows])
    listing = Table(first_frame=first).read(tmp_path)
    for video in ("videos/one.mp4", "videos/two.avi"):
        of_video = listing.rows[listing.rows["video"] == video]
        assert of_video["video_frame"].tolist() == expected and of_video["frame"].tolist() == list(numbers)
        assert of_video["sequence"].nunique() == 1 and set(of_video["subject"]) == {"eve"}
    assert [skip.reason for skip in listing.skipped] == ["no video three.mp4"] * 3
    assert any(
        note.startswith(f"frames of videos are counted from {numbers[0] if first is None else first}")
        for note in listing.notes
    )
    with pytest.raises(InputError, match=f"frame {numbers[0]}, but --first_frame is 5"):
        Table(first_frame=5).read(tmp_path)


def videos(raw: Path, *names: str) -> None:
    """Ten frames each, five a second."""
    for name in names:
        make_video(raw / name, [np.full((32, 32, 3), 20 * k, np.uint8) for k in range(10)], rate=5)


def test_labels_by_video_and_second(tmp_path: Path) -> None:
    videos(tmp_path, "P01_a.mp4", "P01_b.mp4", "P02_a.avi")
    (tmp_path / "P03.mp4").write_bytes(b"damaged")
    seconds = ["0", "0.39", "0:00:01.0", "7.5"]
    rows = [[name, second, 1] for name in ("P01_a.mp4", "P01_b", "P02_a") for second in seconds]
    table(tmp_path / "t.csv", [["clip", "time", "AU1"], *rows, ["P03.mp4", 0, 1]])
    listing = Table().read(tmp_path)
    assert listing.rows["frame"].tolist() == listing.rows["video_frame"].tolist() == 3 * [0, 2, 5]
    assert listing.rows["subject"].tolist() == 6 * ["P01"] + 3 * ["P02"] and listing.rows["sequence"].nunique() == 3
    assert listing.people_known and "P01, P02" in listing.notes[0] and "--subjects" in listing.notes[0]
    lines = [f"t.csv, line {line}" for line in (5, 9, 13, 14)]
    assert [skip.where for skip in listing.skipped] == lines and "second 7.5" in listing.skipped[0].reason
    assert set(listing.rows["fold"]) == {"P1", "P2"} and any("P1 1, P2 1" in note for note in listing.notes)
    table(tmp_path / "t.csv", [["clip", "time", "AU1"], ["P01_a", "soon", 1]])
    with pytest.raises(InputError, match="line 2: second is 'soon'"):
        Table().read(tmp_path)


def test_videos_that_begin_alike_are_a_person_each(tmp_path: Path) -> None:
    names = ["talk_eve.mp4", "talk_bob.mp4"]
    for name in names:
        (tmp_path / name).write_bytes(b"a video")
    table(tmp_path / "t.csv", [["video", "frame", "AU1"], *([name, k, 1] for name in names for k in (1, 2))])
    assert set(Table().read(tmp_path).rows["subject"]) == {"talk_eve", "talk_bob"}
    assert set(Table(subjects="talk_(.*)[.]").read(tmp_path).rows["subject"]) == {"eve", "bob"}


def test_the_example_can_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prepare", "table", "--example"]) == 0
    printed = capsys.readouterr()
    (tmp_path / "codes.csv").write_text(printed.out)
    videos(tmp_path, *{line.split(",")[0] for line in printed.out.splitlines()[1:]})
    listing = Table().read(tmp_path)
    assert len(listing.rows) == len(printed.out.splitlines()) - 1 and not listing.skipped
    assert listing.aus == ["AU01", "AU04", "AU06", "AU12"] and listing.rows["fold"].nunique() == 3
    assert "second" in printed.err and "subject" in printed.err


@pytest.mark.parametrize("column, green", [("", [False] * 4), (",frame", [False, True, True, True])])
def test_photographs_are_not_a_recording(column: str, green: list[bool], tmp_path: Path) -> None:
    """A bystander stands where somebody was before: in a recording that would be the same person."""
    portrait = Image.fromarray(pytest.importorskip("skimage.data").astronaut()).crop((130, 20, 330, 220))
    stranger = Image.fromarray(np.asarray(portrait)[..., [1, 0, 2]])
    for k in range(1, 5):
        photograph = Image.new("RGB", (900, 450), (120, 120, 120))
        if k > 1:
            photograph.paste(portrait.resize((400, 400)), (10, 20))
        photograph.paste((stranger if k > 1 else portrait).resize((250, 250)), (640, 20))
        photograph.save(tmp_path / f"{k}.png")
    numbers = [f",{k}" if column else "" for k in range(1, 5)]
    lines = "".join(f"{k}.png,P1,{k % 2}{number}\n" for k, number in enumerate(numbers, start=1))
    (tmp_path / "labels.csv").write_text(f"image,subject,AU12{column}\n{lines}")
    listing, recipe = Table().read(tmp_path), Recipe(size=64, finder={"name": "dlib5"})
    prepared = prepare(
        listing, tmp_path, tmp_path / "out", name="table", source=Table.card, recipe=recipe, workers=1
    ).dataset
    colours = [prepared.image(row).mean(axis=(0, 1)) for row in range(4)]
    assert [bool(colour[1] > colour[0]) for colour in colours] == green
    assert prepared.card.counts["pictures_with_several_faces"] == 3
    findings, _ = audit(tmp_path / "out")
    assert any("3 pictures have several faces" in finding.text for finding in findings.findings)
