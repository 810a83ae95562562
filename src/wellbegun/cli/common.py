"""What all commands share: the application, options, messages, progress."""

import os
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from wellbegun import __version__, api
from wellbegun._arguments import cut, shown
from wellbegun._loading import load_object
from wellbegun.backend import find
from wellbegun.errors import ModelError, WellbegunError
from wellbegun.planning import Overrides, recipe_names
from wellbegun.racing import progress
from wellbegun.reports.text import console as made_console
from wellbegun.reports.text import safe
from wellbegun.storage import load_rules

app = typer.Typer(
    help="The first value of every parameter of a neural network: plan it, write it, check it.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
console = made_console()
_WIDE = 10_000  # columns, more than any table has
debugging: set[str] = set()  # what the command line was asked for
Format = Literal["table", "json"]
ENDS = {("init", "out"): ".safetensors", ("plan", "out"): ".json"}  # what files are called

ModelText = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="path.py:factory, package.module:factory, or hf:config.json (of Hugging Face; nothing is downloaded).",
    ),
]
Inputs = Annotated[
    list[str] | None,
    typer.Option(
        "--input",
        "-i",
        help="Shape (32,1,8,8 or 8,32:int64<1000), or a .npz, .csv or .pt file; repeat for more inputs.",
    ),
]
RecipeName = Annotated[
    str,
    typer.Option(
        "--recipe",
        help="Recipe, such as auto, classic, gpt2 or classic@1; path.py:name for one of your own.",
        autocompletion=lambda: list(recipe_names()),
    ),
]
RuleTexts = Annotated[
    list[str] | None,
    typer.Option("--rule", "-r", help="'pattern=scheme', such as 'head.*=zeros' or '*=path.py:name'; later ones win."),
]
RuleFile = Annotated[
    Path | None, typer.Option("--rules", help="TOML file with a table for each rule; --rule adds later ones.")
]
Only = Annotated[list[str] | None, typer.Option("--only", help="Glob of parameters to plan; all others are left.")]
Excludes = Annotated[list[str] | None, typer.Option("--exclude", "-x", help="Glob of parameters to leave as they are.")]
Frozen = Annotated[Literal["keep", "fill"], typer.Option("--frozen", help="What to do with frozen parameters.")]
Intent = Annotated[
    Literal["auto", "keep", "overwrite"],
    typer.Option("--intent", help="What becomes of values that were constructed on purpose."),
]
Strict = Annotated[bool, typer.Option("--strict", help="What nothing can be said of is an error, and not a note.")]
Seed = Annotated[
    int | None,
    typer.Option(
        "--seed", "-s", help="Integer in [0, 2**64), of model and values; absent: drawn, printed and recorded."
    ),
]
Html = Annotated[
    Path | None, typer.Option("--html", metavar="FILE", help="Also write a report for the browser to this file.")
]
Wide = Annotated[bool, typer.Option("--wide", help="Tables with all columns, however long the lines.")]
Formats = Annotated[Format, typer.Option("--format", "-f", help="table or json.")]


@contextmanager
def messages() -> Iterator[None]:
    """Our errors, and paths that the system refuses, become one message and exit status 2. What the user's code prints
    goes to the error stream: the other holds what was asked for, which a program may read."""
    try:
        with redirect_stdout(sys.stderr):
            yield
    except BrokenPipeError:
        raise
    except (WellbegunError, OSError) as error:
        if "--debug" in debugging:
            raise
        refused = f"{error.strerror}: {cut(error.filename)}." if not isinstance(error, WellbegunError) else ""
        complain(f"Error: {refused or error}")
        raise typer.Exit(2) from error


def complain(text: str) -> None:
    """One message on the error stream; what a terminal would obey is written out."""
    text = "\n".join(map(shown, text.split("\n")))
    made_console(stderr=True, soft_wrap=True).print(text, style="red", markup=False)


def own(text: str, what: str) -> Any:
    """What "path.py:name" names; a text that is no such thing as it is."""
    return load_object(text, what) if ":" in text and "(" not in text else text


def asked_rules(
    file: Path | None, texts: list[str] | None, exclude: list[str] | None, only: list[str] | None
) -> Overrides:
    """What the options --rules, --rule, --exclude and --only say together."""
    pairs = []
    for text in texts or []:
        pattern, equals, scheme = text.partition("=")
        if not equals or not pattern or not scheme:
            raise ModelError(f"rule: expected 'pattern=scheme', such as 'head.*=zeros'; got {text!r}.")
        pairs.append((pattern.strip(), own(scheme.strip(), "rule")))
    start = Overrides() if file is None else load_rules(file)
    return start.then(pairs, exclude or (), only or None)


def show(parts: Any, *, wide: bool = False) -> None:
    """Print tables and lines; `wide`: as long as they are."""
    out = made_console(width=_WIDE) if wide else console
    for part in parts:
        out.print(part, crop=False)


@contextmanager
def working(all_of_it: str = "") -> Iterator[Callable[[int, int, str], None]]:
    """Progress with phase, time and place. What is told starts with the phase, unless there is one for all of it."""
    with progress.shown(True, all_of_it) as tell:
        yield lambda done, total, what: tell(done, total, shown(what))


def begun(text: str, model: object, seed: int, *, drawn: bool = False, recipe: str = "") -> Any:
    """What was taken for granted: a line to stand above what came of it."""
    training = getattr(model, "training", None)
    mode = "" if training is None else ", in training mode" if training else ", in evaluation mode"
    parts = [f"recipe {recipe}, "] * bool(recipe), f"seed {seed}", [" (drawn)"] * drawn, mode
    return safe(f"{text}: {''.join(map(''.join, parts))}.")


def loss_of(model: object, targets: object) -> dict[str, Any]:
    """Cross-entropy against given integer targets; a loss made up by `check` without them."""
    if targets is None:
        return {}
    loss, chance = find(model).loss_against(targets)
    return {"loss": loss} if chance is None else {"loss": loss, "chance": chance}


def outputs(command: str, read: Iterable[str | Path | None], **written: Path | None) -> None:
    """Files that are to be written, before the work is done that they are to hold: there is a folder for each, it is
    called what it will be, and none is another one or one that is read."""
    taken = {place: f"the input {str(path)!r}" for path in read if path is not None and (place := _place(path))}
    for option, path in written.items():
        if path is None:
            continue
        if path.is_dir():
            raise ModelError(f"{command}: --{option} must be a file; got the folder {str(path)!r}.")
        if not path.parent.is_dir():
            raise ModelError(f"{command}: there is no folder {str(path.parent)!r} for --{option}.")
        end = ".html" if option == "html" else ENDS.get((command, option), path.suffix)
        if path.suffix not in ("", end):
            text = f"{command}: --{option} writes a {end} file, and nothing else; got {str(path)!r}."
            raise ModelError(f"{text} Write {str(path.with_suffix(end))!r}.")
        place = _place(path)
        if place in taken:
            raise ModelError(f"{command}: --{option} would overwrite {taken[place]}. Name another file.")
        if place:
            taken[place] = f"what --{option} writes"


def _place(path: str | Path) -> Any:
    """What tells a file from others, whatever its name; nothing for pipes and devices, which keep nothing."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return os.path.realpath(path) if "\0" not in str(path) else None
    return (found.st_dev, found.st_ino) if stat.S_ISREG(found.st_mode) else None


def source_of(model: str) -> str:
    """The file that a model's text names, if it names one."""
    return model.removeprefix("hf:") if model.startswith("hf:") else model.rpartition(":")[0]


def write_report(path: Path | None, *found: Any, **options: Any) -> None:
    """What --html asks for."""
    if path is not None:
        api.report(*found, path=path, **options)


def written(what: str, path: Path | None, format: str) -> None:
    """Say where something is; JSON on the standard output stays JSON."""
    if path is not None:
        (console if format == "table" else made_console(stderr=True)).print(f"{what} written to {path}", markup=False)


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the whole trace of an error; works anywhere.")] = False,
) -> None:
    del debug  # taken out of the arguments before
    if version:
        print(__version__)
        raise typer.Exit(0)
