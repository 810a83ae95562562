"""The streams of this package in JAX's own operations: the same bits within `jit`, without a call of the host.

The functions of `engine.transforms` are run on arrays of JAX, as on NumPy's; Philox and the key of a stream, which are
made of 64-bit words, are written in 32-bit ones, so that nothing depends on `jax_enable_x64`.
"""

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from wellbegun._typing import Array
from wellbegun.engine import transforms
from wellbegun.engine.parameters import PAIRED, TRANSFORMS, Parameters
from wellbegun.streams import PERSON

DTYPES = frozenset({"float32", "bfloat16", "float16"})
LARGEST = 1 << 32  # entries that 32-bit counters reach
Pair = tuple[Any, Any]  # a 64-bit word: low and high half
_U32, _I32, _F32 = jnp.uint32, jnp.int32, jnp.float32


# ---------------------------------------------------------------------- 64-bit words
def _sum(one: Pair, other: Pair) -> Pair:
    low = one[0] + other[0]
    return low, one[1] + other[1] + (low < one[0]).astype(_U32)


def _rotated(one: Pair, other: Pair, bits: int) -> Pair:
    """Of the exclusive or, to the right."""
    low, high = one[0] ^ other[0], one[1] ^ other[1]
    if bits >= 32:
        low, high = high, low
    bits %= 32
    return (low >> bits | high << 32 - bits, high >> bits | low << 32 - bits) if bits else (low, high)


def _product(word: Any, factor: int) -> Pair:
    """Of two 32-bit words."""
    low, high = _U32(factor & 0xFFFF), _U32(factor >> 16)
    middle = (word >> 16) * low + ((word & 0xFFFF) * low >> 16)
    other = (word & 0xFFFF) * high + (middle & 0xFFFF)
    return word * _U32(factor), (word >> 16) * high + (middle >> 16) + (other >> 16)


# ---------------------------------------------------------------------- the key of a stream: BLAKE2b, RFC 7693
_IV = (
    0x6A09E667F3BCC908, 0xBB67AE8584CAA73B, 0x3C6EF372FE94F82B, 0xA54FF53A5F1D36F1,
    0x510E527FADE682D1, 0x9B05688C2B3E6C1F, 0x1F83D9ABFB41BD6B, 0x5BE0CD19137E2179,
)  # fmt: skip
_ORDERS = (
    "0123456789abcdef", "ea489fd61c02b753", "b8c052fdae367194", "7931dcbe265a40f8", "905724afe1bc683d",
    "2c6a0b834d75fe19", "c51fed4a0763928b", "db7ec13950f4862a", "6fe9b308c2d714a5", "a2847615fb9e3cd0",
)  # fmt: skip
_ROUNDS = np.array([[int(place, 16) for place in _ORDERS[number % 10]] for number in range(12)])
_SETTINGS = (16 | 8 << 8 | 1 << 16 | 1 << 24).to_bytes(8, "little") + bytes(40) + PERSON.ljust(16, b"\0")


def _halves(words: Sequence[int]) -> Array:
    """64-bit words as two rows: low halves, high halves."""
    return np.array([[word & 0xFFFFFFFF for word in words], [word >> 32 for word in words]], np.uint32)


def stream_key(words: Any) -> Any:
    """As `streams.stream_key` of the seed that the first two words are; the others, in hexadecimal, are the name."""
    seed = jnp.stack([words[1], words[0]])
    text = (words[2:, None] >> np.arange(28, -1, -4, dtype=np.uint32) & 15).reshape(-1)
    name = jnp.where(text < 10, text + ord("0"), text + ord("a") - 10).reshape(-1, 4)
    name = (name << np.array([0, 8, 16, 24], np.uint32)).sum(1, dtype=_U32)
    settings = np.frombuffer(_SETTINGS, "<u8")
    state = jnp.asarray(_halves([iv ^ int(word) for iv, word in zip(_IV, settings, strict=True)]))
    blocks, ends = [seed], [128]
    for start in range(0, len(name), 32):
        blocks.append(name[start : start + 32])
        ends.append(128 + 4 * min(start + 32, len(name)))
    for block, end in zip(blocks, ends, strict=True):
        padded = jnp.zeros(32, _U32).at[: len(block)].set(block)
        state = _compressed(state, padded.reshape(16, 2).T, end, last=end == ends[-1])
    return state[:, :2].T.reshape(-1)


def _compressed(state: Any, block: Any, end: int, *, last: bool) -> Any:
    tail = list(_IV)
    tail[4] ^= end
    tail[6] ^= 2**64 - 1 if last else 0
    orders = jnp.asarray(_ROUNDS)

    def mixed(number: Any, rows: Any) -> Any:
        taken = block[:, orders[number]]
        for turned in (False, True):  # columns, then diagonals
            a, b, c, d = ((row[0], row[1]) for row in _turned(rows, turned, -1))
            first, second = (taken[:, 8 * turned + place : 8 * turned + 8 : 2] for place in (0, 1))
            for given, bits in ((first, (32, 24)), (second, (16, 63))):
                a = _sum(_sum(a, b), (given[0], given[1]))
                d = _rotated(d, a, bits[0])
                c = _sum(c, d)
                b = _rotated(b, c, bits[1])
            rows = _turned(jnp.stack([jnp.stack(pair) for pair in (a, b, c, d)]), turned, 1)
        return rows

    rows = jnp.concatenate([state, jnp.asarray(_halves(tail))], 1).reshape(2, 4, 4).swapaxes(0, 1)
    rows = jax.lax.fori_loop(0, 12, mixed, rows).swapaxes(0, 1).reshape(2, 16)
    return state ^ rows[:, :8] ^ rows[:, 8:]


def _turned(rows: Any, turned: bool, way: int) -> Any:
    return jnp.stack([jnp.roll(row, way * place, -1) for place, row in enumerate(rows)]) if turned else rows


# ---------------------------------------------------------------------- random words
def _words(key: Any, block: Any) -> tuple[Any, Any, Any, Any]:
    """The four words of each block of a stream, as `engine.reference.words` has them."""
    c0, c1, c2, c3 = block, 0 * block, key[2] + 0 * block, key[3] + 0 * block
    for number in range(10):
        k0, k1 = (key[place] + _U32(number * weyl & transforms.MASK) for place, weyl in enumerate(transforms.WEYL))
        (low, high), (low2, high2) = _product(c0, transforms.MULTIPLY[0]), _product(c2, transforms.MULTIPLY[1])
        c0, c1, c2, c3 = high2 ^ c1 ^ k0, low2, high ^ c3 ^ k1, low
    return c0, c1, c2, c3


# ---------------------------------------------------------------------- numbers
class Lanes:
    """An array that computes in its own type, operation by operation.

    Compilers join a product and a sum into one rounding, and sums of constants into one constant. So the bits of each
    number pass an integer operation that changes nothing, which cannot be known beforehand: w (w + 1) is even.
    """

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, array: Any, zero: Any) -> None:
        self.array, self.zero = array, zero

    def operand(self, other: Any) -> Any:
        """What is computed with, in this type."""
        if isinstance(other, Lanes):
            return other.array
        kind = self.array.dtype
        if kind == _F32:
            return jnp.asarray(np.array(other, np.float32))
        return jnp.asarray(np.array(int(other) & transforms.MASK, np.uint32).view(kind))

    def kept(self, found: Any) -> "Lanes":
        """What an operation gave, as it is."""
        if found.dtype == _F32:
            bits = jax.lax.bitcast_convert_type(found, _U32) | self.zero
            found = jax.lax.bitcast_convert_type(bits, _F32)
        return Lanes(found, self.zero)

    def __neg__(self) -> "Lanes":
        return Lanes(-self.array, self.zero)


def _operator(name: str, *, swapped: bool = False) -> Any:
    function = getattr(jnp, name)

    def method(self: Lanes, other: Any) -> Lanes:
        one, two = self.array, self.operand(other)
        return self.kept(function(two, one) if swapped else function(one, two))

    return method


_OPERATORS = {
    "add": "add", "sub": "subtract", "mul": "multiply", "truediv": "divide", "and": "bitwise_and", "or": "bitwise_or",
    "xor": "bitwise_xor", "lshift": "left_shift", "rshift": "right_shift", "lt": "less", "gt": "greater",
    "le": "less_equal", "eq": "equal", "ne": "not_equal",
}  # fmt: skip
for _sign, _name in _OPERATORS.items():
    setattr(Lanes, f"__{_sign}__", _operator(_name))
    if _sign in ("add", "sub", "mul"):
        setattr(Lanes, f"__r{_sign}__", _operator(_name, swapped=True))


def _as(kind: Any) -> Callable[[Lanes], Lanes]:
    return lambda lanes: Lanes(jax.lax.bitcast_convert_type(lanes.array, kind), lanes.zero)


def _where(condition: Lanes, one: Any, other: Any) -> Lanes:
    kind = next((each for each in (one, other) if isinstance(each, Lanes)), None)
    pair = (one, other) if kind is None else (kind.operand(one), kind.operand(other))
    return Lanes(jnp.where(condition.array, *pair), condition.zero)


_OPS = SimpleNamespace(
    where=_where, sqrt=lambda lanes: Lanes(jnp.sqrt(lanes.array), lanes.zero), bits=_as(_I32), number=_as(_F32),
    signed=_as(_I32), unsigned=_as(_U32), real=lambda lanes: Lanes(lanes.array.astype(_F32), lanes.zero),
)  # fmt: skip


def entries(shape: tuple[int, ...], order: Sequence[int], places: Sequence[Any], sizes: tuple[int, ...]) -> Any:
    """Numbers of the entries of a part, row-major in canonical order of axes.

    Args:
        shape: Of the whole, at most `LARGEST` entries.
        order: The axes in canonical order.
        places: Of the part along each axis, counted in parts.
        sizes: Of the part.
    """
    found, step = jnp.zeros(sizes, _U32), 1
    for axis in reversed(order):
        along = jax.lax.broadcasted_iota(_U32, sizes, axis) + places[axis].astype(_U32) * _U32(sizes[axis])
        found += along * _U32(step & transforms.MASK)
        step *= shape[axis]
    return found


def values(words: Any, parameters: Parameters, entry: Any) -> jax.Array:
    """Entries of a stream in float32, each for itself, so that a compiler shares them among devices as it likes.

    Args:
        words: Of a key of JAX, as an array of uint32.
        parameters: Of `engine.parameters.parameters_of`, in float32.
        entry: Which entries, as `entries` gives them.
    """
    drawn = _words(stream_key(words), entry >> 2)
    transform, upper, odd = getattr(transforms, TRANSFORMS[type(parameters)]), entry & 2 != 0, entry & 1 != 0
    zero = drawn[0] * drawn[0] + drawn[0] & 1
    if type(parameters) in PAIRED:
        pair = tuple(Lanes(jnp.where(upper, drawn[2 + place], drawn[place]), zero) for place in (0, 1))
        even, other = (each.array for each in transform(_OPS, pair, parameters))
        return jnp.where(odd, other, even)
    word = jnp.where(upper, jnp.where(odd, drawn[3], drawn[2]), jnp.where(odd, drawn[1], drawn[0]))
    return jnp.asarray(transform(_OPS, Lanes(word, zero), parameters).array)
