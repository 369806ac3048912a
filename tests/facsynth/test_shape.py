import numpy as np
import pytest
import torch

from facsynth.head import Head
from facsynth.shape import phenotype_shares, rest_vertices
from metafacs.errors import InputError


def forward(head: Head, phenotype: dict[str, float], local: dict[str, float]) -> np.ndarray:
    """What the model itself gives, skeleton and all."""
    pose = torch.eye(4)[None, None].repeat(1, head.model.bone_count, 1, 1)
    tensors = [{name: torch.tensor([v]) for name, v in values.items()} for values in (phenotype, local)]
    with torch.no_grad():
        out = head.model(pose_parameters=pose, phenotype_kwargs=tensors[0], local_changes_kwargs=tensors[1])
    return np.asarray(out["vertices"][0].numpy())


@pytest.mark.parametrize("seed", range(4))
def test_vertices_are_those_of_the_model(seed: int, head: Head) -> None:
    rng = np.random.default_rng(seed)
    phenotype = {name: float(rng.uniform(0, 1)) for name in head.model.phenotype_labels}
    local = {name: float(rng.normal(0, 0.4)) for name in head.local_labels}
    assert np.abs(rest_vertices(head.model, phenotype, local) - forward(head, phenotype, local)).max() < 1e-6


@pytest.mark.parametrize(
    "phenotype",
    [{}, {"age": 0.0}, {"age": 1.0, "gender": 1.0}, {"african": 0.0, "asian": 0.0, "caucasian": 0.0}, {"age": 2 / 3}],
)
def test_at_the_ends_of_the_scales_too(phenotype: dict[str, float], head: Head) -> None:
    assert np.abs(rest_vertices(head.model, phenotype, {}) - forward(head, phenotype, {})).max() < 1e-6


def test_shares_of_each_quality_add_up_to_one() -> None:
    shares = phenotype_shares({"age": 0.4, "african": 0.2, "asian": 0.1, "caucasian": 0.9})
    assert shares[:3].sum() == pytest.approx(1)
    assert shares.sum() == pytest.approx(9)
    assert (shares >= 0).all()


def test_unknown_names_are_refused(head: Head) -> None:
    with pytest.raises(InputError, match="no beauty"):
        rest_vertices(head.model, {"beauty": 1.0}, {})
