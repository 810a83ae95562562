"""The command line. Exit status 0 healthy, 1 unhealthy, 2 wrong use, 3 something failed, 130 ended by Ctrl-C."""

import sys

from wellbegun._arguments import told
from wellbegun.cli import models, pages, races, theory  # noqa: F401 - importing them adds their commands
from wellbegun.cli.common import app, complain, debugging

__all__ = ["app", "main"]


def main() -> None:
    """Entry point of the `wellbegun` command."""
    arguments = [text for text in sys.argv[1:] if text != "--debug"]
    debugging.update(set(sys.argv[1:]) & {"--debug"})
    if debugging:
        sys.exit(app(arguments))
    try:
        status = app(arguments)
    except Exception as error:  # ours, or of a library: never a trace that nobody asked for
        complain(f"Error: {type(error).__name__}: {told(error)} wellbegun --debug ... shows where.")
        status = 3
    sys.exit(status)
