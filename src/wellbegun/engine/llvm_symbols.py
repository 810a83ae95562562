"""Symbols that stand for vector registers: each operation writes one line of LLVM IR."""

from dataclasses import dataclass
from typing import Any

from wellbegun.engine.symbols import BITS, NUMBER, SIGNED, UNSIGNED, Symbol, Writer, constant

_IR = {"f32": "float", "f64": "double", "i32": "i32", "u32": "i32", "i64": "i64", "u64": "i64", "b": "i1"}
_INSTRUCTIONS = {"+": "add", "-": "sub", "*": "mul", "/": "div", "&": "and", "|": "or", "^": "xor", "<<": "shl"}
_COMPARISONS = {  # of real numbers, of integers
    "<": ("olt", "lt"),
    ">": ("ogt", "gt"),
    "<=": ("ole", "le"),
    "==": ("oeq", "eq"),
    "!=": ("une", "ne"),
}


@dataclass(frozen=True, eq=False)
class Lanes(Symbol):
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

    def operand(self, other: Any) -> str:
        """Text of an operand of this type."""
        if isinstance(other, Lanes):
            assert (other.kind, other.count) == (self.kind, self.count), f"{self.kind} meets {other.kind}"
            return other.text
        one = f"{_IR[self.kind]} {constant(self.kind, other)}"
        return f"<{', '.join([one] * self.count)}>"

    def _apply(self, operator: str, first: str, second: str) -> "Lanes":
        if operator in _COMPARISONS:
            real, whole = _COMPARISONS[operator]
            sign = "" if whole in ("eq", "ne") else ("s" if self.signed else "u")
            name, kind = (f"fcmp {real}" if self.real else f"icmp {sign}{whole}"), "b"
        elif operator == ">>":
            name, kind = "ashr" if self.signed else "lshr", self.kind
        else:
            name, kind = ("f" if self.real else "") + _INSTRUCTIONS[operator], self.kind
        return self.of(kind, self.writer.emit(f"{name} {self.type} {first}, {second}"))

    @property
    def signed(self) -> bool:
        """Whether these are integers with a sign."""
        return self.kind in ("i32", "i64")

    def __neg__(self) -> "Lanes":
        return self.of(self.kind, self.writer.emit(f"fneg {self.type} {self.text}"))

    def shuffle(self, other: "Lanes", order: list[int]) -> "Lanes":
        """Entries of this and another vector in any order; the other's are counted from `count` on."""
        mask = f"<{len(order)} x i32> <{', '.join(f'i32 {index}' for index in order)}>"
        text = f"shufflevector {self.type} {self.text}, {other.type} {other.text}, {mask}"
        return self.of(self.kind, self.writer.emit(text), len(order))


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
        target = x.of(kind, "")
        return x.of(kind, x.writer.emit(f"{instruction} {x.type} {x.text} to {target.type}"))

    def bits(self, x: Lanes) -> Lanes:
        """The bits of a real number as a signed integer."""
        return self._cast("bitcast", x, BITS[x.kind])

    def number(self, x: Lanes) -> Lanes:
        """The real number with these bits."""
        return self._cast("bitcast", x, NUMBER[x.kind])

    def real(self, x: Lanes) -> Lanes:
        """A signed integer as a real number, rounded to nearest even."""
        assert x.kind in ("i32", "i64")
        return self._cast("sitofp", x, NUMBER[x.kind])

    @staticmethod
    def signed(x: Lanes) -> Lanes:
        """The same bits as a signed integer."""
        return x.of(SIGNED.get(x.kind, x.kind), x.text)

    @staticmethod
    def unsigned(x: Lanes) -> Lanes:
        """The same bits as an unsigned integer."""
        return x.of(UNSIGNED.get(x.kind, x.kind), x.text)


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
