import json

import pytest

from facsynth.scene import EYES
from metafacs.errors import InputError
from metafacs.faces import Recipe
from metafacs.synth.rendering import crop_recipe


def test_a_recipe_survives_the_card() -> None:
    recipe = Recipe(size=200, margin=0.1, quality=80, finder={"name": "dlib5", "correction": [0.1, 0.2]}, every=3)
    assert Recipe.from_card(json.loads(json.dumps(recipe.to_card()))) == recipe


def test_photographs_and_rendered_crops_share_a_template() -> None:
    rendered, ours = crop_recipe(256), Recipe(size=256).to_card()
    for key in ("kind", "size", "points", "template", "template_unit"):
        assert ours[key] == rendered[key]
    assert Recipe.from_card(rendered).template == EYES


@pytest.mark.parametrize(
    "settings, text",
    [
        ({"size": 8}, "crops of 8 pixels"),
        ({"margin": -0.5}, "a margin of -0.5"),
        ({"quality": 100}, "quality 100"),
        ({"choice": "smallest"}, "'smallest' cannot be taken"),
        ({"every": 0}, "every is 0"),
        ({"kind": "round"}, "kind 'round'"),
    ],
)
def test_impossible_recipes(settings: dict, text: str) -> None:
    with pytest.raises(InputError, match=text):
        Recipe(**settings)


def test_a_template_this_version_would_not_follow() -> None:
    card = Recipe().to_card()
    card["template"]["right_eye"] = [0.3, 0.3]
    with pytest.raises(InputError, match="can follow"):
        Recipe.from_card(card)
    with pytest.raises(InputError, match="can follow"):
        Recipe.from_card({"size": 64})
