"""Files that are written whole or not at all."""

import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from wellbegun._arguments import message
from wellbegun.errors import ArgumentError, ModelError


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A path to write a new file to, which takes the place of `path` once the body is done.

    It lies beside `path` under a name that nobody else uses, and is on the disk before it is renamed. If the body
    fails, it is removed, and `path` is what it was.

    Raises:
        OSError: the file cannot be written.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "a.txt"
    ...     with replacing(path) as new:
    ...         _ = new.write_text("whole")
    ...     path.read_text(), [file.name for file in Path(folder).iterdir()]
    ('whole', ['a.txt'])
    """
    target = Path(path)
    new = target.with_name(f".{target.name}.{os.getpid()}.{secrets.token_hex(4)}.partial")
    try:
        yield new
        with new.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(new, target)
    finally:
        new.unlink(missing_ok=True)


def write_text(path: str | os.PathLike[str], text: str) -> Path:
    """Write a file of UTF-8 text. An existing one is replaced only once the new one is complete."""
    with replacing(path) as new:
        new.write_text(text, encoding="utf-8")
    return Path(path)


def read_text(what: str, path: str | os.PathLike[str]) -> str:
    """The text of a file that holds a plan or a graph.

    Raises:
        ModelError: no such file, or no text.
    """
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise ModelError(f"{what}: cannot read {str(path)!r}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise ModelError(f"{what}: {str(path)!r} is not JSON (it is no text).") from error


def json_object(what: str, text: str, origin: str) -> dict[str, Any]:
    """The JSON object that a text holds.

    Raises:
        ModelError: no JSON. ArgumentError: no object.
    """
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        raise ModelError(f"{what}: {origin!r} is not JSON (line {error.lineno}: {error.msg}).") from error
    if not isinstance(data, dict):
        raise ArgumentError(message(what, "file", "a JSON object", type(data).__name__))
    return data
