"""Symbols that stand for tiles of a GPU kernel: each operation writes one line of Triton's Python.

Every constant gets its type explicitly,
because Triton's own promotion of plain numbers depends on their size.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from wellbegun.engine.symbols import BITS, NUMBER, SIGNED, UNSIGNED, Symbol, Writer, constant

TYPES = {
    "f32": "tl.float32",
    "f64": "tl.float64",
    "i16": "tl.int16",
    "i32": "tl.int32",
    "u32": "tl.uint32",
    "i64": "tl.int64",
    "u64": "tl.uint64",
}


class Lines(Writer):
    """Collects the lines of one kernel; a constant is written once."""

    def __init__(self) -> None:
        super().__init__()
        self._constants: dict[str, str] = {}

    def name(self, hint: str = "v") -> str:
        """A fresh name."""
        return super().name(hint).removeprefix("%")

    def constant(self, kind: str, value: float) -> str:
        """Name of a number of this kind."""
        text = f"tl.full((), {literal(kind, value)}, {TYPES[kind]})"
        if text not in self._constants:
            self._constants[text] = self.emit(text, "c")
        return self._constants[text]


def literal(kind: str, value: float) -> str:
    """A number as Python text; floats are rounded to the kind, integers wrapped to its range.

    >>> literal("f32", 0.1), literal("i32", 0x80000000), literal("u64", -1)
    ('0.10000000149011612', '-2147483648', '18446744073709551615')
    """
    if kind in ("f32", "f64"):
        return repr(float(np.float32(value) if kind == "f32" else value))
    wrapped = int(constant(kind, value))
    return str(wrapped if kind.startswith("i") else wrapped % (1 << int(kind[1:])))


@dataclass(frozen=True, eq=False)
class Tile(Symbol):
    """A block of numbers spread over the threads of a program, or one number for all of them."""

    writer: Lines
    kind: str  # f32, f64, i32, u32, i64, u64; b for the result of a comparison
    text: str  # name

    def of(self, kind: str, text: str) -> "Tile":
        """The result of `text`, in the same kernel."""
        return Tile(self.writer, kind, self.writer.emit(text))

    def operand(self, other: Any) -> str:
        """Text of an operand of this type."""
        if isinstance(other, Tile):
            assert other.kind == self.kind, f"{self.kind} meets {other.kind}"
            return other.text
        return self.writer.constant(self.kind, other)

    def _apply(self, operator: str, first: str, second: str) -> "Tile":
        if operator == "/" and self.kind == "f32":  # Triton's `/` on float32 is an approximation
            return self.of("f32", f"tl.div_rn({first}, {second})")
        kind = "b" if operator in ("<", ">", "<=", "==", "!=") else self.kind
        return self.of(kind, f"{first} {operator} {second}")

    def __neg__(self) -> "Tile":
        assert self.real
        return self * -1.0  # Triton's `-x` is 0 - x, which loses the sign of zero

    def to(self, kind: str) -> "Tile":
        """Converted by value; integers lose their upper bits."""
        return self.of(kind, f"{self.text}.to({TYPES[kind]})")

    def view(self, kind: str) -> "Tile":
        """The same bits as another kind of the same size."""
        return self.of(kind, f"{self.text}.to({TYPES[kind]}, bitcast=True)") if kind != self.kind else self


class TileSymbols:
    """`ops` for tiles."""

    @staticmethod
    def where(condition: Tile, yes: Any, no: Any) -> Tile:
        """`yes` where the condition holds, else `no`."""
        model: Tile = yes if isinstance(yes, Tile) else no
        return model.of(model.kind, f"tl.where({condition.text}, {model.operand(yes)}, {model.operand(no)})")

    @staticmethod
    def sqrt(x: Tile) -> Tile:
        """Correctly rounded square root."""
        return x.of(x.kind, f"tl.{'sqrt_rn' if x.kind == 'f32' else 'sqrt'}({x.text})")

    @staticmethod
    def bits(x: Tile) -> Tile:
        """The bits of a real number as a signed integer."""
        return x.view(BITS[x.kind])

    @staticmethod
    def number(x: Tile) -> Tile:
        """The real number with these bits."""
        return x.view(NUMBER[x.kind])

    @staticmethod
    def real(x: Tile) -> Tile:
        """A signed integer as a real number, rounded to nearest even."""
        assert x.kind in ("i32", "i64")
        return x.to(NUMBER[x.kind])

    @staticmethod
    def signed(x: Tile) -> Tile:
        """The same bits as a signed integer."""
        return x.view(SIGNED.get(x.kind, x.kind))

    @staticmethod
    def unsigned(x: Tile) -> Tile:
        """The same bits as an unsigned integer."""
        return x.view(UNSIGNED.get(x.kind, x.kind))
