"""The shipped recipes of pretraining, detector and diagnosis are ones, and a network is made of each."""

import pytest

from vision.detect_command import detector_recipe_of
from vision.pretrain_command import pretrain_recipe_of
from vision.train_command import recipe_of


@pytest.mark.parametrize("name", ["moco", "moco_phantom", "image_text", "image_text_phantom"])
def test_recipes_of_pretraining(name):
    recipe = pretrain_recipe_of(f"vision/{name}", [])
    assert recipe.description and recipe.moco.queue > recipe.training.batch_size


@pytest.mark.parametrize("name", ["detector", "detector_phantom"])
def test_recipes_of_the_detector(name):
    recipe = detector_recipe_of(f"vision/{name}", ["seed=3"], "somewhere")
    assert recipe.seed == 3 and recipe.backbone.source == "somewhere" and recipe.transformer.decoder_layers > 1


def test_the_recipe_of_the_diagnosis():
    recipe = recipe_of("vision/diagnosis", [], None, "run")
    assert len(recipe.labels) == 8 and recipe.abnormality == "run"


def test_the_small_detector_is_small():
    from vision.detector import build_detector

    model = build_detector(detector_recipe_of("vision/detector_phantom", []), ["a", "b"])
    assert 500_000 < sum(weight.numel() for weight in model.parameters()) < 1_500_000
    assert model.detector.config.feat_strides == [8, 16, 32]


def test_the_paper_gives_the_rate_and_its_steps():
    recipe = pretrain_recipe_of("vision/moco", [])
    course = recipe.training
    assert (course.epochs, course.batch_size, course.learning_rate, course.weight_decay) == (45, 128, 5e-4, 1e-4)
    assert [round(drop * course.epochs) for drop in course.drops] == [25, 35]
