"""The command line. Exit status 0 healthy, 1 unhealthy, 2 wrong use, 130 a race ended by Ctrl-C."""

import sys

from wellbegun.cli import models, pages, races, theory  # noqa: F401 - importing them adds their commands
from wellbegun.cli.common import app

__all__ = ["app", "main"]


def main() -> None:
    """Entry point of the `wellbegun` command."""
    sys.exit(app())
