import hashlib
from pathlib import Path

import pytest

from metafacs.errors import InputError
from metafacs.faces import best_finder, make_finder
from metafacs.packaged import imported, packaged_file

COMMAND = r"pip install 'metafacs\[faces\]'"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package `toyfaces` with a model file; gives the file."""
    info = tmp_path / "toyfaces-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toyfaces\nVersion: 1.0\n")
    (info / "RECORD").write_text("toyfaces/model.onnx,,\ntoyfaces/__init__.py,,\n")
    model = tmp_path / "toyfaces" / "model.onnx"
    model.parent.mkdir()
    model.write_bytes(b"weights")
    (model.parent / "__init__.py").write_text("raise SystemExit('the package was run')")
    monkeypatch.syspath_prepend(tmp_path)
    return model


def test_a_file_is_found_without_running_its_package(package: Path) -> None:
    digest = hashlib.sha256(b"weights").hexdigest()
    assert packaged_file("toyfaces", "toyfaces/model.onnx", digest) == package


def test_an_altered_file_is_refused(package: Path) -> None:
    with pytest.raises(InputError, match=rf"model\.onnx has SHA-256 .*, not 00: .*{COMMAND}"):
        packaged_file("toyfaces", "toyfaces/model.onnx", "00")


def test_a_missing_file_and_a_missing_package(package: Path) -> None:
    package.unlink()
    for package_name, text in (
        ("toyfaces", r"toyfaces has no file toyfaces/model\.onnx"),
        ("no_such", "no_such is not"),
    ):
        with pytest.raises(InputError, match=rf"{text}.*{COMMAND}"):
            packaged_file(package_name, "toyfaces/model.onnx", "00")


def test_a_module_that_cannot_be_imported() -> None:
    with pytest.raises(InputError, match=rf"no_such_module cannot be imported .*{COMMAND}"):
        imported("no_such_module")


def test_without_any_finder_auto_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("metafacs.faces.finders.find_spec", lambda name: None)
    monkeypatch.setattr("metafacs.faces.mediapipe_finder.MediapipeFinder.__init__", _missing)
    assert best_finder() == "mediapipe"
    with pytest.raises(InputError, match=COMMAND):
        make_finder({"name": "auto", "smallest": 31.0})


def _missing(_self: object, **_settings: object) -> None:
    imported("no_such_module")
