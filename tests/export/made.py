"""Exported toy detectors."""

import functools
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from metafacs.export.graph import to_graph
from metafacs.export.parity import random_faces, rendered_faces
from metafacs.models.network import FORMS, Network, build_network
from metafacs.sample import Sample
from metafacs.training.checkpoint import DetectorCard
from tests.inference.toys import AUS, EXPRESSIONS
from tests.toy_runs import BACKBONE, SMALL

SIZE = 48
FORMS_ON = {"enhanced": "vgg19", "roi": "vgg16", "related": "vgg19", "jaa": "metafacs_jaa"}
"""Kind of backbone that each form needs, where not a ResNet."""
FACTS: dict[str, dict[str, Any]] = {"jaa": {"aus": AUS}, "related": {"aus": AUS}, "joint": {"joint": [0, 1, 2]}}
"""What a form is built from beside the network, where it must be given."""
CARD = DetectorCard(
    aus=AUS,
    thresholds=[0.5, 0.4, 0.5, 0.6],
    expressions=EXPRESSIONS,
    backbone=BACKBONE,
    backbone_options={},
    side=32,
    resize=36,
    crop={},
    dataset="toy",
    test_fold="P1",
    test_subjects=["S000", "S003"],
    method="mal",
    seed=0,
)


def network(form: str = "plain", backbone: str = BACKBONE, **options: Any) -> tuple[Network, DetectorCard]:
    """An untrained network whose logits differ from face to face, and its card."""
    if form != "plain":
        backbone, options = SMALL[FORMS_ON.get(form, "resnet")]
    torch.manual_seed(3)
    made = build_network(backbone, len(AUS), len(EXPRESSIONS), "scratch", options)
    made = FORMS[form].around(made, **FACTS.get(form, {})).eval()
    with torch.no_grad():
        # faces and noise: scaled on noise alone, whose pictures are all alike, probabilities would all be 0 or 1
        faces = torch.from_numpy(np.concatenate([rendered_faces(CARD.side), random_faces(CARD.side)]))
        sample = Sample(faces.permute(0, 3, 1, 2).float() / 255)
        if form == "jaa":  # deep: without statistics of its own all faces would be alike but for rounding
            for layer in made.modules():
                if isinstance(layer, torch.nn.BatchNorm2d):
                    layer.momentum = 1.0
            made.train()(sample)
            made.eval()
        # of deep networks without training all faces are nearly alike: more would be made of rounding
        spread = 2 if form == "plain" else 0.5
        factor, rows = spread / made.logits(sample).std(0), len(made.au_head.weight)
        made.au_head.weight.mul_(factor[:, None] if rows == len(factor) else factor.mean())  # a joint head has more
        if rows == len(factor):
            made.au_head.bias.sub_(made.logits(sample).mean(0))
    return made, replace(CARD, backbone=backbone, backbone_options=options, method=form)


def content(made: Network, card: DetectorCard, opset: int = 18) -> bytes:
    """The file of a detector, without its metadata."""
    return bytes(to_graph(made, card, SIZE, opset).SerializeToString())


@functools.cache
def plain_content() -> bytes:
    """The file of the plain network."""
    return content(*network())
