"""Schemes and recipes that are added to the page by name: what is measured is what they draw."""

import math

import numpy as np
import pytest

from wellbegun.errors import ArgumentError, LayoutError, UnknownNameError
from wellbegun.explore import content, playground
from wellbegun.explore.named import Added, added
from wellbegun.explore.networks import SLOPES, inputs, layers
from wellbegun.explore.playground import CHOICES, KINDS, SCALES, gains_of, groups, kinds_of, measure
from wellbegun.schemes import parse_scheme
from wellbegun.theory import activation_of, gain

MORE = added(["hadamard", "truncated_normal(std=0.3)", "classic", "auto", "gpt2@1", "mimetic('value')"], (16,))
EVERY = (*CHOICES, *MORE.choices)
BY_KEY = {choice.key: choice for choice in EVERY}


@pytest.mark.parametrize("text", ["hadamard()", "truncated_normal(std=0.3)", "mimetic(of='value')"])
def test_a_record_is_what_the_scheme_itself_does(text: str) -> None:
    width, depth, scale, choice = 16, 8, 2, BY_KEY[text]
    weights = layers(kinds_of(EVERY)[choice.kind], depth, width)
    found = measure(choice.kind, "tanh", width, gains_of(choice.kind, width, EVERY), depth=depth, weights=weights)
    row = content.rows_of(choice, width, EVERY)[scale]
    handed, expected = inputs(playground.VALUES // width, width), []
    for index in range(depth):
        w = parse_scheme(text)((width, width), seed=0, name=f"layers.{index}.weight", dtype="float64")
        handed = np.tanh(handed @ w.T * SCALES[scale])
        expected.append(math.log10(float(np.sqrt(np.mean(handed**2)))))
    assert np.allclose(found.handed[row], expected, atol=1e-6)
    assert not np.allclose(found.handed[row - 1], expected, atol=1e-3)


def chosen(recipe: str, activation: str, width: int) -> playground.Choice:
    shown = next(each for each in MORE.shown if each.key.startswith(recipe))
    return BY_KEY[shown.by[f"{activation} {width}"]]


def test_a_recipe_shows_what_it_gives_each_activation() -> None:
    width = 16
    for activation, mode in (("relu", gain("relu")), ("selu", 1.0), ("tanh", 1.0), ("gelu", gain("gelu"))):
        choice = chosen("classic@1", activation, width)
        assert choice.gain(width) == pytest.approx(mode), activation
        assert choice.kind in ("normal", "uniform")
    assert {chosen("gpt2@1", activation, width).key for activation in SLOPES} == {f"gpt2@1 normal(std=0.02) {width}"}
    assert chosen("gpt2@1", "relu", width).gain(width) == pytest.approx(0.02 * math.sqrt(width))
    assert [chosen("auto@", each, width).kind for each in ("relu", "linear")] == ["mirrored", "orthogonal"]


def test_every_pick_leads_to_a_record_that_is_there() -> None:
    data = content.play((16,), MORE)
    by_key = {each["key"]: each for each in data["choices"]}
    records = sum(len(gains_of(kind, width, EVERY)) for kind, _, width in groups((16,), EVERY))
    assert [key for key, _ in data["shown"]][: len(CHOICES)] == [choice.key for choice in CHOICES]
    assert len(data["shown"]) == len(CHOICES) + 6
    for key, _ in data["shown"]:
        for activation in SLOPES:
            found = by_key[key]
            found = by_key[found["by"][f"{activation} 16"]] if "by" in found else found
            first = data["starts"][f"{found['kind']} {activation} 16"]
            assert first + max(found["rows"]["16"]) < records
            assert f"{found['kind']} 16" in data["weights"]
            assert len(found["laws"]["16"]) == len(SCALES)
    known = {key: each["known"] for key, each in by_key.items() if "by" not in each}
    assert (known["hadamard()"], known["truncated_normal(std=0.3)"], known["constant"]) == (False, True, False)


def test_multiples_of_what_is_measured_cost_no_kind() -> None:
    assert {choice.kind for choice in added(["normal(std=0.3)", "gpt2"], (16,)).choices} <= {*KINDS}
    assert groups((16,), CHOICES) == [(kind, phi, 16) for kind in KINDS for phi in SLOPES]
    assert added([]) == Added()


@pytest.mark.parametrize(
    ("name", "error", "match"),
    [
        ("he_normall", UnknownNameError, "explore: add"),
        ("gpt99", UnknownNameError, "explore: add"),
        ("bilinear", LayoutError, "convolution"),
        ("icnr(normal(), 5)", (ArgumentError, LayoutError), "5"),
        ("normal(std=-1)", ArgumentError, "std"),
        ("lsuv", ArgumentError, "measures nothing on a batch; got 'lsuv@1'"),
    ],
)
def test_names_that_have_no_square_matrices_are_told(name: str, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        added([name])


def test_activations_of_the_chain_are_those_of_the_page() -> None:
    """What a recipe is shown is the function that is measured."""
    from wellbegun.explore.named import _chain
    from wellbegun.graph import roles_of

    for activation in SLOPES:
        met = roles_of(_chain(activation, 8))["layers.3.weight"].met
        if activation != "linear":
            x = np.linspace(-3, 3, 13)
            assert met is not None
            name = f"leaky_relu({met.slope})" if met.name == "leaky_relu" else met.name
            assert np.allclose(activation_of(name)(x), activation_of(activation)(x)), activation


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("impulse(taps=2)", r"explore: add must be a scheme that fills square matrices; got 'impulse\(taps=2\)'"),
        ("gpt2,hadamard", "explore: add must be one scheme or recipe; got 'gpt2,hadamard'. Give each by itself"),
        ("normal(std=0.1), zeros()", "explore: add must be one scheme or recipe"),
        ("gpt2(x=1)", "explore: add must be a recipe by its name alone"),
    ],
)
def test_texts_that_are_no_single_name_are_told(text: str, match: str) -> None:
    with pytest.raises(ArgumentError, match=match):
        added([text], (16,))
