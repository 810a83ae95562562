"""`wellbegun.torch.init` has the names, arguments, laws, errors and warnings of `torch.nn.init`, on our streams."""

import inspect
import math
import pickle
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import ks_2samp
from torch import nn
from torch.nn import init as theirs

import wellbegun as wb
from wellbegun._arguments import parse_call
from wellbegun.errors import ArgumentError, ArgumentTypeError, LayoutError, TraceError
from wellbegun.schemes import ALIASES, SCHEMES, Card, cards, parse_scheme
from wellbegun.torch import init

RANDOM = (
    "uniform_", "normal_", "trunc_normal_", "xavier_uniform_", "xavier_normal_", "kaiming_uniform_", "kaiming_normal_",
    "orthogonal_", "sparse_",
)  # fmt: skip
ROWS = torch.empty(20, 30)
NAMES = [name for name in theirs.__all__ if name.endswith("_")]


def seed_after(number: int) -> int:
    """What a call takes from torch's default generator."""
    torch.manual_seed(number)
    return int(torch.empty((), dtype=torch.int64).random_(-(2**63), None)) % 2**64


def called(module: Any, name: str, tensor: torch.Tensor, **options: Any) -> torch.Tensor:
    given = {"sparse_": (0.4,), "constant_": (0.3,)}.get(name, ())
    return getattr(module, name)(tensor, *given, **options)


@pytest.mark.parametrize("name", theirs.__all__)
def test_every_name_of_torch_takes_the_same_arguments(name: str) -> None:
    def told(function: Any) -> list[tuple[str, Any, Any]]:
        found = inspect.signature(function).parameters.values()
        return [(p.name, p.default, p.kind) for p in found if p.kind != p.KEYWORD_ONLY]

    assert told(getattr(init, name)) == told(getattr(theirs, name))
    assert name in dir(init)


@pytest.mark.parametrize("name", RANDOM)
def test_laws_are_those_of_torch(name: str) -> None:
    one, other = (called(module, name, torch.empty(48, 30)).flatten() for module in (init, theirs))
    assert (one == 0).sum() == (other == 0).sum()
    one, other = one[one != 0].numpy(), other[other != 0].numpy()
    assert ks_2samp(one, other).pvalue > 1e-4
    assert ks_2samp(one * 1.6, other).pvalue < 1e-4  # the control


@pytest.mark.parametrize("name", RANDOM)
def test_bits_are_those_of_every_framework_and_come_from_a_generator(name: str) -> None:
    scheme: Any = {
        "uniform_": wb.uniform(0, 1), "normal_": wb.normal(std=1), "xavier_uniform_": wb.xavier_uniform(),
        "trunc_normal_": wb.truncated_normal(std=1), "xavier_normal_": wb.xavier_normal(),
        "kaiming_uniform_": wb.he_uniform(), "kaiming_normal_": wb.he_normal(), "orthogonal_": wb.orthogonal(),
        "sparse_": wb.sparse(sparsity=0.4, per="input"),
    }[name]  # fmt: skip
    expected = torch.from_numpy(scheme((6, 4), seed=seed_after(5)))
    torch.manual_seed(5)
    parameter = nn.Parameter(torch.empty(6, 4))
    version = parameter._version
    assert called(init, name, parameter) is parameter
    assert torch.equal(parameter.detach(), expected)
    assert parameter.requires_grad and parameter.is_leaf and parameter._version > version  # noqa: PT018
    again = called(init, name, torch.empty(6, 4))  # the generator has moved on
    assert not torch.equal(again, expected)
    torch.manual_seed(6)
    generator = torch.Generator().manual_seed(5)
    assert torch.equal(called(init, name, torch.empty(6, 4), generator=generator), expected)
    assert torch.equal(
        called(init, name, torch.empty(8, 12)[::2, ::2].t(), generator=generator.manual_seed(5)), expected
    )
    shape = (6, 4) if name == "sparse_" else (6, 4, 1)
    half = called(init, name, torch.empty(shape, dtype=torch.bfloat16), generator=generator.manual_seed(5))
    assert torch.allclose(half.float().view(6, 4), expected, rtol=8e-3, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_tensors_without_values_are_left_alone(name: str) -> None:
    from torch._subclasses.fake_tensor import FakeTensorMode

    shape = (4, 3, 2) if name == "dirac_" else (4, 3)
    before = torch.get_rng_state()
    assert called(init, name, torch.empty(shape, device="meta")).is_meta
    with FakeTensorMode():
        assert called(init, name, torch.empty(shape)).shape == shape
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        assert called(init, name, torch.empty((0, *shape[1:]))).numel() == 0
    assert torch.equal(torch.get_rng_state(), before)
    with torch.device("meta"):
        assert not called(init, name, torch.empty(shape, device="cpu")).is_meta


@pytest.mark.parametrize("dtype", [torch.float32, torch.complex64, torch.bfloat16, torch.int32])
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("window", [(3,), (2,), (4, 3), (1, 2, 4)])
def test_identities_are_those_of_torch(window: tuple[int, ...], groups: int, dtype: torch.dtype) -> None:
    for shape in ((6, 2, *window), (2, 5, *window)):
        one, other = (module.dirac_(torch.ones(shape, dtype=dtype), groups) for module in (init, theirs))
        assert torch.equal(one, other)
        assert torch.equal(*(module.eye_(torch.ones(shape[:2], dtype=dtype)) for module in (init, theirs)))


def test_identities_with_noise() -> None:
    noise = init.eye_(
        torch.empty(200, 200), gain=2.0, std=0.1, generator=torch.Generator().manual_seed(0)
    ) - 2 * torch.eye(200)
    assert float(noise.std()) == pytest.approx(0.1, rel=0.03)
    assert torch.equal(init.eye_(torch.empty(3, 4), gain=0.5), 0.5 * torch.eye(3, 4))


def test_complex_tensors() -> None:
    """Torch gives each part of a uniform number the variance that is asked for; by name that is the whole one's."""
    weight = torch.empty(200, 300, dtype=torch.complex64)
    for name in ("xavier_uniform_", "kaiming_uniform_"):
        ask, sizes = getattr(init, name), []
        for module_or_ours in (getattr(theirs, name), ask, lambda w: ask(w, total_variance=True)):  # noqa: B023
            found = module_or_ours(weight)
            sizes.append(float(found.abs().square().mean()) * (250 if name[0] == "x" else 150))
            assert float(found.real.square().mean()) == pytest.approx(float(found.imag.square().mean()), rel=0.05)
        assert sizes == pytest.approx([2, 2, 1], rel=0.02)
    for module in (theirs, init):
        found = module.normal_(weight, mean=3.0, std=2.0)
        assert complex(found.mean()) == pytest.approx(3 + 3j, abs=0.1)
        assert float((found - found.mean()).abs().square().mean()) == pytest.approx(4, rel=0.02)
        assert float(module.uniform_(weight, 1, 2).imag.min()) >= 1
    assert float(init.kaiming_normal_(weight).abs().square().mean()) == pytest.approx(2 / 300, rel=0.02)
    unitary = init.orthogonal_(torch.empty(6, 4, dtype=torch.complex64))  # where torch fails
    assert torch.allclose(unitary.mH @ unitary, torch.eye(4, dtype=torch.complex64), atol=1e-5)
    generator = torch.Generator()
    mirrored = init.normal_(torch.empty(3, dtype=torch.complex64).conj(), generator=generator.manual_seed(1))
    assert torch.equal(
        mirrored, init.normal_(torch.empty(3, dtype=torch.complex64), generator=generator.manual_seed(1))
    )


def test_what_torch_has_wrong_is_right_by_name() -> None:
    transposed, grouped = torch.empty(60, 40, 3), torch.empty(64, 1, 3, 3)
    assert float(init.kaiming_normal_(transposed).var()) == pytest.approx(2 / 120, rel=0.1)  # as torch
    assert float(init.kaiming_normal_(transposed, layout="iok").var()) == pytest.approx(2 / 180, rel=0.1)
    depthwise = wb.Layout("oikk", groups=64)
    assert float(init.kaiming_normal_(grouped, mode="fan_out").var()) == pytest.approx(2 / 576, rel=0.25)
    assert float(init.kaiming_normal_(grouped, mode="fan_out", layout=depthwise).var()) == pytest.approx(
        2 / 9, rel=0.25
    )
    assert abs(init.trunc_normal_(torch.empty(20000), std=0.02)).max() > 0.06  # +-100 stds cut nothing
    cut = init.trunc_normal_(torch.empty(20000), std=0.02, bounds="std", std_is="after")
    assert abs(cut).max() <= 0.0456
    assert float(cut.std()) == pytest.approx(0.02, rel=0.03)
    gates = init.orthogonal_(torch.empty(12, 4), layout=wb.Layout("oi", sections=3))
    for gate in gates.split(4):
        assert torch.allclose(gate @ gate.T, torch.eye(4), atol=1e-5)
    for bad in ("oo", "iok"):
        with pytest.raises(LayoutError):
            init.xavier_uniform_(torch.empty(3, 4), layout=bad)


def test_gains() -> None:
    for name in ("xavier_uniform_", "xavier_normal_", "orthogonal_"):
        generator = torch.Generator()
        one, two, none = (getattr(init, name)(torch.empty(6, 4), g, generator.manual_seed(1)) for g in (1.0, 2.0, 0.0))
        assert torch.allclose(one * 2, two)
        assert not none.any()
    turned = init.orthogonal_(torch.empty(6, 4), gain=-2)
    assert torch.allclose(turned.T @ turned, 4 * torch.eye(4), atol=1e-5)
    assert init.calculate_gain("leaky_relu", 0.2) == math.sqrt(2 / 1.04)
    assert float(init.kaiming_normal_(torch.empty(300, 400), a=1.0).var() * 400) == pytest.approx(1, rel=0.02)
    assert float(init.kaiming_normal_(torch.empty(300, 400), a=1.0, nonlinearity="relu").var()) == pytest.approx(
        2 / 400, rel=0.02
    )
    assert init._calculate_fan_in_and_fan_out(torch.empty(5, 4, 3)) == (12, 15)  # which other packages import
    assert not hasattr(init, "_no_grad_uniform_")  # that would be torch's own draws


@pytest.mark.parametrize("name", sorted({*SCHEMES, *ALIASES}))
def test_every_scheme_has_a_name_here(name: str) -> None:
    function = getattr(init, f"{name}_")
    assert f"{name}_" in dir(init)
    assert pickle.loads(pickle.dumps(function)) is function
    asked = inspect.signature(function).parameters
    assert next(iter(asked)) == "tensor"


OURS = [card for card in cards() if not hasattr(theirs, f"{card.name}_")]


@pytest.mark.parametrize("card", OURS, ids=lambda card: card.name)
def test_every_scheme_gives_its_own_bits(card: Card) -> None:
    _, positional, options = parse_call("scheme", card.example, nested=parse_scheme)
    if card.name in ("lecun_normal", "variance_scaling"):  # those of timm have this name
        return
    try:
        expected = parse_scheme(card.example)(card.shape, seed=seed_after(4), layout=card.layout)
        dtype = torch.float32
    except ArgumentError:  # of complex numbers only
        expected = parse_scheme(card.example)(card.shape, seed=seed_after(4), layout=card.layout, dtype="complex64")
        dtype = torch.complex64
    torch.manual_seed(4)
    found = getattr(init, f"{card.name}_")(
        torch.empty(card.shape, dtype=dtype), *positional, layout=card.layout, **options
    )
    assert np.array_equal(found.numpy(), expected)


def test_schemes() -> None:
    expected = wb.mirrored(wb.orthogonal())((8, 6), seed=seed_after(3))
    torch.manual_seed(3)
    assert (init.mirrored_(torch.empty(8, 6), wb.orthogonal()).numpy() == expected).all()
    torch.manual_seed(3)
    stored = init.mirrored_(torch.empty(6, 8), wb.orthogonal(), layout="io")
    assert (stored.T.numpy() == expected).all()
    kernel = init.glorot_normal_(torch.empty(80, 40, 3, 3), gain=2.0)
    assert float(kernel.var()) == pytest.approx(4 * 2 / (120 * 9), rel=0.05)
    assert not hasattr(init, "glorot")
    assert not hasattr(init, "glorot_norma_")
    with pytest.raises(LayoutError, match="fans"):
        init.he_normal_(torch.empty(5))
    for ours, scale in ((init.lecun_normal_, 1), (lambda w: init.variance_scaling_(w, 3, "fan_out", "uniform"), 6)):
        assert float(ours(torch.empty(100, 200)).var()) == pytest.approx(scale / 200, rel=0.05)
    assert abs(init.lecun_normal_(torch.empty(100, 200))).max() <= 2.28 / 200**0.5  # cut, as timm and JAX have it
    assert abs(init.trunc_normal_tf_(torch.empty(1000), std=0.1, a=-1, b=1)).max() <= 0.1
    assert not init.variance_scaling_(torch.empty(4, 5), 0.0).any()


def test_errors_and_warnings() -> None:
    one, two = torch.empty(3), torch.empty(3, 4)
    for function, tensor, options in (
        (init.xavier_normal_, one, {}), (init.kaiming_uniform_, one, {}), (init.orthogonal_, one, {}),
        (init.eye_, one, {}), (init.dirac_, two, {}), (init.sparse_, one, {"sparsity": 0.1}),
        (init.dirac_, torch.empty(3, 4, 5), {"groups": 2}), (init.kaiming_normal_, two, {"mode": "fan_avg"}),
        (init.kaiming_normal_, two, {"nonlinearity": "softmax"}), (init.calculate_gain, "softmax", {}),
    ):  # fmt: skip
        with pytest.raises(ValueError) as ours:  # noqa: PT011 - the text is compared
            function(tensor, **options)
        with pytest.raises(ValueError) as expected:  # noqa: PT011
            getattr(theirs, function.__name__)(tensor, **options)
        assert str(ours.value) == str(expected.value)
    assert init.kaiming_normal_(two, mode="FAN_OUT") is two
    for wrong, error in (
        (lambda: init.normal_(two, std=-1), ArgumentError), (lambda: init.uniform_(two, 2, 1), ArgumentError),
        (lambda: init.xavier_normal_(two, gain=-1), ArgumentError), (lambda: init.sparse_(two, 1.5), ArgumentError),
        (lambda: init.normal_(torch.empty(3, dtype=torch.int32)), ArgumentError),
        (lambda: init.normal_(torch.empty(1).expand(3)), TraceError),
        (lambda: init.normal_(torch.eye(3).to_sparse()), TraceError),
        (lambda: init.normal_(np.zeros(3)), ArgumentTypeError),
        (lambda: init.normal_(two, generator=5), ArgumentTypeError),
        (lambda: init.normal_(nn.LazyLinear(3).weight), ValueError),
        (lambda: init.trunc_normal_(two, a=40, b=41), ArgumentError),
    ):  # fmt: skip
        with pytest.raises(error):
            wrong()
    for old in ("uniform", "orthogonal", "kaiming_normal"):
        with pytest.warns(FutureWarning, match=f"`nn.init.{old}` is now deprecated in favor of `nn.init.{old}_`"):
            assert getattr(init, old)(two) is two
    with pytest.warns(UserWarning, match="mean is more than 2 std from"):
        assert float(init.trunc_normal_(torch.empty(20000), a=3, b=9).mean()) == pytest.approx(3.283, abs=0.01)
    with pytest.warns(UserWarning, match="no-op"):
        init.kaiming_uniform_(torch.empty(0, 3))
    weight = nn.utils.parametrizations.weight_norm(nn.Linear(3, 4)).weight
    with pytest.warns(UserWarning, match="computed from others"):
        init.normal_(weight)
    with pytest.warns(UserWarning, match="zeros_: the tensor is computed"):
        init.zeros_(weight[:2])


def test_kinds_of_tensors() -> None:
    """Subclasses, views, inference tensors; what autograd and a compiler see of them."""

    class Named(torch.Tensor):
        pass

    names = []

    class Seen(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            names.append(getattr(function, "__name__", ""))
            return function(*args, **(kwargs or {}))

    base = nn.Parameter(torch.zeros(4, 4))
    assert type(init.normal_(torch.zeros(3).as_subclass(Named))) is Named
    with Seen():
        init.normal_(tensor=base)
    assert names[0] == "normal_"
    init.zeros_(base)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        init.ones_(base[:1])
        init.orthogonal_(base[2:])
    assert base[0].sum() == 4
    assert not base[1].any()
    assert torch.allclose(base[2:] @ base[2:].T, torch.eye(2), atol=1e-6)
    loss = base.square().sum()
    init.normal_(base)
    with pytest.raises(RuntimeError, match="inplace operation"):
        loss.backward()
    with torch.inference_mode():
        assert init.normal_(torch.zeros(3)).any()
    assert init.normal_(torch.zeros(())).shape == ()


def test_compiled_code_calls_it_as_it_is() -> None:
    def noisy(x: torch.Tensor) -> torch.Tensor:
        return x + init.normal_(torch.zeros_like(x)) * 2

    compiled = torch.compile(noisy, backend="eager")  # type: ignore[no-untyped-call]
    torch.manual_seed(3)
    expected = noisy(torch.ones(3, 4))
    torch.manual_seed(3)
    assert torch.equal(compiled(torch.ones(3, 4)), expected)
    assert not torch.equal(compiled(torch.ones(3, 4)), expected)  # drawn anew


def test_what_draws_nothing_moves_no_generator() -> None:
    for fill in (init.eye_, init.dirac_, init.zeros_, init.hippo_legs_):
        torch.manual_seed(0)
        fill(torch.empty(4, 4, *([3] * (fill is init.dirac_))))
        assert torch.rand(1) == torch.rand(1, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    init.normal_(torch.empty(4))
    assert torch.rand(1) != torch.rand(1, generator=torch.Generator().manual_seed(0))


def test_tables_have_rows() -> None:
    table = init.embedding_normal_(torch.nn.Embedding(5000, 64).weight)
    assert abs(table.std().item() * 8 - 1) < 0.02


def test_a_truth_is_no_number_whatever_was_called_before() -> None:
    init.trunc_normal_(torch.empty(3), 0.0, 1)
    with pytest.raises(wb.errors.WellbegunError):
        init.trunc_normal_(torch.empty(3), 0.0, True)
    for wrong in (lambda: init.trunc_normal_(torch.empty(3), std=[1]), lambda: init.variance_scaling_(ROWS, mode=[])):
        with pytest.raises(ArgumentTypeError):
            wrong()


def test_numbers_may_be_arrays_that_change() -> None:
    for std in (torch.tensor(0.02), np.array(0.02)):
        assert init.trunc_normal_(ROWS, std=std).std() < 0.03
        std *= 100
        assert init.trunc_normal_(ROWS, std=std).std() > 0.3


@pytest.mark.parametrize(
    ("shape", "whole"), [((5, 1, 4, 4), True), ((3, 1, 4), True), ((1, 1, 4, 4), True), ((3, 3, 4, 4), False)]
)
def test_upsampling_of_single_channels_is_depthwise(shape: tuple[int, ...], whole: bool) -> None:
    weight = torch.nn.Parameter(init.bilinear_(torch.empty(shape)).detach())
    filled = weight.detach().flatten(2).any(-1)
    assert bool(filled.all()) == whole
    assert torch.equal(filled, torch.eye(*shape[:2]) > 0) or whole
    if len(shape) == 4 and whole:
        up = torch.nn.functional.conv_transpose2d(
            torch.ones(1, shape[0], 6, 6), weight, stride=2, padding=1, groups=shape[0]
        )
        assert torch.allclose(up[..., 3:-3, 3:-3], torch.ones(()))


@pytest.mark.parametrize("fill", [init.normal_, init.orthogonal_, init.xavier_uniform_, init.bilinear_])
@pytest.mark.filterwarnings("ignore:ComplexHalf", "ignore:The PyTorch API of nested")
def test_tensors_of_kinds_that_few_functions_know(fill: Any) -> None:
    shape = (6, 6, 4) if fill is init.bilinear_ else (64, 64)
    half, single = (fill(torch.empty(shape, dtype=kind), generator=torch.Generator().manual_seed(0))
                    for kind in (torch.complex32, torch.complex64))  # fmt: skip
    assert half.dtype == torch.complex32
    assert torch.allclose(half.to(torch.complex64), single, atol=2e-3) or fill is init.xavier_uniform_
    assert torch.view_as_real(half).float().abs().mean() > 0.01
    for layout in (torch.strided, torch.jagged):
        nested = torch.nested.nested_tensor([torch.zeros(2, 3), torch.zeros(4, 3)], layout=layout)
        with pytest.raises(ArgumentTypeError, match="must be a tensor of one shape"):
            fill(nested)


@pytest.mark.parametrize("fill", [init.normal_, init.orthogonal_])
def test_samples_of_vmap_have_the_same_values_or_it_is_said(fill: Any) -> None:
    kept = torch.zeros(5, 4, 3)
    torch.vmap(fill, randomness="same")(kept)
    assert kept[0].any()
    assert torch.equal(kept[0], kept[4])
    with pytest.raises(ArgumentError, match="randomness must be 'same'"):
        torch.vmap(fill, randomness="different")(kept)
