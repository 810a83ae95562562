"""The command that trains initializations against each other."""

from pathlib import Path
from typing import Annotated, Any

import typer

from wellbegun import api
from wellbegun._loading import load_object, read_arrays
from wellbegun._tables import read_table
from wellbegun.cli.common import (
    Formats,
    Html,
    Wide,
    app,
    console,
    messages,
    outputs,
    show,
    source_of,
    write_report,
    written,
)
from wellbegun.errors import ModelError
from wellbegun.racing.files import check_path
from wellbegun.reports import tables, to_json

CANDIDATES = ("default", "classic", "auto", "he=he_normal", "xavier=xavier_normal", "orthogonal")
INTERRUPTED = 130  # 128 + SIGINT, as shells have it


@app.command("race")
def race_command(
    build: Annotated[
        str,
        typer.Argument(metavar="MODEL", help="path.py:factory or package.module:factory."),
    ],
    data: Annotated[
        str,
        typer.Option(
            "--data",
            "-d",
            help="digits, a .csv file (the last column is the target), an .npz file (arrays x and y, and test_x and "
            "test_y if there are; other names are keyword arguments of the model), or path.py:function that returns "
            "(x, y) or such a dict.",
        ),
    ],
    target: Annotated[
        str | None, typer.Option("--target", metavar="NAME", help="The column of a .csv file that is the target.")
    ] = None,
    loss: Annotated[
        str | None,
        typer.Option(
            "--loss",
            metavar="FUNCTION",
            help="Of output and targets, as path.py:function or torch.nn.functional:l1_loss. Absent: cross-entropy "
            "for classes, else mean squared error.",
        ),
    ] = None,
    candidate: Annotated[
        list[str] | None,
        typer.Option(
            "--candidate",
            "-c",
            help="Recipe (auto), scheme (he_normal), 'default' (as the factory made it), path.py:function of the "
            f"model, or name=one of these; repeat. Without any: {', '.join(CANDIDATES)}.",
        ),
    ] = None,
    rates: Annotated[str, typer.Option("--rates", help="Learning rates, separated by commas.")] = "3e-4,1e-3,3e-3,1e-2",
    optimizer: Annotated[
        list[str] | None,
        typer.Option("--optimizer", help="sgd, momentum, adam (the default) or adamw; repeat for more."),
    ] = None,
    seeds: Annotated[str, typer.Option("--seeds", help="How many (3), or which, separated by commas (7,8,9).")] = "3",
    seed: Annotated[int, typer.Option("--seed", "-s", help="The first seed, where --seeds says how many.")] = 0,
    steps: Annotated[int, typer.Option("--steps", help="Training steps of each trial.")] = 100,
    batch_size: Annotated[int, typer.Option("--batch-size", help="Samples of each step.")] = 128,
    prune: Annotated[
        str | None, typer.Option("--prune", help="'halving' stops the worse half after 1/8, 1/4 and 1/2 of the steps.")
    ] = None,
    jobs: Annotated[
        int | None, typer.Option("--jobs", "-j", help="Worker processes; absent: one for each processor.")
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(
            "--resume", help="Keep what is done in this .parquet or .csv file, and go on from it if it exists."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Also write all trials to this .parquet or .csv.")
    ] = None,
    html: Html = None,
    wide: Wide = False,
    format: Formats = "table",
) -> None:
    """Train initializations of a model against each other, briefly, on your data: who learns fastest, how certainly.

    Ctrl-C shows what is done, keeps it where --resume or --out say, and exits with status 130.
    """
    with messages():
        outputs(
            "race", [source_of(build), source_of(data) or data, resume if resume != out else None], out=out, html=html
        )
        if out is not None:
            check_path(out, "out")
        found_data, said = _data(data, target)
        found = api.race(
            _candidates(candidate or CANDIDATES),
            _factory(build),
            found_data,
            rates=_numbers("rates", rates, float),
            optimizers=optimizer or ("adam",),
            seeds=_seeds(seeds, seed),
            steps=steps,
            batch_size=batch_size,
            loss=None if loss is None else load_object(loss, "loss"),
            prune=prune,
            jobs=jobs,
            resume=resume,
        )
        if out is not None:
            found.save(out)
        write_report(html, found, title=f"Race of {build}")
    if format == "json":
        print(to_json(found.to_dict()))
    else:
        show([*([said] if said else []), *tables(found)], wide=wide)
        for path in dict.fromkeys(path for path in (resume, out) if path is not None):
            console.print(f"Trials written to {path}", markup=False)
    written("Report", html, format)
    raise typer.Exit(INTERRUPTED if found.interrupted else 0)


def _factory(text: str) -> Any:
    factory = load_object(text, "model")
    if not callable(factory) or hasattr(factory, "parameters"):
        remedy = "A race needs a function that makes a fresh model."
        raise ModelError(f"model: {text!r} is a {type(factory).__name__}. {remedy}")
    return factory


def _candidates(texts: Any) -> dict[str, Any]:
    """name=what, or what alone, which is then its own name; an equals sign inside a scheme's brackets is its own."""
    found: dict[str, Any] = {}
    for text in texts:
        name, equals, what = text.partition("=")
        if not equals or "(" in name:
            name, what = text, text
        name, what = name.strip(), what.strip()
        if not name or not what:
            raise ModelError(f"candidate: expected a recipe, a scheme or name=one of them; got {text!r}.")
        if name in found:
            raise ModelError(f"candidate: two are called {name!r}. Give one of them another name: other={what}.")
        loaded = ":" in what and "(" not in what
        found[name] = load_object(what, "candidate") if loaded else None if what == "default" else what
    return found


def _data(text: str, target: str | None) -> tuple[Any, str]:
    """What to race on, and what was taken for granted about it."""
    if text.lower().endswith(".csv"):
        table = read_table(text, "data", target)
        return _called(text, (table.x, table.y)), f"Data: {text}, {table.text}."
    if target is not None:
        raise ModelError(f"target: only a .csv file has columns; --data is {text!r}.")
    if text.endswith(".npz"):
        return _called(text, read_arrays(text, "data")), ""
    return (load_object(text, "data") if ":" in text else text), ""


def _called(name: str, data: Any) -> Any:
    """Data that say where they come from."""

    def given() -> Any:
        return data

    given.__name__ = name
    return given


def _numbers(what: str, text: str, kind: Any) -> list[Any]:
    try:
        return [kind(part) for part in text.split(",")]
    except ValueError as error:
        raise ModelError(f"{what}: expected numbers separated by commas; got {text!r}.") from error


def _seeds(text: str, first: int) -> Any:
    """One number is how many from the first on; several, or one with a comma behind it, are the seeds."""
    numbers = _numbers("seeds", text.rstrip(","), int)
    if "," in text and first:
        raise ModelError(f"seed: --seeds {text} says which seeds; leave out --seed.")
    return numbers if "," in text else range(first, first + numbers[0]) if first else numbers[0]
