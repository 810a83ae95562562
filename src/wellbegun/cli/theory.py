"""Commands that need no model: schemes, gain."""

from typing import Annotated

import typer

from wellbegun._loading import load_object
from wellbegun.cli.common import (
    Formats,
    app,
    messages,
    show,
)
from wellbegun.reports import gain_table, schemes_table, to_json
from wellbegun.schemes import cards
from wellbegun.theory import moments


@app.command("schemes")
def schemes_command(format: Formats = "table") -> None:
    """Compare all initialization schemes: rule, strengths, weaknesses, when to use."""
    if format == "json":
        print(to_json([card.texts() for card in cards()]))
    else:
        show(schemes_table(cards()))


@app.command("gain")
def gain_command(
    activation: Annotated[str, typer.Argument(help="Built-in name (relu, gelu, leaky_relu(0.2)) or module:function.")],
    format: Formats = "table",
) -> None:
    """Moments and gains of an activation function, by quadrature."""
    with messages():
        function = load_object(activation, "activation") if ":" in activation else activation
        found = moments(function)
    if format == "json":
        print(to_json({"activation": activation, **found._asdict()}))
    else:
        show(gain_table(activation, found))
