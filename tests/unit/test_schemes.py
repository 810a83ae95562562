"""Every scheme: formula, spelling, equality, pickling, layout independence, errors."""

import contextlib
import inspect
import math
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import wellbegun as wb
from wellbegun._arguments import parse_call
from wellbegun.errors import ArgumentError, ArgumentTypeError, LayoutError, UnknownNameError, WellbegunError
from wellbegun.laws import Constant, Normal, Orthogonal, Sections, TruncatedNormal, Uniform
from wellbegun.layout import Layout
from wellbegun.schemes import ALIASES, SCHEMES, Card, Scheme, by_section, cards, parse_scheme, scheme

CARDS = {card.name: card for card in cards()}
ONE_OF_EACH = [*(parse_scheme(card.example) for card in CARDS.values()), wb.normal(0.5)]
OF_WHOLE_TENSORS = [each for each in ONE_OF_EACH if not each.spelling.startswith("by_section")]

# published formulas at n_in = 30, n_out = 20
N_IN, N_OUT = 30, 20
FORMULAS = [
    (wb.zeros(), Constant(0)),
    (wb.ones(), Constant(1)),
    (wb.normal(), Normal(0, 0.01)),
    (wb.fan_in_uniform(), Uniform(-1 / math.sqrt(N_IN), 1 / math.sqrt(N_IN))),
    (wb.xavier_normal(), Normal(0, math.sqrt(2 / (N_IN + N_OUT)))),
    (wb.xavier_normal(gain=5 / 3), Normal(0, 5 / 3 * math.sqrt(2 / (N_IN + N_OUT)))),
    (wb.xavier_uniform(), Uniform(-math.sqrt(6 / (N_IN + N_OUT)), math.sqrt(6 / (N_IN + N_OUT)))),
    (wb.he_normal(), Normal(0, math.sqrt(2 / N_IN))),
    (wb.he_normal(mode="fan_out"), Normal(0, math.sqrt(2 / N_OUT))),
    (wb.he_normal(negative_slope=0.5), Normal(0, math.sqrt(2 / 1.25 / N_IN))),
    (wb.he_uniform(), Uniform(-math.sqrt(6 / N_IN), math.sqrt(6 / N_IN))),
    (wb.lecun_normal(), Normal(0, math.sqrt(1 / N_IN))),
    (wb.lecun_uniform(), Uniform(-math.sqrt(3 / N_IN), math.sqrt(3 / N_IN))),
    (wb.variance_scaling(scale=3, mode="fan_avg"), Normal(0, math.sqrt(3 / 25))),
    (wb.variance_scaling(scale=3, mode="fan_geo_avg"), Normal(0, math.sqrt(3 / math.sqrt(600)))),
    (wb.truncated_normal(std=0.5), TruncatedNormal(0, 0.5, -1, 1)),
    (wb.truncated_normal(std=0.5, bounds="absolute"), TruncatedNormal(0, 0.5, -2, 2)),
    (wb.orthogonal(gain=2), Orthogonal(2)),
]


@pytest.mark.parametrize(("scheme", "law"), FORMULAS, ids=lambda value: repr(value))
def test_formulas(scheme: Scheme, law) -> None:
    found = scheme.law((N_OUT, N_IN))
    assert type(found) is type(law)
    numbers = [[v for v in one.to_dict().values() if not isinstance(v, str)] for one in (found, law)]
    assert np.allclose(*numbers, rtol=1e-12)


@pytest.mark.parametrize("card", CARDS.values(), ids=lambda card: card.name)
def test_invariants_hold_and_other_values_break_them(card: Card) -> None:
    made = parse_scheme(card.example)
    assert repr(made) == card.example
    assert card.example.startswith(f"{card.name}(")
    assert card.invariants
    drawn = made(card.shape, seed=0, name="w", layout=card.layout, dtype="float64")
    wrong = np.random.default_rng(0).permutation(drawn.ravel()).reshape(drawn.shape) * 1.5 + 0.01
    for text, holds in card.invariants.items():
        assert holds(drawn), text
    assert not all(holds(wrong) for holds in card.invariants.values())


@pytest.mark.parametrize("scheme", ONE_OF_EACH, ids=repr)
def test_schemes_are_values(scheme: Scheme) -> None:
    assert parse_scheme(repr(scheme)) == scheme
    assert pickle.loads(pickle.dumps(scheme)) == scheme
    assert hash(scheme) == hash(parse_scheme(repr(scheme)))
    assert repr(parse_scheme(repr(scheme))) == repr(scheme)
    with pytest.raises(AttributeError):
        scheme.gain = 3
    assert [other for other in ONE_OF_EACH if other == scheme] == [scheme]


def test_equal_rules_are_equal_however_they_are_spelled() -> None:
    assert wb.he_normal() == wb.variance_scaling(scale=2)
    assert wb.kaiming_uniform is wb.he_uniform
    assert wb.glorot_normal is wb.xavier_normal
    for alias, target in ALIASES.items():
        assert getattr(wb, alias, None) is getattr(wb, target, None)
        assert parse_scheme(alias) == parse_scheme(target)


def drawn_or_skipped(scheme: Scheme, shape: tuple[int, ...], **options: Any) -> np.ndarray:
    """Some schemes are for matrices, kernels or vectors only, and say so."""
    try:
        scheme.law(shape, layout=options.get("layout", "oi"))
    except (LayoutError, ArgumentError):
        pytest.skip("another kind of tensor")
    return scheme(shape, **options)


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
@pytest.mark.parametrize("scheme", OF_WHOLE_TENSORS, ids=repr)
def test_draws_have_the_asked_shape_and_dtype(scheme: Scheme, dtype: str) -> None:
    drawn = drawn_or_skipped(scheme, (6, 4), seed=0, name="w", dtype=dtype)
    assert (drawn.shape, drawn.dtype.name, drawn.flags.c_contiguous) == ((6, 4), dtype, True)
    out = np.full((6, 4), 9, dtype)
    assert scheme((6, 4), seed=0, name="w", dtype=dtype, out=out) is out
    assert (out == drawn).all()


@pytest.mark.parametrize("scheme", OF_WHOLE_TENSORS, ids=repr)
@given(order=st.permutations("oikk"))
def test_the_stored_order_of_axes_does_not_matter(scheme: Scheme, order: list[str]) -> None:
    """The same tensor under torch's and Keras' axes is the same matrix after a permutation."""
    plain = drawn_or_skipped(scheme, (6, 4, 3, 5), seed=0, name="w", layout="oikk")
    layout = Layout("".join(order), transposed=False)
    sizes = {"o": [6], "i": [4], "k": [3, 5]}
    shape = tuple(sizes[letter].pop(0) for letter in order)
    drawn = scheme(shape, seed=0, name="w", layout=layout)
    assert drawn.shape == shape
    assert (drawn.transpose(layout.canonical) == plain).all()
    out = np.zeros(shape, np.float32)
    returned = scheme(shape, seed=0, name="w", layout=layout, out=out)
    assert (out == drawn).all()
    assert np.shares_memory(returned, out)


def test_orthogonal_per_section_group_and_expert() -> None:
    w = wb.orthogonal()((12, 3), seed=0, layout=Layout("oi", sections=4))
    for gate in w.reshape(4, 3, 3):
        assert np.allclose(gate @ gate.T, np.eye(3), atol=1e-6)
    w = wb.orthogonal()((6, 4, 4), seed=0, layout="eio")
    for expert in w:
        assert np.allclose(expert @ expert.T, np.eye(4), atol=1e-6)
    w = wb.orthogonal()((8, 2, 3, 3), seed=0, layout=Layout("oikk", groups=2))
    for group in w.reshape(2, 4, 18):
        assert np.allclose(group @ group.T, np.eye(4), atol=1e-6)
    law = wb.orthogonal().law((8, 4), layout=Layout("oi", sections=(4, 2, 2)))
    assert isinstance(law, Sections)
    assert law.rows == 8


def test_unequal_sections_have_their_own_scale() -> None:
    law = wb.xavier_normal().law((8, 4), layout=Layout("oi", sections=(4, 2, 2)))
    assert isinstance(law, Sections)
    assert [part.std for _, part in law.parts] == [math.sqrt(2 / 8), math.sqrt(2 / 6), math.sqrt(2 / 6)]
    assert wb.he_normal().law((8, 4), layout=Layout("oi", sections=(4, 2, 2))) == Normal(0, math.sqrt(0.5))


@pytest.mark.parametrize("card", cards(), ids=lambda card: card.name)
def test_numbers_of_any_size_give_a_law_or_one_message(card: Card) -> None:
    name, positional, options = parse_call("scheme", card.example, nested=parse_scheme)
    called = inspect.signature(SCHEMES[name])
    for argument, parameter in called.parameters.items():
        if parameter.kind == parameter.VAR_POSITIONAL:
            continue
        given = called.bind(*positional, **options).arguments
        for value in (2**62, 2**63, 10**30, 10**400, -(2**70), 1e300, np.int64(3), True, None):
            with contextlib.suppress(WellbegunError):
                drawn = SCHEMES[name](**{**given, argument: value})(card.shape, seed=0, layout=card.layout)
                assert np.isfinite(drawn).all()


def test_by_section() -> None:
    scheme = by_section(wb.zeros(), wb.ones())
    assert scheme((4,), seed=0, layout=Layout("o", sections=2)).tolist() == [0, 0, 1, 1]
    assert scheme((4,), seed=0).tolist() == [0, 0, 1, 1]  # equal ones, if the layout tells of none
    assert scheme((3, 4), seed=0, layout="io").tolist() == [[0, 0, 1, 1]] * 3
    with pytest.raises(LayoutError, match="in 2 sections"):
        scheme((6,), seed=0, layout=Layout("o", sections=3))
    with pytest.raises(LayoutError, match="a divisor of the 5 output units"):
        scheme((5,), seed=0)
    with pytest.raises(LayoutError, match="in 2 sections, without experts"):
        scheme((3, 4, 2), seed=0, layout="eoi")
    with pytest.raises(ArgumentTypeError, match="by_section: schemes"):
        by_section("zeros")


def test_truncated_std_after_the_cut() -> None:
    for options in ({}, {"low": -1, "high": 3}, {"bounds": "absolute", "low": -1.5, "high": 1}):
        law = wb.truncated_normal(std=0.4, std_is="after", **options).law((2, 2))
        assert math.isclose(law.moments().variance, 0.16, rel_tol=1e-9)


def test_patterns() -> None:
    assert wb.sparse(sparsity=0.75).law((6, 10)).nonzeros == 2
    assert wb.sparse().law((6, 10)).nonzeros == 10
    assert wb.sparse(nonzeros=3, per="input").law((6, 10)).per == "input"
    up = wb.icnr(wb.he_normal(mode="fan_out"), 4).law((8, 3, 3, 3), layout="oikk")
    assert up.law == Normal(0, math.sqrt(2 / 18))  # fans of the smaller layer with two channels
    w = wb.delta_orthogonal()((8, 2, 3, 3), seed=0, layout=Layout("oikk", groups=2))
    assert np.allclose(w[:4, :, 1, 1].T @ w[:4, :, 1, 1], np.eye(2), atol=1e-6)
    structured = wb.orthogonal(method="structured")((96, 40), seed=0)
    assert np.allclose(structured.T @ structured, np.eye(40), atol=1e-5)


BAD = [
    (lambda: wb.eye()((3, 3, 3), seed=0, layout="oik"), LayoutError, "that of a matrix"),
    (lambda: wb.dirac()((3, 3), seed=0), LayoutError, "that of a convolution, such as 'oikk'"),
    (lambda: wb.delta_orthogonal()((2, 4, 3), seed=0, layout="oik"), ArgumentError, "at least as many output as input"),
    (lambda: wb.sparse(nonzeros=3, sparsity=0.5), ArgumentError, "nonzeros must be given without sparsity"),
    (lambda: wb.sparse(sparsity=1.5), ArgumentError, r"sparsity must be in \[0, 1\]"),
    (lambda: wb.icnr("he_normal", 4), ArgumentTypeError, "icnr: scheme must be a scheme"),
    (lambda: wb.icnr(wb.he_normal(), 4)((6, 3), seed=0), LayoutError, "a multiple of 4 output units"),
    (lambda: wb.log_uniform(0, 1), ArgumentError, "LogUniform: low must be a finite number > 0"),
    (lambda: wb.rademacher(scale=0), ArgumentError, "rademacher: scale"),
    (lambda: wb.orthogonal(method="qr"), ArgumentError, "method must be one of 'haar', 'structured'"),
    (lambda: wb.he_normal(negative_slope=math.nan), ArgumentError, "he_normal: negative_slope must be a finite number"),
    (lambda: wb.he_normal(negative_slope=True), ArgumentTypeError, "he_normal: negative_slope"),
    (lambda: wb.he_normal(mode="fan_inn"), ArgumentError, "Did you mean 'fan_in'"),
    (lambda: wb.xavier_normal(gain=0), ArgumentError, "xavier_normal: gain must be a finite number > 0; got 0"),
    (lambda: wb.variance_scaling(scale=-1), ArgumentError, "variance_scaling: scale must be a finite number > 0"),
    (lambda: wb.variance_scaling(distribution="gaussian"), ArgumentError, "distribution must be one of 'normal'"),
    (lambda: wb.normal(std=-0.1), ArgumentError, r"normal: std must be a finite number >= 0; got -0.1"),
    (lambda: wb.normal(std=math.nan), ArgumentError, "normal: std"),
    (lambda: wb.uniform(2, 1), ArgumentError, r"low must be below high \(1\); got 2"),
    (lambda: wb.constant("0"), ArgumentTypeError, "constant: value"),
    (lambda: wb.truncated_normal(std=0), ArgumentError, "truncated_normal: std must be a finite number > 0"),
    (lambda: wb.truncated_normal(low=2, high=1), ArgumentError, "truncated_normal: low must be below high"),
    (lambda: wb.truncated_normal(bounds="sigma"), ArgumentError, "bounds must be one of 'std', 'absolute'"),
    (
        lambda: wb.truncated_normal(std=2, std_is="after", bounds="absolute", low=-1, high=1),
        ArgumentError,
        "std must be below 0.57735, the std of the uniform",
    ),
    (lambda: wb.orthogonal(gain=-1), ArgumentError, "orthogonal: gain"),
    (lambda: wb.he_normal()((3,), seed=0), LayoutError, r"he_normal\(\): layout must be one with fans"),
    (lambda: wb.he_normal()((3, 0), seed=0), LayoutError, "fan must be above 0"),
    (lambda: wb.orthogonal()((3,), seed=0), LayoutError, "A bias or scale is no matrix"),
    (lambda: wb.orthogonal()((4, 2, 3, 3), seed=0, layout=Layout("iokk", groups=2)), LayoutError, "grouped transposed"),
    (lambda: wb.he_normal()((3, 3), seed=-1), ArgumentError, r"seed must be an integer in \[0, 2\*\*64\); got -1"),
    (lambda: wb.he_normal()((3, 3), seed=1.5), ArgumentTypeError, "seed must be an integer"),
    (lambda: wb.he_normal()((3, 3), seed=0, name=3), ArgumentTypeError, "name must be text"),
    (lambda: wb.he_normal()((3, 3), seed=0, layout="ox"), LayoutError, "made of the letters"),
    (lambda: wb.he_normal()((3, 3), seed=0, layout="oik"), LayoutError, r"Shape \(3, 3\) has 2 axes"),
    (lambda: wb.he_normal()((3, 3), seed=0, dtype="int8"), ArgumentError, "dtype must be one of 'float32'"),
    (lambda: wb.he_normal()("33", seed=0), ArgumentTypeError, "shape must be a tuple"),
    (lambda: parse_scheme("he_norml"), UnknownNameError, "Did you mean 'he_normal'"),
    (lambda: parse_scheme("he_normal(slope=1)"), ArgumentError, "unexpected keyword argument 'slope'"),
    (lambda: parse_scheme("he normal"), ArgumentError, "scheme: name must be a name or a call"),
]


@pytest.mark.parametrize(("make", "error", "match"), BAD, ids=[row[2][:40] for row in BAD])
def test_bad_arguments(make, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        make()


def test_seed_none_draws_fresh_entropy() -> None:
    first, second = (wb.he_normal()((8, 8), seed=None) for _ in range(2))
    assert (first != second).any()


@pytest.mark.parametrize("name", SCHEMES)
def test_docstrings_are_complete(name: str) -> None:
    """Facts for the tables, and all of them with arguments, errors and a doctest for help()."""
    card, text = CARDS[name], inspect.getdoc(SCHEMES[name]) or ""
    assert text.startswith(card.formula[:60])
    for key in ("shapes", "strengths", "weaknesses", "use", "source"):
        value = card.texts()[key]
        assert len(value) > 3
        assert f"{key.capitalize()}: {value}" in " ".join(text.split())
    assert ">>>" in text
    assert "Raises:" in text
    assert card.tensors
    options = [p for p in inspect.signature(SCHEMES[name]).parameters.values() if p.kind is p.KEYWORD_ONLY]
    assert all(f"{option.name}:" in text for option in options)


BLOCK = '''

@scheme(
    formula="Halves: W = 1/2.",
    shapes="any.",
    strengths="simple.",
    weaknesses="all units stay equal.",
    use="tests.",
    source="this test.",
    example="halves()",
    invariants={"W = 1/2": lambda w: bool((w == 0.5).all())},
)
def halves() -> FixedScheme:
    """Raises: nothing.

    >>> halves()(2, seed=0).tolist()
    [0.5, 0.5]
    """
    return FixedScheme("halves()", Constant(0.5))


one_half = halves
'''
LAW = '''

@dataclass(frozen=True)
class Steps(Computed):
    """Rows that count."""

    size: tuple[int, ...]
    gain: float = 1.0

    def rows(self, start: int, stop: int) -> Array:
        return self.gain * np.repeat(np.arange(start, stop)[:, None], self.size[1], axis=1)


@dataclass(frozen=True, repr=False)
class StepsScheme(Blockwise):
    """Of one tensor."""

    def _one(self, size: tuple[int, ...]) -> Law:
        return Steps(size)


@scheme(
    formula="Steps: W_ij = i.", shapes="matrices.", strengths="-", weaknesses="-", use="tests.", source="this test.",
    tensors="router", invariants={"W_ij = i": lambda w: bool((w == np.arange(len(w))[:, None]).all())},
)
def steps() -> StepsScheme:
    """Raises: nothing."""
    return StepsScheme("steps()")
'''
FOUND = """
import json, sys
import wellbegun as wb
from wellbegun.cli import app
from wellbegun.laws import law_from_dict
from wellbegun.planning import Rule
from wellbegun.schemes import ALIASES, SCHEMES, cards, parse_scheme
from typer.testing import CliRunner

card = next(card for card in cards() if card.name == "halves")
drawn = parse_scheme("one_half")(card.shape, seed=0)
table = json.loads(CliRunner().invoke(app, ["schemes", "-f", "json"]).stdout)
seen = [
    wb.halves is wb.one_half is SCHEMES["halves"],
    {"halves", "one_half"} <= set(wb.__all__),
    "halves" in dir(wb),
    ALIASES["one_half"] == "halves",
    card.aliases == ("one_half",),
    all(holds(drawn) for holds in card.invariants.values()),
    Rule("*.weight", "halves").scheme == wb.halves(),
    [row for row in table if row["name"] == "halves"] == [json.loads(json.dumps(card.texts()))],
    "Strengths: simple." in (wb.halves.__doc__ or ""),
    wb.schemes.structured.steps is SCHEMES["steps"] and "steps" not in dir(wb),
    [card.name for card in cards(tensor="router")][-1] == "steps",
    (wb.fill(law_from_dict(json.loads(json.dumps(parse_scheme("steps").law((4, 2)).to_dict()))), (4, 2), seed=0,
             region=(slice(2, 4),)) == [[2, 2], [3, 3]]).all(),
]
sys.exit(0 if all(seen) else str(seen))
"""


@pytest.fixture(scope="module")
def with_a_block(tmp_path_factory) -> Path:
    """A copy of the package to two of whose files of schemes a block was added, one with a law of its own: no more."""
    root = tmp_path_factory.mktemp("package")
    copy = root / "wellbegun"
    shutil.copytree(Path(wb.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__"))
    for name, block in (("fixed", BLOCK), ("structured", LAW)):
        family = copy / "schemes" / f"{name}.py"
        before, end, after = family.read_text().rpartition("publish(globals())")
        assert end
        family.write_text(before + block + "\n\n" + end + after)
    return root


def run_with(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(root)}
    return subprocess.run(
        [sys.executable, *arguments], env=environment, cwd=root, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("flags", [(), ("-OO",)], ids=["plain", "OO"])
def test_a_scheme_is_one_block(with_a_block: Path, flags: tuple[str, ...]) -> None:
    """Top level, registry, aliases, rules, command line, docstring, also where Python strips docstrings."""
    done = run_with(with_a_block, *flags, "-c", FOUND)
    assert (done.returncode, done.stderr.strip()) == (0, "")
    done = subprocess.run([sys.executable, "-c", FOUND], capture_output=True, text=True, check=False)
    assert done.returncode != 0  # the control: without the block there is nothing to find


def test_the_reference_page_and_type_checkers_see_the_block(with_a_block: Path) -> None:
    docs = Path(__file__).parents[2] / "docs"
    if docs.exists():
        pages = f"import sys; sys.path.insert(0, {str(docs)!r}); import generated; print(generated.schemes())"
        page = run_with(with_a_block, "-c", pages).stdout
        assert "::: wellbegun.halves\n" in page
        assert "`one_half` is [`halves`][wellbegun.halves]" in page
    pytest.importorskip("mypy")
    user = with_a_block / "user.py"
    user.write_text("import wellbegun as wb\nreveal_type(wb.one_half())\nwb.halves(3)\n")
    told = run_with(with_a_block, "-m", "mypy", "--strict", "--follow-imports=silent", "user.py").stdout
    assert 'Revealed type is "wellbegun.schemes.fixed.FixedScheme"' in told
    assert "Too many arguments" in told


def test_schemes_of_ones_own_are_passed() -> None:
    @scheme(
        formula="Thirds.", shapes="any.", strengths="-", weaknesses="-", use="-", source="-",
        example="thirds()", invariants={},
    )  # fmt: skip
    def thirds(*, times: int = 1) -> Scheme:
        return wb.constant(times / 3)

    assert parse_scheme("thirds(times=3)", own=(thirds,)) == wb.ones()
    assert parse_scheme("icnr(thirds(), 2)", own=(thirds,)) == wb.icnr(wb.constant(1 / 3), 2)
    with pytest.raises(UnknownNameError, match="thirds"):
        parse_scheme("thirds")
    for mapping in (SCHEMES, ALIASES):
        with pytest.raises(TypeError, match="does not support item assignment"):
            mapping["thirds"] = thirds


def test_sections_with_equal_schemes_are_still_sections_where_the_law_knows_its_shape() -> None:
    two = wb.Layout("oi", sections=2)
    assert by_section(wb.eye(), wb.eye())((6, 3), seed=0, layout=two).tolist() == [*np.eye(3).tolist()] * 2
    w = by_section(*[wb.orthogonal(method="structured")] * 2)((128, 64), seed=0, layout=two)
    assert np.allclose(w[:64] @ w[:64].T, np.eye(64), atol=1e-5)
    assert np.abs(w[:64] - w[64:]).max() > 0.1
    assert by_section(wb.zeros(), wb.zeros()).law((4,), layout=wb.Layout("o", sections=2)) == wb.zeros().law(
        (4,), layout="o"
    )


HUGE = (10**400, -(10**400), 1.7e308, -1.7e308, 1e200, 1e160, 1e-200, 5e-324, 1e75, math.inf, -math.inf, math.nan)


@pytest.mark.parametrize("card", CARDS.values(), ids=lambda card: card.name)
def test_numbers_that_leave_the_range_of_floats_are_one_error_of_an_argument(card: Card) -> None:
    factory = SCHEMES[card.name]
    given = {"low": 0.1, "high": 2.0, "value": 1.0, "times": 2, "scheme": wb.normal(std=1.0)}
    given |= {"weight": [[1.0, 2.0], [3.0, 4.0]], "table": [[1.0, 2.0], [3.0, 4.0]], "main_in": 8.0, "main_out": 8.0}
    names = [p.name for p in inspect.signature(factory).parameters.values() if p.kind is not p.VAR_POSITIONAL]
    canonical = card.layout.canonical_shape(card.shape)
    for name, number in [(name, number) for name in names for number in HUGE]:
        try:
            one = factory(**{**{key: value for key, value in given.items() if key in names}, name: number})
            one.law(card.shape, layout=card.layout).moments(canonical)
            one.law(card.shape, layout=card.layout).scaled(1e300).moments(canonical)
            for dtype in ("float64", "float16"):
                drawn = one(card.shape, seed=0, layout=card.layout, dtype=dtype)
                drawn = one(card.shape, seed=0, layout=card.layout, dtype=dtype)
                assert np.isfinite(drawn).all(), (name, number, dtype)
        except (ArgumentError, ArgumentTypeError) as error:
            assert len(str(error)) < 900  # noqa: PT017 - most of these are fine


def test_moments_are_finite_or_refused() -> None:
    for law in (Normal(0, 1e300), Uniform(-1.5e308, 1.5e308), TruncatedNormal(1e200, 1e200, -1e201, 1e201)):
        with pytest.raises(ArgumentError, match="moments: numbers must be such that all that follows from them"):
            law.moments()
        assert law.distribution((3, 3))([0.0]).size == 1
    assert math.isclose(Normal(0, 1e150).moments().variance, 1e300)
    with pytest.raises(ArgumentError, match="within the range of float64"):
        wb.fill(Normal(0, 1e308), (2, 2), seed=0, dtype="float64")


def test_calls_that_do_not_fit_say_what_is_wrong() -> None:
    for call, told in (
        (lambda: wb.orthogonal(2), "Too many positional arguments"),
        (lambda: wb.he_normal(mod="fan_out"), "unexpected keyword argument 'mod'"),
        (lambda: wb.constant(), "Missing a required argument"),
    ):
        with pytest.raises(ArgumentTypeError, match=told):
            call()


def test_bounds_that_are_not_there_are_read_back() -> None:
    scheme = wb.truncated_normal(std=1.0, low=-math.inf, high=0.5)
    assert parse_scheme(repr(scheme)) == scheme
    with pytest.raises(ArgumentError):
        parse_scheme("uniform(-inf, 1)")
