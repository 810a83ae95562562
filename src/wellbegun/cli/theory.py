"""Commands that need no model: recipes, codes, schemes, gain."""

from typing import Annotated

import typer

from wellbegun._loading import load_object
from wellbegun.cli.common import Formats, Wide, app, messages, show
from wellbegun.health import CATALOGUE, FAMILIES, known_codes
from wellbegun.planning import RECIPES, recipe_facts, recipe_names
from wellbegun.reports import codes_table, gain_table, recipes_table, schemes_table, to_json
from wellbegun.reports.curve import curve, points
from wellbegun.reports.text import facts
from wellbegun.schemes import cards
from wellbegun.theory import moments
from wellbegun.theory.gains import phi_of


@app.command("schemes")
def schemes_command(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Part of a scheme's name, or a family.")] = "",
    tensor: Annotated[
        str, typer.Option("--for", help="A kind of tensor, such as router, embedding, q or 'norm scale'.")
    ] = "",
    format: Formats = "table",
    wide: Wide = False,
) -> None:
    """List the initialization schemes; with a name or --for, compare them: rule, strengths, weaknesses, when to use."""
    with messages():
        found = cards(about=name, tensor=tensor, others=True)
    if format == "json":
        print(to_json([card.texts() for card in found]))
    else:
        show(schemes_table(found, whole=bool(name or tensor)), wide=wide)


@app.command("recipes")
def recipes_command(format: Formats = "table") -> None:
    """List the recipes: what each is for, and the optimizer that it was published with."""
    own = [{"name": name, "about": text} for name, text in recipe_names().items() if name not in RECIPES]
    if format == "json":
        print(to_json([*recipe_facts(), *own]))
    else:
        show(recipes_table([*recipe_facts(), *own]))


@app.command("codes")
def codes_command(
    code: Annotated[
        str | None,
        typer.Argument(
            metavar="CODE", help="All about this one, such as W201.", autocompletion=lambda: list(CATALOGUE)
        ),
    ] = None,
    format: Formats = "table",
) -> None:
    """List what a check can find; or one code whole: why it is a fault, what to do, where its bound comes from."""
    with messages():
        chosen = CATALOGUE if code is None else {found: CATALOGUE[found] for found in known_codes([code.upper()])}
    if format == "json":
        print(to_json({name: check._asdict() for name, check in chosen.items()}))
    elif code is None:
        show(codes_table(chosen))
    else:
        for name, check in chosen.items():
            told = {"about": FAMILIES[name[:2]], "severity": check.severity, "why": check.why}
            remedy = check.remedy.format(names="...", parameter="...", bias="...", place="...")
            show(facts(f"{name} {check.title}", {**told, "remedy": remedy, "source": check.source}.items()))


@app.command("gain")
def gain_command(
    activation: Annotated[
        str,
        typer.Argument(help="Built-in name (relu, leaky_relu(0.2), swiglu) or module:function, like numpy:tanh."),
    ],
    format: Formats = "table",
) -> None:
    """The curve, moments and gains of an activation function, by quadrature."""
    with messages():
        function = load_object(activation, "activation") if ":" in activation else activation
        found = moments(function)
        z, phi = points(*phi_of(function))
    if format == "json":
        drawn = {"z": z.tolist(), "phi": phi.tolist()}
        print(to_json({"activation": activation, **found._asdict(), "curve": drawn}))
    else:
        show(gain_table(activation, found, curve(z, phi)))
