"""Commands on a model: plan, init, check."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from wellbegun import api
from wellbegun._arguments import known
from wellbegun._loading import load_batch, load_model
from wellbegun._typing import phase
from wellbegun.backend import find
from wellbegun.cli.common import (
    Excludes,
    Formats,
    Frozen,
    Html,
    Inputs,
    Intent,
    ModelText,
    Only,
    RecipeName,
    RuleFile,
    RuleTexts,
    Seed,
    Strict,
    Wide,
    app,
    asked_rules,
    begun,
    loss_of,
    messages,
    outputs,
    own,
    show,
    source_of,
    working,
    write_report,
    written,
)
from wellbegun.errors import ModelError
from wellbegun.health import known_codes
from wellbegun.planning import Explanation, Plan, PlanDiff, recipe_names
from wellbegun.planning import diff as diff_plans
from wellbegun.planning import explain as explain_parameter
from wellbegun.reports import diff_rows, diff_table, explained, junit, plan_rows, tables, to_csv, to_json, to_markdown
from wellbegun.storage import load_plan, save_plan
from wellbegun.streams import fresh_seed


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
    strict: Strict = False,
    intent: Intent = "auto",
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
    html: Html = None,
    wide: Wide = False,
    format: Annotated[
        Literal["table", "json", "csv", "markdown"],
        typer.Option("--format", "-f", help="What is printed: a table, or data."),
    ] = "table",
) -> None:
    """Show what every parameter would get, and why. Writes nothing into the model."""
    with messages():
        if explain is not None and diff is not None:
            raise ModelError("plan: give --explain or --diff, not both.")
        outputs("plan", [source_of(model), rules, diff, *(input or [])], out=out, html=html)
        other = None if diff is None else _recipe_or_plan(diff)
        seed = other.seed if seed is None and isinstance(other, Plan) else fresh_seed() if seed is None else seed
        asked = asked_rules(rules, rule, exclude, only)
        batch, _ = load_batch(input or [])
        built = load_model(model, batch, light=True, seed=seed)

        def decide(name: Any) -> Plan:
            with working() as progress:
                options: dict[str, Any] = {"recipe": name, "rules": asked, "frozen": frozen, "seed": seed}
                return api.plan(built, batch, progress=progress, strict=strict, intent=intent, **options)

        found = decide(own(recipe, "recipe"))
        shown: Plan | PlanDiff | Explanation = found
        if explain is not None:
            shown = explain_parameter(found, explain)
        if other is not None:
            shown = diff_plans(found, other if isinstance(other, Plan) else decide(other))
        if out is not None:
            save_plan(found, out)
        write_report(html, found, title=f"Plan for {model}")
    if format == "json":
        print(to_json(shown.to_dict()))
    elif format == "table":
        show(diff_table(shown, (found.recipe, diff or "")) if isinstance(shown, PlanDiff) else tables(shown), wide=wide)
        written("Plan", out, format)
    else:
        print((to_csv if format == "csv" else to_markdown)(_rows(shown)))
    written("Report", html, format)


def _rows(shown: Plan | PlanDiff | Explanation) -> list[tuple[str, ...]]:
    """The headings, and what the table says."""
    if isinstance(shown, Plan):
        return plan_rows(shown)
    if isinstance(shown, PlanDiff):
        name, rows = "", list[tuple[str, ...]]()
        for first, *rest in diff_rows(shown):
            name = first or name
            rows.append((name, *rest))
        return [("parameter", "what", *shown.recipes), *rows]
    return [("what", "value"), *((name, value) for name, value in explained(shown) if value)]


def _recipe_or_plan(text: str) -> Any:
    """What --diff compares with."""
    if text.endswith(".json") or Path(text).is_file():
        return load_plan(text)
    found = own(text, "diff")
    return known("diff", "recipe (or a plan's JSON file)", text, recipe_names()) if found is text else found


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
    strict: Strict = False,
    intent: Intent = "auto",
    plan: Annotated[
        Path | None, typer.Option("--plan", help="Carry out this plan (JSON) instead of making one.")
    ] = None,
    html: Html = None,
    wide: Wide = False,
    format: Formats = "table",
) -> None:
    """Initialize a model, check it, and save its weights with plan and seed. Exit status 1 if it is unhealthy."""
    with messages():
        others = (recipe, frozen, intent, strict) != ("auto", "keep", "auto", False)
        if plan is not None and (others or rule or rules or exclude or only or seed is not None):
            given = "--recipe, --rule, --rules, --exclude, --only, --frozen, --intent, --strict and --seed"
            raise ModelError(f"init: --plan says everything; leave out {given}.")
        outputs("init", [source_of(model), rules, plan, *(input or [])], out=out, html=html)
        asked = asked_rules(rules, rule, exclude, only)
        batch, targets = load_batch(input or [])
        known = None if plan is None else load_plan(plan)
        drawn = known is None and seed is None
        seed = known.seed if known is not None else fresh_seed() if seed is None else seed
        built = load_model(model, batch, seed=seed)
        held = any(parameter.held for parameter in find(built).describe(built).values())
        before = api.check(built, batch, **loss_of(built, targets)) if html is not None and held else None
        with working() as progress:
            if known is None:
                options: dict[str, Any] = {
                    "recipe": own(recipe, "recipe"),
                    "rules": asked,
                    "frozen": frozen,
                    "seed": seed,
                }
                options |= loss_of(built, targets)
                found = api.initialize(built, batch, progress=progress, strict=strict, intent=intent, **options)
                built, decided, ledger, health = found.model, found.plan, found.ledger, found.health
            else:
                applied = api.apply(built, known, progress=phase(progress, "fill"))
                built, decided, ledger = applied.model, known, applied.ledger
                health = api.check(built, batch, progress=progress, **loss_of(built, targets))
        find(built).save(built, decided, out)
        write_report(html, decided, ledger, health, before=before, model=built, title=f"How {model} begins")
    if format == "json":
        print(to_json({"seed": decided.seed, "out": str(out), "ledger": ledger.counts(), **health.to_dict()}))
    else:
        above = begun(model, built, decided.seed, drawn=drawn, recipe=decided.recipe)
        show([above, *tables(ledger), *tables(health)], wide=wide)
        written(f"Weights, plan and seed {decided.seed}", out, format)
    written("Report", html, format)
    raise typer.Exit(0 if health.healthy else 1)


@app.command("check")
def check_command(
    model: ModelText,
    input: Inputs = None,
    allow: Annotated[
        list[str] | None, typer.Option("--allow", "-a", metavar="CODE", help="Code that may be found, such as W501.")
    ] = None,
    seed: Annotated[
        int,
        typer.Option("--seed", "-s", help="Integer in [0, 2**64), from which the model is built and remedies drawn."),
    ] = 0,
    html: Html = None,
    wide: Wide = False,
    format: Annotated[
        Literal["table", "json", "junit"], typer.Option("--format", "-f", help="table, json, or JUnit XML for CI.")
    ] = "table",
) -> None:
    """Measure a model as its factory made it: signal, gradient, symmetry, attention, loss. Exit status 1 if unhealthy.
    The same seed gives the same model and the same findings.

    Findings name the layer at fault and a remedy to paste; remarks do not make a model unhealthy.
    """
    with messages():
        known_codes(allow or ())
        outputs("check", [source_of(model), *(input or [])], html=html)
        batch, targets = load_batch(input or [])
        with working() as progress:
            built = load_model(model, batch, seed=seed)
            found = api.check(built, batch, seed=seed, progress=progress, **loss_of(built, targets))
            health = found.without(allow or ())
        write_report(html, health, model=built, title=f"How {model} begins")
    if format == "json":
        print(to_json(health.to_dict()))
    elif format == "junit":
        print(junit(health, model))
    else:
        show([begun(model, built, seed), *tables(health)], wide=wide)
    written("Report", html, format)
    raise typer.Exit(0 if health.healthy else 1)
