"""What holds for every scheme of every family: number formats, parts, odd shapes; and figures that sources print."""

import json
from itertools import product

import numpy as np
import pytest

import wellbegun as wb
from wellbegun.errors import ArgumentError, LayoutError
from wellbegun.laws import law_from_dict
from wellbegun.layout import Layout
from wellbegun.schemes import TENSORS, Card, cards, parse_scheme
from wellbegun.schemes.catalogue import CLASSIC

CARDS = cards()
ADDED = [card for card in CARDS if card.family not in {family.__name__.rpartition(".")[2] for family in CLASSIC}]
STEP = {"float16": 2.0**-10, "bfloat16": 2.0**-7, "float32": 2.0**-22}  # relative, with room for rounding twice


def values(card: Card, dtype: str = "float64", region=None) -> np.ndarray:
    """Of the card's example, in canonical order."""
    shape = card.layout.canonical_shape(card.shape)
    law = parse_scheme(card.example).law(card.shape, layout=card.layout)
    stored = wb.fill(law, shape, seed=3, name="w", dtype=dtype, region=region)
    return stored.astype(np.float64)


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.name)
def test_any_part_is_that_of_the_whole(card: Card) -> None:
    whole = values(card)
    for cut in product(*[[(0, size), (size // 3, size - 1 if size > 2 else size)] for size in whole.shape]):
        part = values(card, region=cut)
        assert (part == whole[tuple(slice(*bounds) for bounds in cut)]).all()


@pytest.mark.parametrize("dtype", STEP)
@pytest.mark.parametrize("card", ADDED, ids=lambda card: card.name)
def test_number_formats_hold_the_same_values(card: Card, dtype: str) -> None:
    """To rounding, where no random words are used; random ones have words of another size."""
    whole, stored = values(card), values(card, dtype)
    law = parse_scheme(card.example).law(card.shape, layout=card.layout)
    low, high = law.support()
    computed = isinstance(law, (wb.laws.Computed, wb.laws.Constant))  # rounded to nearest
    room = STEP[dtype] * max(abs(low), abs(high)) if computed else 0.0
    assert low - room <= stored.min() <= stored.max() <= high + room
    if computed:
        assert np.allclose(stored, whole, rtol=STEP[dtype], atol=6e-8)


@pytest.mark.parametrize("card", ADDED, ids=lambda card: card.name)
def test_moments_and_plans(card: Card) -> None:
    law = parse_scheme(card.example).law(card.shape, layout=card.layout)
    assert law_from_dict(json.loads(json.dumps(law.to_dict(), allow_nan=False))) == law
    shape, whole = card.layout.canonical_shape(card.shape), values(card)
    found = law.moments(shape)
    if isinstance(law, wb.laws.Computed):
        assert np.allclose(found[:2], [whole.mean(), whole.var()], rtol=1e-9, atol=1e-15)
        assert law.distribution(shape)([whole.max()])[0] == pytest.approx(1.0)
    else:
        assert abs(whole.mean() - found.mean) < 6 * (found.variance / whole.size) ** 0.5 + 1e-15


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (7, 1), (5, 3), (3, 5), (0, 4), (4, 0), (5,), (1,), (5, 3, 2, 1)])
@pytest.mark.parametrize("card", ADDED, ids=lambda card: card.name)
def test_odd_shapes_are_filled_or_refused(card: Card, shape: tuple[int, ...]) -> None:
    scheme = parse_scheme(card.example)
    for layout in {1: ("o", "l"), 2: ("oi", "io", "lo"), 4: ("oikk", "iokk")}[len(shape)]:
        try:
            drawn = scheme(shape, seed=0, layout=layout, dtype="float64")
        except (LayoutError, ArgumentError) as error:
            assert len(str(error)) < 600  # noqa: PT017 - one message that says what fits
        else:
            assert drawn.shape == shape
            assert np.isfinite(drawn).all()


@np.errstate(all="ignore")  # wrong values may be outside of what an invariant computes with
@pytest.mark.parametrize("card", ADDED, ids=lambda card: card.name)
def test_other_schemes_and_scales_fail_the_invariants(card: Card) -> None:
    whole = values(card)
    wrong = [1.2 * whole, np.roll(whole, 1, -1) + 0.7 * abs(whole).max()]
    if not isinstance(parse_scheme(card.example).law(card.shape, layout=card.layout), wb.laws.Normal):
        wrong.append(np.random.default_rng(0).normal(size=whole.shape) * whole.std())
    for other in wrong:
        assert not all(holds(other) for holds in card.invariants.values())


def test_every_word_for_a_tensor_has_schemes() -> None:
    assert {word for card in CARDS for word in card.tensors} == {*TENSORS}


# ---------------------------------------------------------------------- figures of sources
def singular(scheme: str, shape: tuple[int, ...]) -> np.ndarray:
    return np.linalg.svd(parse_scheme(scheme)(shape, seed=0, dtype="float64"), compute_uv=False)


def test_sinusoidal_ranks_and_the_remedy() -> None:
    for shape, rank in (((64, 64), 31), ((128, 64), 32), ((64, 63), 63)):
        assert np.linalg.matrix_rank(parse_scheme("sinusoidal")(shape, seed=0, dtype="float64")) == rank
    w = parse_scheme("sinusoidal")((64, 64), seed=0, dtype="float64")
    assert (np.abs(w).max(axis=1) < 1e-12).sum() == 2
    assert singular("sinusoidal(variant='distinct')", (128, 64))[61] > 0.1
    fused = parse_scheme("sinusoidal")((192, 64), seed=0, layout=Layout("oi", sections=3), dtype="float64")
    assert (fused.reshape(3, 64, 64) == w).all()


def test_zero_hadamard_keeps_lengths_where_the_source_says() -> None:
    for shape, least in (((12, 8), 0.5**0.5), ((100, 30), 0.75**0.5), ((64, 24), 1.0), ((5, 9), 1.0)):
        assert np.allclose(singular("zero_hadamard", shape)[[0, -1]], [1.0, least])


def test_bilinear_upsampling_by_the_operation_itself() -> None:
    torch = pytest.importorskip("torch")
    for stride, channels in ((2, 3), (3, 2), (4, 1)):
        size = 2 * stride - stride % 2
        w = parse_scheme("bilinear")((channels, channels, size, size), seed=0, layout="iokk", dtype="float64")
        image = torch.arange(49.0, dtype=torch.float64).reshape(1, 1, 7, 7).expand(1, channels, 7, 7)
        padding = {"stride": stride, "padding": (size - stride + 1) // 2}
        made = torch.nn.functional.conv_transpose2d(torch.ones_like(image), torch.from_numpy(w), **padding)
        assert torch.allclose(made[..., stride:-stride, stride:-stride], torch.ones(()).double())
