"""Files that are written whole or not at all."""

import errno
import json
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from wellbegun._arguments import cut, message, path_of, told
from wellbegun.errors import ArgumentError, FileError, ModelError

LARGEST = 1 << 30  # bytes of a plan, a graph, rules or a race


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A path to write a new file to, which takes the place of `path` once the body is done.

    It lies beside `path` under a name that nobody else uses, with the mode of the file that it replaces, and is on the
    disk before it is renamed. A link is followed. What is no regular file (a pipe, a device) is written through and
    never replaced. If the body fails, the new file is removed, and `path` is what it was.

    Raises:
        FileError: the file cannot be written.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "a.txt"
    ...     with replacing(path) as new:
    ...         _ = new.write_text("whole")
    ...     path.read_text(), [file.name for file in Path(folder).iterdir()]
    ('whole', ['a.txt'])
    """
    path, new = path_of("out", path), None
    if "\0" in path:
        raise FileError(f"out: cannot write {cut(path)}: a path holds no null byte.")
    try:
        special = _special(path)
        target = Path(os.path.realpath(path))
        if target.is_dir():
            raise IsADirectoryError(errno.EISDIR, "it is a folder")
        folder = Path(tempfile.gettempdir()) if special else target.parent
        new = folder / f".wellbegun-{secrets.token_hex(8)}.partial"
        mode = stat.S_IMODE(target.stat().st_mode) if target.exists() and not special else None
        os.close(
            os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600 if special else 0o666 if mode is None else mode)
        )
        allowed = stat.S_IMODE(new.stat().st_mode) if mode is None else mode
        yield new
        os.chmod(new, allowed)  # writers may have made the file anew
        if special:
            _through(new, path)
        else:
            with new.open("rb+") as file:
                os.fsync(file.fileno())
            os.replace(new, target)
    except FileError:
        raise
    except OSError as error:
        raise FileError(f"out: cannot write {cut(str(path))}: {error.strerror or error}.") from error
    finally:
        if new is not None:
            new.unlink(missing_ok=True)


def _special(path: str | os.PathLike[str]) -> bool:
    """Whether there is something that is neither a regular file nor a folder, or a descriptor of this process."""
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return False
    descriptor = os.path.abspath(path).startswith(("/dev/", "/proc/"))
    return not stat.S_ISDIR(mode) and (descriptor or not stat.S_ISREG(mode))


def _through(new: Path, path: str | os.PathLike[str]) -> None:
    """Copy a file into what is not to be replaced; a pipe that nobody reads is an error, not a wait."""
    opened = os.open(path, os.O_WRONLY | getattr(os, "O_NONBLOCK", 0))
    if hasattr(os, "set_blocking"):
        os.set_blocking(opened, True)
    with open(opened, "wb") as out, new.open("rb") as file:
        shutil.copyfileobj(file, out)


def write_text(path: str | os.PathLike[str], text: str) -> Path:
    """Write a file of UTF-8 text. An existing one is replaced only once the new one is complete."""
    with replacing(path) as new:
        new.write_text(text, encoding="utf-8")
    return Path(path)


def read_bytes(what: str, path: str | os.PathLike[str], limit: int = LARGEST) -> bytes:
    """What a file holds that people write or that we wrote: a regular one, of at most `limit` bytes.

    Raises:
        ModelError: no such file, no regular one, or too large a one.
    """
    path = path_of(what, path)
    try:
        found = os.stat(path)
        if not stat.S_ISREG(found.st_mode):
            raise ModelError(f"{what}: cannot read {cut(str(path))}: it is no regular file.")
        if found.st_size > limit:
            raise ModelError(f"{what}: {cut(str(path))} has {found.st_size:,} bytes; at most {limit:,} are read.")
        return Path(path).read_bytes()
    except (OSError, ValueError) as error:  # a name with a null byte is a ValueError
        raise ModelError(
            f"{what}: cannot read {cut(str(path))}: {getattr(error, 'strerror', None) or error}."
        ) from error


def read_text(what: str, path: str | os.PathLike[str], kind: str = "JSON") -> str:
    """The text of such a file.

    Raises:
        ModelError: as `read_bytes`, or no text.
    """
    try:
        return read_bytes(what, path).decode()
    except UnicodeDecodeError as error:
        raise ModelError(f"{what}: {cut(str(path))} is not {kind} (it is no text).") from error


def json_object(what: str, text: str, origin: str) -> dict[str, Any]:
    """The JSON object that a text holds.

    Raises:
        ModelError: no JSON. ArgumentError: no object.
    """
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        raise ModelError(f"{what}: {origin!r} is not JSON (line {error.lineno}: {error.msg}).") from error
    except (RecursionError, ValueError) as error:  # nested too deeply, or a number of thousands of digits
        raise ModelError(f"{what}: {origin!r} is not JSON that can be read ({told(error)})") from error
    if not isinstance(data, dict):
        raise ArgumentError(message(what, cut(origin), "a file that holds a JSON object", type(data).__name__))
    return data
