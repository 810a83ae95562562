"""Files that are written whole or not at all."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


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
