"""Commands that need no model: recipes, codes, schemes, gain."""

from typing import Annotated

import typer

from wellbegun._loading import load_object
from wellbegun.cli.common import Formats, Wide, app, messages, show
from wellbegun.health import CATALOGUE, FAMILIES, known_codes
from wellbegun.planning import recipe_names
from wellbegun.reports import codes_table, gain_table, recipes_table, schemes_table, to_json
from wellbegun.reports.curve import curve, points
from wellbegun.reports.text import facts
from wellbegun.schemes import cards
from wellbegun.theory import moments
from wellbegun.theory.gains import phi_of


@app.command("schemes")
def schemes_command(format: Formats = "table", wide: Wide = False) -> None:
    """Compare all initialization schemes: rule, strengths, weaknesses, when to use."""
    if format == "json":
        print(to_json([card.texts() for card in cards(others=True)]))
    else:
        show(schemes_table(cards(others=True)), wide=wide)


@app.command("recipes")
def recipes_command(format: Formats = "table") -> None:
    """List the recipes, and what each is for."""
    about = {name: text for name, text in recipe_names().items() if text}
    if format == "json":
        print(to_json(about))
    else:
        show(recipes_table(about))


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
