"""The parametrizations that have names, and how they are made."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, SupportsFloat, SupportsIndex

from wellbegun._arguments import choice, integer, message, real, shape_of, texts_of, truth
from wellbegun.errors import ArgumentError, ArgumentTypeError
from wellbegun.graph import Role
from wellbegun.planning.method import Method
from wellbegun.planning.plan import Plan
from wellbegun.planning.recipes import recipe_of
from wellbegun.planning.recipes.scaled import SPECTRAL, UMUP
from wellbegun.planning.scaling.axes import Base
from wellbegun.planning.scaling.parametrization import Parametrization

Recipe = str | Method | Callable[[Role], Any]


def mup(
    *,
    base: Any,
    recipe: Recipe = "classic",
    head_width: SupportsIndex | None = None,
    zero: Iterable[str] = (),
    fold: bool = True,
) -> Parametrization:
    """The maximal update parametrization: the best learning rate of a narrow model is that of a wide one.

    ======================= ============= ============== ============== ======= =========
    with m = width / base's  values' std  rate, Adam     rate, SGD      decay   forward
    ======================= ============= ============== ============== ======= =========
    tables, biases, norms    1             1              m              1/rate  1
    matrices                 m^(-1/2)      1/m            1              1/rate  1
    readouts                 1             1              m              1/rate  1/m
    readouts, folded         1/m           1/m            1/m            1/rate  1
    ======================= ============= ============== ============== ======= =========

    Axes have an m of their own (a matrix: inputs for values, outputs / inputs for SGD). Adam's ε is divided by m as
    gradients are; a Muon step of singular values 1 needs (m of outputs / m of inputs)^(1/2). Tables that are readouts
    too cannot be folded: a note of the plan says what the forward pass has to multiply.

    Args:
        base: Of the base model: its width (roles tell which axes grow); or its shapes by names, as a mapping to shapes
            or to what has them (`model.state_dict()`, also on the meta device); or a plan of it. It is as deep as the
            model.
        recipe: How the base model is initialized, as for `wellbegun.plan`.
        head_width: Width of a head of attention in the base model, if heads grow wider and not more: scores are then to
            be divided by it and not by its root, which is folded into queries. None: heads are as wide as there.
        zero: Roles whose weights start at 0: the authors advise "readout" and "query", whose drawn values fade with the
            width, so that narrow models differ from wide ones by them.
        fold: Whether forward multipliers go into first values and rates, which trains alike; else the forward pass has
            to multiply what `Entry.multiplier` says.
    Returns:
        A `Parametrization`, the `recipe` of `wellbegun.plan`.
    Raises:
        ArgumentTypeError, ArgumentError: no width, shapes or plan; UnknownNameError: no such recipe.
    Source: Yang et al. 2022, arXiv:2203.03466, tables 3 and 8.

    >>> from wellbegun.planning import RECIPES
    >>> mup(base=64).full_name, RECIPES["mup"].base
    ('mup(classic@1, base=64)', 256)
    """
    return _made("mup", "mup", recipe, base, head_width=_heads("mup", head_width), zero=_zero("mup", zero), fold=fold)


def completep(
    *,
    base: Any,
    depth: SupportsFloat,
    alpha: SupportsFloat = 1.0,
    recipe: Recipe = "classic",
    head_width: SupportsIndex | None = None,
    zero: Iterable[str] = (),
    fold: bool = True,
) -> Parametrization:
    """muP, and the same for depth: residual branches × (L / depth)^-α, and in branches rates × (L / depth)^(α-1).

    Branches are multiplied by what ends them (a weight and its bias, or the scale behind it), so nothing is to be
    written in the forward pass where that can be folded. With α = 1 all layers learn features at any depth; α = ½ is
    depth-muP. Adam's ε goes with (L / depth)^-α in branches; SGD's rates with (L / depth)^(2α-1). The recipe is asked
    at the base model's depth, where block l of L is block l depth / L; a note tells where one looks at the whole model.

    Args:
        base, recipe, head_width, zero, fold: As for `mup`; shapes are those of a base model as deep as the model.
        depth: Blocks of the base model, as the graph counts them: one self-attention and what follows it, or two
            branches where there is none; above 0.
        alpha: From ½ to 1.
    Raises:
        As `mup`.
    Source: Dey et al. 2025, arXiv:2505.01618, table 1; Yang et al. 2023, arXiv:2310.02244.

    >>> completep(base=64, depth=2).alpha
    1.0
    """
    found = real("completep", "alpha", alpha)
    if not 0.5 <= found <= 1:
        raise ArgumentError(message("completep", "alpha", "from 0.5 to 1", alpha))
    blocks = real("completep", "depth", depth, minimum=0.0, exclusive=True)
    heads, silent = _heads("completep", head_width), _zero("completep", zero)
    told = {"head_width": heads, "zero": silent, "fold": fold}
    return _made("completep", "mup", recipe, base, depth=blocks, alpha=found, **told)


def spectral() -> Parametrization:
    """The spectral condition: every weight, and every change of it, has a largest singular value of (n_out/n_in)^(1/2).

    Values: N(0, σ²), σ = min(1, (n_out/n_in)^(1/2)) / n_in^(1/2); rates n_out/n_in (SGD), 1/n_in (Adam),
    min(1, (n_out/n_in)^(1/2)) (torch.optim.Muon). Tables and vectors have n_in = 1. Equal to muP in how all changes
    with width; measured against no base, so rates are some n_in times larger numbers than one is used to.

    Source: Yang, Simon, Bernstein 2023, arXiv:2310.17813.

    >>> spectral().full_name
    'spectral@1'
    """
    return SPECTRAL


def umup() -> Parametrization:
    """u-muP with its multipliers in values and rates: weights N(0, 1) / n_in^(1/2), readouts N(0, 1) / n_in, tables
    N(0, 1), branches divided by the root of the number of blocks; Adam's rates 1/n_in, tables' 1/width^(1/2).

    What unit scaling does to activations, attention, losses and gradients belongs to the forward and backward pass and
    is not there; a note of the plan says so. Norms have to stand before branches.

    Source: Blake et al. 2024, arXiv:2407.17465, table 2 and section 3.

    >>> umup().alpha
    0.5
    """
    return UMUP


def standard(*, recipe: Recipe = "classic") -> Parametrization:
    """Nothing changes with width but what the recipe says: what others are compared with.

    Args:
        recipe: As for `wellbegun.plan`.

    >>> standard(recipe="torch").full_name
    'standard(torch@1)'
    """
    return _made("standard", "standard", recipe, 1)


def _made(name: str, rule: str, recipe: Recipe, base: Any, **options: Any) -> Parametrization:
    method = recipe_of(recipe)
    if isinstance(method, Parametrization):
        raise ArgumentTypeError(message(name, "recipe", "one that says nothing of width", method.full_name))
    if getattr(method, "refinement", None) is not None:
        remedy = "What it measures at each width would undo the scaling."
        raise ArgumentTypeError(message(name, "recipe", "one that does not measure", method.full_name, remedy))
    truth(name, "fold", options.get("fold", True))
    found = _base(name, base)
    told = {"base": found if isinstance(found, int) else "shapes", "depth": options.get("depth")}
    told |= {"alpha": options.get("alpha"), "head_width": options.get("head_width")}
    of = "".join(f", {key}={value}" for key, value in told.items() if value is not None and rule != "standard")
    return Parametrization(f"{name}({method.full_name}{of})", rule, method, found, **options)


def _heads(owner: str, width: SupportsIndex | None) -> int | None:
    return None if width is None else integer(owner, "head_width", width, minimum=1)


def _zero(owner: str, roles: Iterable[str]) -> tuple[str, ...]:
    return tuple(choice(owner, "zero", role, ("readout", "query")) for role in texts_of(owner, "zero", roles))


def _base(owner: str, base: Any) -> Base:
    """A width, or shapes by names."""
    if isinstance(base, Plan):
        return {entry.name: entry.shape for entry in base.entries}
    if isinstance(base, Mapping):
        shapes: dict[object, Any] = {name: getattr(value, "shape", value) for name, value in base.items()}
        return {str(name): shape_of(owner, shape, f"the shape of {name!r}") for name, shape in shapes.items()}
    if not hasattr(base, "__index__"):
        allowed = "a width, shapes of the base model by names of parameters, or a plan of it"
        raise ArgumentTypeError(message(owner, "base", allowed, base))
    return integer(owner, "base", base, minimum=1)
