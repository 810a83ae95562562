"""The command line. Exit status 0 healthy, 1 unhealthy, 2 wrong use, 3 something failed, 130 ended by Ctrl-C, 141 its
output is read no more."""

import io
import os
import sys
from typing import Any

from wellbegun import __version__
from wellbegun._arguments import typed

__all__ = ["app", "main"]

CLOSED = 141  # 128 + SIGPIPE, as shells have it


def __getattr__(name: str) -> Any:
    """The application, which is loaded when it is asked for: `--version` needs none of it."""
    if name != "app":
        raise AttributeError(f"module 'wellbegun.cli' has no attribute {name!r}")
    from wellbegun.cli import models, pages, races, theory  # noqa: F401 - importing them adds their commands
    from wellbegun.cli.common import app

    return app


def main() -> None:
    """Entry point of the `wellbegun` command."""
    try:
        status = _status(sys.argv[1:])
        if sys.stdout is not None:  # closed before it began
            sys.stdout.flush()
    except BrokenPipeError:  # `| head`: what is left to be said goes nowhere
        status = CLOSED
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(status)


def _status(words: list[str]) -> Any:
    if words == ["--version"]:
        print(__version__)
        return 0
    from wellbegun.cli.common import complain, debugging

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a pipe whose encoding lacks a letter shows a question mark
            stream.reconfigure(errors="replace")
    debugging.update(set(words) & {"--debug"})
    try:
        return __getattr__("app")([word for word in words if word != "--debug"])
    except SystemExit as end:
        if isinstance(end.__context__, BrokenPipeError):  # Click and Rich end with 1, which means unhealthy
            raise end.__context__ from None
        return end.code
    except Exception as error:  # ours, or of a library: never a trace that nobody asked for
        if debugging:
            raise
        complain(f"Error: {typed(error)} wellbegun --debug ... shows where.")
        return 3
