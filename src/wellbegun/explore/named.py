"""Any scheme or recipe by its name, as choices of the playground: a recipe is asked for a layer of a plain network."""

import ast
import functools
from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

from wellbegun._arguments import known, message, text_of
from wellbegun.errors import ArgumentError, WellbegunError
from wellbegun.explore.networks import SLOPES
from wellbegun.explore.playground import DEPTHS, WIDTHS, Choice
from wellbegun.graph import ModelGraph, Parameter
from wellbegun.graph.build import Builder
from wellbegun.graph.facts import Array, Contraction, Elementwise
from wellbegun.graph.formulas import FORMULAS
from wellbegun.graph.function import Function, Root, call
from wellbegun.graph.provenance import Known, Operand
from wellbegun.laws import Constant, Law, Mirrored, Normal, Orthogonal, Uniform
from wellbegun.planning import RECIPES, make_plan
from wellbegun.schemes import ALIASES, SCHEMES, Scheme, parse_scheme
from wellbegun.schemes.dependent import fixed_law
from wellbegun.theory.activations import SELU_ALPHA, SELU_SCALE

SAMPLES = 8  # rows of the batch that recipes are shown; none of them looks


class Shown(NamedTuple):
    """What a learner can pick: a choice, or the choices that a recipe makes, by "activation width"."""

    key: str
    label: str
    by: dict[str, str]


class Added(NamedTuple):
    """Choices to be measured, and what is shown of them."""

    choices: tuple[Choice, ...] = ()
    shown: tuple[Shown, ...] = ()


NOTHING = Added()


def added(names: Iterable[str], widths: Iterable[int] = WIDTHS) -> Added:
    """Choices for the texts of schemes, and for the names of recipes (a name of both is the scheme's; `name@1` is not).

    Raises:
        UnknownNameError: neither. ArgumentError, LayoutError: a scheme that has no square matrices of these widths, or
            a recipe that leaves weights of plain networks as they are, or measures on a batch.

    >>> [shown.label for shown in added(["gpt2", "hadamard"], (16,)).shown]
    ['gpt2@1', 'hadamard()']
    """
    choices, shown, sizes = dict[str, Choice](), list[Shown](), tuple(widths)
    for name in map(functools.partial(text_of, "explore", "add"), names):
        bare = name.partition("(")[0]
        if name in RECIPES and bare not in SCHEMES and bare not in ALIASES:
            recipe = RECIPES[name].full_name
            if getattr(RECIPES[name], "refinement", None) is not None:
                allowed = "a recipe that measures nothing on a batch"
                raise ArgumentError(message("explore", "add", allowed, recipe))
            made = {f"{phi} {width}": _planned(recipe, phi, width) for phi in SLOPES for width in sizes}
            shown.append(Shown(recipe, recipe, {place: choice.key for place, choice in made.items()}))
            choices |= {choice.key: choice for choice in made.values()}
        else:
            scheme = _scheme(name)
            choice = _choice(repr(scheme), repr(scheme), scheme, scheme, sizes)
            choices[choice.key] = choice
            shown.append(Shown(choice.key, choice.label, {}))
    return Added(tuple(choices.values()), tuple(shown))


def _scheme(text: str) -> Scheme:
    bare = text.partition("(")[0]
    if _several(text):
        raise ArgumentError(message("explore", "add", "one scheme or recipe", text, "Give each by itself."))
    if bare in RECIPES and bare not in SCHEMES and bare not in ALIASES:
        raise ArgumentError(message("explore", "add", "a recipe by its name alone", text))
    known("explore", "add", bare, [*SCHEMES, *ALIASES, *RECIPES])
    scheme = parse_scheme(text)
    try:
        scheme.law((WIDTHS[0],) * 2)
    except WellbegunError as error:
        allowed = "a scheme that fills square matrices"
        raise type(error)(message("explore", "add", allowed, text, str(error))) from error
    return scheme


def _several(text: str) -> bool:
    try:
        return isinstance(ast.parse(text.strip(), mode="eval").body, ast.Tuple)
    except (SyntaxError, ValueError):
        return False


def _choice(key: str, label: str, scheme: Scheme, unit: Scheme, widths: tuple[int, ...]) -> Choice:
    """As a multiple of a kind that is measured anyway, or as a kind of its own, which is the unit times 1."""
    laws = [scheme.law((width, width)) for width in widths]
    kinds = {_kind(law) for law in laws}
    if len(kinds) == 1 and "" not in kinds:
        return Choice(key, label, scheme, kinds.pop(), widths=widths)
    return Choice(key, label, unit, repr(unit), unit=unit, widths=widths)


def _kind(law: Law) -> str:
    if isinstance(law, Normal) and law.mean == 0:
        return "normal"
    if isinstance(law, Uniform) and law.low == -law.high:
        return "uniform"
    if isinstance(law, Orthogonal) and law.method == "haar":
        return "orthogonal"
    if isinstance(law, Mirrored) and isinstance(law.law, Orthogonal) and law.law.method == "haar":
        return "mirrored"
    return "constant" if isinstance(law, Constant) and law.value >= 0 else ""


# ---------------------------------------------------------------------- recipes
def _planned(recipe: str, activation: str, width: int) -> Choice:
    """What a recipe gives the middle layer of the deepest network."""
    entry = make_plan(_chain(activation, width), recipe=recipe, seed=0)[f"layers.{max(DEPTHS) // 2}.weight"]
    if entry.law is None:
        allowed = "one that fills the weights of plain networks"
        raise ArgumentError(message("explore", "add", allowed, recipe, entry.reason.capitalize() + "."))
    law = entry.law.scaled(entry.multiplier) if entry.multiplier != 1 else entry.law
    choice = _choice("", "", fixed_law(law), parse_scheme(entry.scheme), (width,))
    return replace(choice, key=f"{recipe} {entry.scheme} {width}", label=f"{recipe}: {entry.scheme}")


def _chain(activation: str, width: int) -> ModelGraph:
    """A plain network as its front end would tell it."""
    name, _, rest = activation.partition("(")
    numbers = [float(rest[:-1])] if rest else []
    shape, square = Array((SAMPLES, width)), Array((width, width))
    weights = [f"layers.{index}.weight" for index in range(max(DEPTHS))]
    builder = Builder({each: Parameter(each, square.shape, "float32") for each in weights}, channels_last=True)
    signal: Known = builder.batch(shape)
    for each in weights:
        operands = [Operand(signal, shape), Operand(builder.parameter(each, square), square)]
        signal = builder.record(Contraction(("bi", "oi"), "bo"), operands, [shape], name=each[:-7]).known[0]
        if name != "linear":
            root = Root("0")
            formula, numbers = ("elu", [SELU_ALPHA, SELU_SCALE]) if name == "selu" else (name, numbers)
            tree = FORMULAS[formula](root, *numbers) if formula in FORMULAS else call(name, root)
            assert isinstance(tree, Function)  # of numbers alone it would be one
            signal = builder.record(Elementwise(tree), [Operand(signal, shape)], [shape], name=name).known[0]
    return builder.graph([signal])
