"""metafacs: train facial Action Unit detectors from few AU labels and many expression labels.

The Python door, loaded when first asked for:

    run = metafacs.train(metafacs.TrainConfig("runs/mal", metafacs.DataConfig("data/au", "data/fe")))
    run.evaluate()
    run.detector().detect("photo.jpg")
    metafacs.compare([run, "runs/mtl"])
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from metafacs.api import Run, train
    from metafacs.config import DataConfig, LoopConfig, NetworkConfig, OptimiserConfig, TrainConfig
    from metafacs.data.prepared import PreparedDataset
    from metafacs.errors import InputError
    from metafacs.evaluation.comparison import Comparison, compare
    from metafacs.experiments.benchmark import Benchmark, BenchmarkConfig, benchmark
    from metafacs.inference.detector import AUDetector
    from metafacs.methods import METHODS
    from metafacs.methods.two_tasks import AuxiliaryLearning

__version__ = "0.1.0"

_PLACES = {
    "api": ["Run", "train"],
    "config": ["DataConfig", "LoopConfig", "NetworkConfig", "OptimiserConfig", "TrainConfig"],
    "data.prepared": ["PreparedDataset"],
    "errors": ["InputError"],
    "evaluation.comparison": ["Comparison", "compare"],
    "experiments.benchmark": ["Benchmark", "BenchmarkConfig", "benchmark"],
    "inference.detector": ["AUDetector"],
    "methods": ["METHODS"],
    "methods.two_tasks": ["AuxiliaryLearning"],
}
_PLACE_OF = {name: place for place, names in _PLACES.items() for name in names}

__all__ = [
    "METHODS",
    "AUDetector",
    "AuxiliaryLearning",
    "Benchmark",
    "BenchmarkConfig",
    "Comparison",
    "DataConfig",
    "InputError",
    "LoopConfig",
    "NetworkConfig",
    "OptimiserConfig",
    "PreparedDataset",
    "Run",
    "TrainConfig",
    "benchmark",
    "compare",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACE_OF:
        raise AttributeError(f"module 'metafacs' has no attribute '{name}'")
    return getattr(import_module(f"metafacs.{_PLACE_OF[name]}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
