"""Commands that write a page: explore."""

import os
import sys
import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from wellbegun.cli.common import app, console, messages, working


@app.command("explore")
def explore_command(
    out: Annotated[Path, typer.Option("--out", "-o", help="The HTML file to write.")] = Path("explore.html"),
    no_open: Annotated[bool, typer.Option("--no-open", help="Only write the file; open no browser.")] = False,
    add: Annotated[
        list[str] | None,
        typer.Option("--add", help="A scheme or recipe to pick too, such as hadamard or gpt2."),
    ] = None,
    docs: Annotated[
        str | None, typer.Option("--docs", help="Where the guides are, with {} for a name: https://.../guides/{}.html")
    ] = None,
) -> None:
    """Write a page on which schemes can be tried and seen, and open it. It works offline."""
    from wellbegun.explore import write

    with messages(), working("measuring") as progress:
        path = write(out, docs=docs, add=add or (), progress=progress)
    console.print(f"Page written to {path}", markup=False, soft_wrap=True)
    if not no_open and not _opened(path):
        console.print("Open it in a browser.")


def _opened(path: Path) -> bool:
    """Whether a browser was started: not where there is no screen, and no one to see it."""
    unseen = sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    if unseen or os.environ.get("CI") or not sys.stdout.isatty():
        return False
    return webbrowser.open(path.resolve().as_uri())
