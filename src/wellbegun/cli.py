"""The command line: plan, init, check, schemes, gain. Exit status 0 healthy, 1 unhealthy, 2 wrong use."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console

from wellbegun import __version__, api
from wellbegun._arguments import known
from wellbegun._loading import load_batch, load_model, load_object
from wellbegun.errors import ModelError, WellbegunError
from wellbegun.planning import RECIPES, Explanation, Overrides, Plan, PlanDiff
from wellbegun.reports import diff_table, gain_table, schemes_table, tables, to_json
from wellbegun.schemes import cards
from wellbegun.storage import load_plan, load_rules, save_plan
from wellbegun.theory import moments

app = typer.Typer(
    help="The first value of every parameter of a neural network: plan it, write it, check it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
console = Console(highlight=False)
Format = Literal["table", "json"]

ModelText = Annotated[str, typer.Argument(metavar="MODEL", help="path.py:factory or package.module:factory")]
Inputs = Annotated[
    list[str] | None,
    typer.Option(
        "--input", "-i", help="Shape (32,1,8,8 or 8,32:int64<1000), or a .npz or .pt file; repeat for more inputs."
    ),
]
RecipeName = Annotated[str, typer.Option("--recipe", help="Recipe, such as auto, classic, gpt2 or classic@1.")]
RuleTexts = Annotated[
    list[str] | None, typer.Option("--rule", "-r", help="'pattern=scheme', such as 'head.*=zeros'; later ones win.")
]
RuleFile = Annotated[
    Path | None, typer.Option("--rules", help="TOML file with a table for each rule; --rule adds later ones.")
]
Only = Annotated[list[str] | None, typer.Option("--only", help="Glob of parameters to plan; all others are left.")]
Excludes = Annotated[list[str] | None, typer.Option("--exclude", "-x", help="Glob of parameters to leave as they are.")]
Frozen = Annotated[Literal["keep", "fill"], typer.Option("--frozen", help="What to do with frozen parameters.")]
Seed = Annotated[
    int | None, typer.Option("--seed", "-s", help="Integer in [0, 2**64); absent: drawn, printed and recorded.")
]
Formats = Annotated[Format, typer.Option("--format", "-f", help="table or json.")]


@contextmanager
def _messages() -> Iterator[None]:
    """Our errors become one message and exit status 2."""
    try:
        yield
    except WellbegunError as error:
        Console(stderr=True, highlight=False, soft_wrap=True).print(f"Error: {error}", style="red", markup=False)
        raise typer.Exit(2) from error


@contextmanager
def _busy(what: str) -> Iterator[None]:
    """A sign of life on the terminal's error stream."""
    with Console(stderr=True).status(what):
        yield


def _overrides(
    file: Path | None, texts: list[str] | None, exclude: list[str] | None, only: list[str] | None
) -> Overrides:
    """What the options --rules, --rule, --exclude and --only say together."""
    pairs = []
    for text in texts or []:
        pattern, equals, scheme = text.partition("=")
        if not equals or not pattern or not scheme:
            raise ModelError(f"rule: expected 'pattern=scheme', such as 'head.*=zeros'; got {text!r}.")
        pairs.append((pattern.strip(), scheme.strip()))
    start = Overrides() if file is None else load_rules(file)
    return start.then(pairs, exclude or (), only or None)


def _show(parts: Any) -> None:
    for part in parts:
        console.print(part)


@app.command("plan")
def plan_command(
    model: ModelText,
    input: Inputs = None,
    recipe: RecipeName = "auto",
    rule: RuleTexts = None,
    rules: RuleFile = None,
    exclude: Excludes = None,
    only: Only = None,
    frozen: Frozen = "keep",
    seed: Seed = None,
    explain: Annotated[
        str | None, typer.Option("--explain", metavar="NAME", help="Show everything about this parameter instead.")
    ] = None,
    diff: Annotated[
        str | None,
        typer.Option(
            "--diff", metavar="B", help="Show instead where recipe B (same rules), or a plan's JSON, differs."
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Also write the plan as JSON to this file.")] = None,
    format: Formats = "table",
) -> None:
    """Show what every parameter would get, and why. Writes nothing into the model."""
    with _messages():
        if explain is not None and diff is not None:
            raise ModelError("plan: give --explain or --diff, not both.")
        other = None if diff is None else _recipe_or_plan(diff)
        asked = _overrides(rules, rule, exclude, only)
        batch, _ = load_batch(input or [])
        built = load_model(model)

        def decide(name: str, number: int | None) -> Plan:
            return api.plan(built, batch, recipe=name, rules=asked, frozen=frozen, seed=number)

        found = decide(recipe, other.seed if seed is None and isinstance(other, Plan) else seed)
        shown: Plan | PlanDiff | Explanation = found
        if explain is not None:
            shown = found.explain(explain)
        if other is not None:
            shown = found.diff(other if isinstance(other, Plan) else decide(other, found.seed))
        if out is not None:
            _write(save_plan, found, out)
    if format == "json":
        print(to_json(shown.to_dict()))
    else:
        _show(diff_table(shown, (found.recipe, diff or "")) if isinstance(shown, PlanDiff) else tables(shown))
        if out is not None:
            console.print(f"Plan written to {out}", markup=False)


def _recipe_or_plan(text: str) -> str | Plan:
    """What --diff compares with."""
    if text in RECIPES:
        return text
    if text.endswith(".json") or Path(text).is_file():
        return load_plan(text)
    return known("diff", "recipe (or a plan's JSON file)", text, RECIPES)


@app.command("init")
def init_command(
    model: ModelText,
    out: Annotated[Path, typer.Option("--out", "-o", help="safetensors file for weights, plan and seed.")],
    input: Inputs = None,
    recipe: RecipeName = "auto",
    rule: RuleTexts = None,
    rules: RuleFile = None,
    exclude: Excludes = None,
    only: Only = None,
    frozen: Frozen = "keep",
    seed: Seed = None,
    plan: Annotated[
        Path | None, typer.Option("--plan", help="Carry out this plan (JSON) instead of making one.")
    ] = None,
    format: Formats = "table",
) -> None:
    """Initialize a model, check it, and save its weights with plan and seed. Exit status 1 if it is unhealthy."""
    with _messages():
        if plan is not None and (rule or rules or exclude or only or seed is not None):
            raise ModelError("init: --plan says everything; leave out --rule, --rules, --exclude, --only and --seed.")
        asked = _overrides(rules, rule, exclude, only)
        batch, targets = load_batch(input or [])
        if not out.parent.is_dir():
            raise ModelError(f"init: there is no folder {str(out.parent)!r} for --out.")
        built = load_model(model)
        known = None if plan is None else load_plan(plan)
        with _filling() as progress:
            if known is None:
                options: dict[str, Any] = {"recipe": recipe, "rules": asked, "frozen": frozen, "seed": seed}
                found = api.initialize(built, batch, progress=progress, **options, **_loss(targets))
                decided, ledger, health = found.plan, found.ledger, found.health
            else:
                decided, ledger = known, api.apply(built, known, progress=progress)
                health = api.check(built, batch, **_loss(targets))
        from wellbegun.torch import save_weights

        _write(lambda found, path: save_weights(built, found, path), decided, out)
    if format == "json":
        print(to_json({"seed": decided.seed, "out": str(out), "ledger": ledger.counts(), **health.to_dict()}))
    else:
        _show([*tables(ledger), *tables(health)])
        console.print(f"Weights, plan and seed {decided.seed} written to {out}", markup=False)
    raise typer.Exit(0 if health.healthy else 1)


@app.command("check")
def check_command(model: ModelText, input: Inputs = None, format: Formats = "table") -> None:
    """Measure a model as its factory made it: signal, gradient, symmetry, first loss. Exit status 1 if unhealthy."""
    with _messages():
        batch, targets = load_batch(input or [])
        health = api.check(load_model(model), batch, **_loss(targets))
    if format == "json":
        print(to_json(health.to_dict()))
    else:
        _show(tables(health))
    raise typer.Exit(0 if health.healthy else 1)


@app.command("schemes")
def schemes_command(format: Formats = "table") -> None:
    """Compare all initialization schemes: rule, strengths, weaknesses, when to use."""
    with _messages():
        found = cards()
    if format == "json":
        print(to_json([card._asdict() for card in found]))
    else:
        _show(schemes_table(found))


@app.command("gain")
def gain_command(
    activation: Annotated[str, typer.Argument(help="Built-in name (relu, gelu, leaky_relu(0.2)) or module:function.")],
    format: Formats = "table",
) -> None:
    """Moments and gains of an activation function, by quadrature."""
    with _messages():
        function = load_object(activation, "activation") if ":" in activation else activation
        found = moments(function)
    if format == "json":
        print(to_json({"activation": activation, **found._asdict()}))
    else:
        _show(gain_table(activation, found))


@contextmanager
def _filling() -> Iterator[Callable[[int, int, str], None]]:
    """A progress bar on the terminal's error stream, gone when done."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = TextColumn("filling"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[name]}", markup=False)
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("fill", name="")

        def progress(done: int, total: int, name: str) -> None:
            bar.update(task, completed=done, total=total, name=name)

        yield progress


def _loss(targets: Any) -> dict[str, Any]:
    """Cross-entropy against given integer targets; a loss made up by `check` without them."""
    if targets is None:
        return {}
    import math

    import torch
    from torch.nn import functional

    labels = torch.as_tensor(targets)
    if labels.dtype.is_floating_point:
        return {"loss": lambda output: functional.mse_loss(output.float(), labels.to(output.device).float())}
    classes = int(labels.max()) + 1
    return {
        "loss": lambda out: functional.cross_entropy(out, labels.long().to(out.device)),
        "chance": math.log(max(classes, 2)),
    }


def _write(save: Callable[[Plan, Path], object], plan: Plan, path: Path) -> None:
    try:
        save(plan, path)
    except OSError as error:
        raise ModelError(f"out: cannot write {str(path)!r}: {error.strerror or error}.") from error


@app.callback(invoke_without_command=True)
def _version(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        print(__version__)
        raise typer.Exit(0)


def main() -> None:
    """Entry point of the `wellbegun` command."""
    sys.exit(app())
