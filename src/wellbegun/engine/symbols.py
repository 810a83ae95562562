"""Symbols that stand for numbers of a kernel: each operation on them writes one line of its text.

The functions of `transforms` are run on these symbols instead of arrays. Integers know whether they are signed, because
shifts, comparisons and conversions depend on it; a plain number takes the type of the symbol it meets.
"""

import struct
from collections.abc import Callable
from typing import Any, Self

BITS = {"f32": "i32", "f64": "i64"}  # what holds the bits of a real number
NUMBER = {"i32": "f32", "i64": "f64", "u32": "f32", "u64": "f64"}
SIGNED = {"u32": "i32", "u64": "i64"}
UNSIGNED = {"i32": "u32", "i64": "u64"}


class Writer:
    """Collects the lines of one function, and gives names to values."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._names = 0

    def name(self, hint: str = "v") -> str:
        """A fresh name."""
        self._names += 1
        return f"%{hint}{self._names}"

    def emit(self, text: str, hint: str = "v") -> str:
        """`%name = text`; returns the name."""
        name = self.name(hint)
        self.lines.append(f"  {name} = {text}")
        return name

    def do(self, text: str) -> None:
        """A line without a result."""
        self.lines.append(f"  {text}")


def constant(kind: str, value: float) -> str:
    """A number as IR text; floats by their bits, rounded to the kind first."""
    if kind in ("f32", "f64"):
        rounded = struct.unpack("<f", struct.pack("<f", value))[0] if kind == "f32" else float(value)
        return f"0x{struct.unpack('<Q', struct.pack('<d', rounded))[0]:016X}"
    bits = {"i32": 32, "u32": 32, "i64": 64, "u64": 64}[kind]
    wrapped = int(value) & ((1 << bits) - 1)
    return str(wrapped - (1 << bits) if wrapped >> (bits - 1) else wrapped)


def _operator(text: str, *, swapped: bool = False) -> Callable[["Symbol", Any], Any]:
    def method(self: "Symbol", other: Any) -> "Symbol":
        first, second = self.text, self.operand(other)
        return self._apply(text, second, first) if swapped else self._apply(text, first, second)

    return method


class Symbol:
    """Numbers of one kind: f32, f64, i32, u32, i64, u64; b for the result of a comparison."""

    kind: str
    text: str

    @property
    def real(self) -> bool:
        """Whether these are floating-point numbers."""
        return self.kind in BITS

    def operand(self, other: Any) -> str:
        """Text of an operand of this type."""
        raise NotImplementedError  # pragma: no cover - every kind of symbol defines it

    def _apply(self, operator: str, first: str, second: str) -> Self:
        """The result of one of Python's operators."""
        raise NotImplementedError  # pragma: no cover - every kind of symbol defines it

    # Python's operators
    __add__, __radd__ = _operator("+"), _operator("+", swapped=True)
    __sub__, __rsub__ = _operator("-"), _operator("-", swapped=True)
    __mul__, __rmul__ = _operator("*"), _operator("*", swapped=True)
    __truediv__, __and__, __or__, __xor__ = _operator("/"), _operator("&"), _operator("|"), _operator("^")
    __lshift__, __rshift__ = _operator("<<"), _operator(">>")  # a shift keeps the sign where the kind is signed
    __lt__, __gt__, __le__ = _operator("<"), _operator(">"), _operator("<=")
    __eq__, __ne__ = _operator("=="), _operator("!=")  # give a symbol, as those of arrays give an array
    __hash__ = None  # type: ignore[assignment]
