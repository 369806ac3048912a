from pathlib import Path
from typing import Any

import pytest

from metafacs.config import DataConfig, LoopConfig, OptimiserConfig, TrainConfig
from metafacs.errors import InputError
from metafacs.methods.mal import MALOptions

DATA = DataConfig(Path("au"))


@pytest.mark.parametrize(
    ("kind", "values", "message"),
    [
        (DataConfig, {"resize": 0}, "--data.resize is 0; it has to be at least 1"),
        (DataConfig, {"workers": -1}, "--data.workers is -1; it has to be at least 0"),
        (DataConfig, {"reserve_people": 1.5}, "--data.reserve_people is 1.5; it has to be in 0-1"),
        (
            DataConfig,
            {"augment": "mirrors"},
            "--data.augment is 'mirrors'; it has to be one of 'crops'",
        ),
        (OptimiserConfig, {"learning_rate": 0.0}, "--optimiser.learning_rate is 0.0; it has to be more than 0"),
        (OptimiserConfig, {"weight_decay": float("nan")}, "--optimiser.weight_decay is nan"),
        (LoopConfig, {"epochs": -1.0}, "--loop.epochs is -1.0"),
        (LoopConfig, {"steps": 0}, "--loop.steps is 0; it has to be at least 1"),
        (TrainConfig, {"seed": 2**63}, "--seed is 9223372036854775808"),
        (TrainConfig, {"method": "mall"}, "unknown method 'mall'"),
        (TrainConfig, {"method": "stl", "options": MALOptions()}, "stl takes STLOptions, not MALOptions"),
    ],
)
def test_values_that_cannot_be_are_refused(kind: type, values: dict[str, Any], message: str) -> None:
    needed: dict[type, dict[str, Any]] = {DataConfig: {"primary": "au"}, TrainConfig: {"out": "run", "data": DATA}}
    with pytest.raises(InputError, match=message):
        kind(**needed.get(kind, {}), **values)


def test_values_are_those_of_the_configuration_file() -> None:
    config = TrainConfig(Path("run"), DataConfig(Path("au"), "fe"), "mal", "gentle", options=MALOptions(alpha=0.01))
    values = config.values()
    assert values["data"]["auxiliary"] == "fe" and values["mal"]["alpha"] == 0.01 and "out" not in values
    assert TrainConfig.read(values, Path("run")) == config


def test_a_configuration_of_another_version_is_read_as_far_as_it_is_known() -> None:
    values = TrainConfig(Path("run"), DATA).values()
    values["loop"]["nonfinite"], values["mal"]["thrift"], values["else"] = "stop", 3, 1
    assert TrainConfig.read(values, Path("run")) == TrainConfig(Path("run"), DATA)
    for damaged in ({}, {"data": 3}, {"data": {}}, {**values, "method": ["mal"]}):
        with pytest.raises(InputError):
            TrainConfig.read(damaged, Path("run"))
