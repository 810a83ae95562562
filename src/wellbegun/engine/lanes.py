"""Symbols that stand for vector registers: each operation writes one line of LLVM IR.

The functions of `transforms` are run on these symbols instead of arrays. Integers know whether they are signed, because
shifts, comparisons and conversions depend on it; a plain number takes the type of the vector it meets.
"""

import struct
from dataclasses import dataclass
from typing import Any

_IR = {"f32": "float", "f64": "double", "i32": "i32", "u32": "i32", "i64": "i64", "u64": "i64", "b": "i1"}


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


@dataclass(frozen=True, eq=False)
class Lanes:
    """One vector register (or several, where the machine's are shorter)."""

    writer: Writer
    kind: str  # f32, f64, i32, u32, i64, u64; b for the result of a comparison
    count: int
    text: str  # name or constant

    @property
    def type(self) -> str:
        """The IR type."""
        return f"<{self.count} x {_IR[self.kind]}>"

    def of(self, kind: str, text: str, count: int | None = None) -> "Lanes":
        """Another vector in the same function."""
        return Lanes(self.writer, kind, count or self.count, text)

    def operand(self, other: "Lanes | float | Any") -> str:
        """Text of an operand of this type."""
        if isinstance(other, Lanes):
            assert (other.kind, other.count) == (self.kind, self.count), f"{self.kind} meets {other.kind}"
            return other.text
        one = f"{_IR[self.kind]} {constant(self.kind, other)}"
        return f"<{', '.join([one] * self.count)}>"

    def _two(self, instruction: str, other: Any, *, swapped: bool = False) -> "Lanes":
        first, second = self.text, self.operand(other)
        if swapped:
            first, second = second, first
        return self.of(self.kind, self.writer.emit(f"{instruction} {self.type} {first}, {second}"))

    def _arithmetic(self, name: str, other: Any, *, swapped: bool = False) -> "Lanes":
        return self._two(("f" if self.real else "") + name, other, swapped=swapped)

    @property
    def real(self) -> bool:
        """Whether these are floating-point numbers."""
        return self.kind in ("f32", "f64")

    def __add__(self, other: Any) -> "Lanes":
        return self._arithmetic("add", other)

    def __radd__(self, other: Any) -> "Lanes":
        return self._arithmetic("add", other, swapped=True)

    def __sub__(self, other: Any) -> "Lanes":
        return self._arithmetic("sub", other)

    def __rsub__(self, other: Any) -> "Lanes":
        return self._arithmetic("sub", other, swapped=True)

    def __mul__(self, other: Any) -> "Lanes":
        return self._arithmetic("mul", other)

    def __rmul__(self, other: Any) -> "Lanes":
        return self._arithmetic("mul", other, swapped=True)

    def __truediv__(self, other: Any) -> "Lanes":
        return self._two("fdiv", other)

    def __neg__(self) -> "Lanes":
        return self.of(self.kind, self.writer.emit(f"fneg {self.type} {self.text}"))

    def __and__(self, other: Any) -> "Lanes":
        return self._two("and", other)

    def __or__(self, other: Any) -> "Lanes":
        return self._two("or", other)

    def __xor__(self, other: Any) -> "Lanes":
        return self._two("xor", other)

    def __lshift__(self, other: Any) -> "Lanes":
        return self._two("shl", other)

    def __rshift__(self, other: Any) -> "Lanes":
        return self._two("ashr" if self.kind in ("i32", "i64") else "lshr", other)

    def _compare(self, real: str, signed: str, other: Any) -> "Lanes":
        if self.real:
            text = f"fcmp {real}"
        else:
            prefix = "" if signed in ("eq", "ne") else ("s" if self.kind in ("i32", "i64") else "u")
            text = f"icmp {prefix}{signed}"
        return self.of("b", self.writer.emit(f"{text} {self.type} {self.text}, {self.operand(other)}"))

    def __lt__(self, other: Any) -> "Lanes":
        return self._compare("olt", "lt", other)

    def __gt__(self, other: Any) -> "Lanes":
        return self._compare("ogt", "gt", other)

    def __le__(self, other: Any) -> "Lanes":
        return self._compare("ole", "le", other)

    __hash__ = None  # type: ignore[assignment]  # equality gives a vector, as with arrays

    def __eq__(self, other: object) -> "Lanes":  # type: ignore[override]
        return self._compare("oeq", "eq", other)

    def __ne__(self, other: object) -> "Lanes":  # type: ignore[override]
        return self._compare("une", "ne", other)

    def shuffle(self, other: "Lanes", order: list[int]) -> "Lanes":
        """Entries of this and another vector in any order; the other's are counted from `count` on."""
        mask = f"<{len(order)} x i32> <{', '.join(f'i32 {index}' for index in order)}>"
        text = f"shufflevector {self.type} {self.text}, {other.type} {other.text}, {mask}"
        return self.of(self.kind, self.writer.emit(text), len(order))


_BITS = {"f32": "i32", "f64": "i64"}
_NUMBER = {"i32": "f32", "i64": "f64", "u32": "f32", "u64": "f64"}


class Symbols:
    """`ops` for symbolic vectors."""

    def __init__(self) -> None:
        self.intrinsics: set[str] = set()  # declarations the module needs

    def where(self, condition: Lanes, yes: Any, no: Any) -> Lanes:
        """`yes` where the condition holds, else `no`."""
        model = yes if isinstance(yes, Lanes) else no
        choices = f"{model.type} {model.operand(yes)}, {model.type} {model.operand(no)}"
        text = f"select {condition.type} {condition.text}, {choices}"
        return model.of(model.kind, model.writer.emit(text))

    def sqrt(self, x: Lanes) -> Lanes:
        """Correctly rounded square root."""
        name = f"@llvm.sqrt.v{x.count}{x.kind}"
        self.intrinsics.add(f"declare {x.type} {name}({x.type})")
        return x.of(x.kind, x.writer.emit(f"call {x.type} {name}({x.type} {x.text})"))

    def _cast(self, instruction: str, x: Lanes, kind: str) -> Lanes:
        found = x.of(kind, "")
        return x.of(kind, x.writer.emit(f"{instruction} {x.type} {x.text} to {found.type}"))

    def bits(self, x: Lanes) -> Lanes:
        """The bits of a real number as a signed integer."""
        return self._cast("bitcast", x, _BITS[x.kind])

    def number(self, x: Lanes) -> Lanes:
        """The real number with these bits."""
        return self._cast("bitcast", x, _NUMBER[x.kind])

    def real(self, x: Lanes) -> Lanes:
        """A signed integer as a real number, rounded to nearest even."""
        assert x.kind in ("i32", "i64")
        return self._cast("sitofp", x, _NUMBER[x.kind])

    @staticmethod
    def signed(x: Lanes) -> Lanes:
        """The same bits as a signed integer."""
        return x.of({"u32": "i32", "u64": "i64"}.get(x.kind, x.kind), x.text)

    @staticmethod
    def unsigned(x: Lanes) -> Lanes:
        """The same bits as an unsigned integer."""
        return x.of({"i32": "u32", "i64": "u64"}.get(x.kind, x.kind), x.text)


def even_lanes(count: int) -> list[int]:
    """Order that takes the low half of each 64-bit lane of two vectors of `count` 32-bit lanes, alternating.

    >>> even_lanes(4)
    [0, 4, 2, 6]
    """
    return [index + side * count for index in range(0, count, 2) for side in (0, 1)]


def zipped(count: int, half: int) -> list[int]:
    """Order that interleaves two vectors; the first or second half of the result.

    >>> zipped(4, 0), zipped(4, 1)
    ([0, 4, 1, 5], [2, 6, 3, 7])
    """
    middle = count // 2
    return [index + side * count for index in range(half * middle, (half + 1) * middle) for side in (0, 1)]
