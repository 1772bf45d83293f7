"""Phantom films: they look as a chest does to the measures, and lesions are where their boxes say."""

import dataclasses

import numpy as np
import pytest
from scipy.ndimage import minimum_filter

from corpora.phantom.anatomy import draw_body
from corpora.phantom.film import FRONTAL, draw_plan, layers_of, render
from corpora.phantom.opacities import PAINTERS
from corpora.phantom.physics import attenuation
from corpora.phantom.signs import KINDS, draw_sign
from corpora.quality import measure

LABEL_OF = {kind: label for label, kinds in KINDS.items() for kind in kinds}


def body_of(seed):
    return draw_body(seed, 20 + seed * 13 % 60, bool(seed % 2))


def plan_of(seed, view="PA", size=160):
    plan = draw_plan(view, size, view == "AP", np.random.default_rng(seed))
    return dataclasses.replace(plan, border=(0, 0, 0, 0), cables=None, marker="")


def sign_of(kind, seed):
    for attempt in range(1000):
        sign = draw_sign(LABEL_OF[kind], 1, np.random.default_rng([seed, attempt]))
        if sign.kind == kind:
            return sign.sized(max(sign.size, 0.35))
    raise AssertionError(kind)


@pytest.mark.parametrize("seed", range(6))
def test_a_frontal_film_is_a_chest(seed):
    plan = plan_of(seed, FRONTAL[seed % 2])
    film = render(plan, body_of(seed), ())
    assert film.values.dtype == np.float32 and film.values.shape == (plan.rows, plan.columns)
    assert film.values.min() >= 0 and film.values.max() <= 1
    measures = measure(film.values)
    assert measures.polarity > 0.1 and measures.chest > 0.25 and measures.clipped < 0.1


def test_the_same_film_twice():
    first, again = (render(plan_of(1), body_of(1), (sign_of("effusion", 1),)) for _ in range(2))
    assert np.array_equal(first.values, again.values) and first.places == again.places


@pytest.mark.parametrize("kind", sorted(LABEL_OF))
@pytest.mark.parametrize("seed", [2, 5])
def test_a_lesion_is_in_its_box(kind, seed):
    plan, body, sign = plan_of(seed), body_of(seed), sign_of(kind, seed)
    film = render(plan, body, (sign,))
    assert film.places, kind
    inside = np.zeros((plan.rows, plan.columns), bool)
    for place in film.places:
        x_min, y_min, x_max, y_max = place.box
        assert 0 <= x_min < x_max <= plan.columns and 0 <= y_min < y_max <= plan.rows
        inside[y_min:y_max, x_min:x_max] = True
    weakened = []
    for signs in ((sign,), ()):
        _, layers, _ = layers_of(plan, body, signs)
        weakened.append(attenuation(layers.soft, layers.bone, layers.metal))
    change = np.abs(weakened[0] - weakened[1])
    assert change[inside].mean() > 1.5 * change[~inside].mean()
    assert change[inside].max() > 0.02


@pytest.mark.parametrize(
    ("kind", "least"),
    [
        ("lateral_thickening", 30),
        ("apical_thickening", 35),
        ("plaque", 30),
        ("rib_fracture", 30),
        ("healed_rib", 30),
        ("clavicle_fracture", 20),
        ("picc", 40),
        ("central_line", 40),
        ("nodule", 30),
        ("plates", 30),
    ],
)
def test_narrow_and_small_signs_can_be_seen(kind, least):
    """Greys of 255 by which the clearest place of a sign differs, in a film of 256 pixels."""
    differences = []
    for seed in (3, 4, 9):
        plan, body = plan_of(seed, size=256), body_of(seed)
        sign = dataclasses.replace(sign_of(kind, seed), size=0.4)
        film, plain = (render(plan, body, signs) for signs in ((sign,), ()))
        change = 255 * np.abs(film.values - plain.values)
        differences.append(max(change[box[1] : box[3], box[0] : box[2]].max() for box in (p.box for p in film.places)))
    assert np.median(differences) > least


def test_a_thickened_side_wall_is_not_at_the_apex():
    for seed in range(8):
        (place,) = render(plan_of(seed), body_of(seed), (sign_of("lateral_thickening", seed),)).places
        x_min, y_min, x_max, y_max = place.box
        assert y_max - y_min > 1.5 * (x_max - x_min)


@pytest.mark.parametrize("kind", ["nodule", "consolidation", "pneumothorax", "rib_fracture", "pacemaker"])
def test_a_one_sided_lesion_is_on_its_side(kind):
    # the patient's left is on the right of the film
    for seed in (3, 8):
        plan, sign = plan_of(seed), sign_of(kind, seed)
        places = render(plan, body_of(seed), (sign,)).places
        assert places
        for place in places:
            middle = (place.box[0] + place.box[2]) / 2
            if kind == "pacemaker":
                assert middle > 0.4 * plan.columns
            else:
                assert (middle > plan.columns / 2) == (sign.side > 0)


def test_a_larger_fracture_is_of_more_ribs():
    plan, body, sign = plan_of(4), body_of(4), sign_of("rib_fracture", 4)
    counts = [len(render(plan, body, (sign.sized(size),)).places) for size in (0.1, 0.4, 0.6)]
    assert counts == [1, 2, 3]


def test_a_larger_sign_is_larger():
    for kind in ("large_heart", "mass", "effusion", "pneumothorax"):
        plan, body, sign = plan_of(4), body_of(4), sign_of(kind, 4)
        areas = []
        for size in (0.2, 0.9):
            places = render(plan, body, (sign.sized(size),)).places
            areas.append(sum((b[2] - b[0]) * (b[3] - b[1]) for b in (place.box for place in places)))
        assert areas[1] > areas[0], kind


def test_no_vessels_outside_a_collapsed_lung():
    plan, body = plan_of(6), body_of(6)
    sign = sign_of("pneumothorax", 6).sized(0.6)
    _, layers, marks = layers_of(plan, body, (sign,))
    _, before, _ = layers_of(plan, body, ())
    (_, mark), *_ = marks
    # the lung's edge is in the mark as well: what lies more than a pixel within it
    inner = minimum_filter(mark, 5) > 0.9
    assert before.vessels[sign.side][inner].sum() > 1
    assert layers.vessels[sign.side][inner].sum() < 0.02 * before.vessels[sign.side][inner].sum()


def test_every_frontal_kind_has_a_painter():
    from corpora.phantom.devices import DEVICES

    assert set(PAINTERS) | set(DEVICES) == set(LABEL_OF)


def test_burned_text_is_in_its_box():
    plan, body = plan_of(7, size=256), body_of(7)
    plain, burned = render(plan, body, ()), render(plan, body, (), ("ROSE, AGNES", "120000017"))
    assert [text for text, _ in burned.texts] == ["ROSE, AGNES", "120000017"]
    change = np.abs(plain.values - burned.values) > 0.02
    for _, (x_min, y_min, x_max, y_max) in burned.texts:
        assert change[y_min:y_max, x_min:x_max].any()
        change[y_min:y_max, x_min:x_max] = False
    assert not change.any()


def test_a_lateral_film_is_none_of_a_frontal_one():
    plan = plan_of(2, "LATERAL")
    film = render(plan, body_of(2), (sign_of("mass", 2),))
    assert film.values.shape == (plan.rows, plan.columns)
    assert np.isfinite(film.values).all() and film.values.std() > 0.1


@pytest.mark.slow
def test_a_film_of_native_size():
    film = render(plan_of(3, size=2048), body_of(3), (sign_of("nodule", 3),))
    assert film.values.shape[0] == 2048 and film.places
