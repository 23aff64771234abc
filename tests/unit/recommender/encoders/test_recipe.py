"""A recipe and a machine's settings give what an encoder is loaded by there."""

import json
from pathlib import Path

from config.settings import EncoderSettings
from recommender.encoders.recipe import Recipe


def test_a_recipe_survives_being_stored() -> None:
    recipe = Recipe("compact", "/weights/own.pt", "int8", "/photos")
    assert Recipe.from_json(json.loads(json.dumps(recipe.as_json()))) == recipe


def test_a_machine_keeps_what_is_its_own() -> None:
    machine = EncoderSettings(
        name="resnet50", weights="/there/resnet.pt", device="cpu", threads=3, precision="float32"
    )
    loaded_by = Recipe("compact-128").on(machine)
    assert loaded_by == EncoderSettings(name="compact-128", device="cpu", threads=3, precision="float32")


def test_a_precision_that_needs_a_collection_of_its_own_is_the_recipes(tmp_path: Path) -> None:
    floating = EncoderSettings(name="compact", precision="half")
    int8 = EncoderSettings(name="compact", precision="int8", calibration=tmp_path)
    assert Recipe.of(floating).on(int8) == EncoderSettings(name="compact", precision="auto")
    assert Recipe.of(int8).on(floating) == int8
    assert Recipe.of(EncoderSettings(calibration=tmp_path)) == Recipe("compact")


def test_a_file_is_looked_for_where_this_machine_has_it(tmp_path: Path) -> None:
    there, here = tmp_path / "there.pt", tmp_path / "here.pt"
    machine = EncoderSettings(name="compact", weights=str(here))
    recipe = Recipe("compact", str(there))
    assert recipe.on(machine).weights == str(here)
    assert recipe.on(EncoderSettings(name="resnet50", weights=str(here))).weights == str(there)
    there.touch()
    assert recipe.on(machine).weights == str(there)
    assert Recipe("compact").on(machine).weights is None
