"""Rows of a stream drawn on a CUDA device, by kernels that Triton compiles from the same transforms.

A lane draws one block: four consecutive elements (two in float64). Element first + r * step + c of the stream goes to
out + offset + r * pitch + c, with 64-bit indices. What could change bits is switched off: products and sums are not
fused, division and square root are the correctly rounded ones, constants and parameters travel as bits.
"""

import importlib
import linecache
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import islice
from string import Template
from types import SimpleNamespace
from typing import Any

import numpy as np

from wellbegun._typing import Array
from wellbegun.engine import transforms, transforms64
from wellbegun.engine.parameters import PAIRED, TRANSFORMS, Parameters, parameters_of
from wellbegun.engine.regions import Region, Rows, rows_of
from wellbegun.engine.triton_symbols import TYPES, Lines, Tile, TileSymbols
from wellbegun.laws import Constant, Law, Mapped
from wellbegun.laws.precision import REAL_OF

LANES = 512  # blocks a program draws
OPTIONS = {"num_warps": 4, "enable_fp_fusion": False, "sanitize_overflow": False}
PLACES = ("offset", "pitch", "rows", "run", "first", "step", "width")  # 64-bit arguments that say what goes where
KEYS = ("k0", "k1", "k2", "k3")

_KERNEL = Template("""def fill(out, $arguments, SINGLE: tl.constexpr, ALIGNED: tl.constexpr, LANES: tl.constexpr):
    lane = tl.program_id(0).to(tl.int64) * LANES + tl.arange(0, LANES)
    if SINGLE:
        row = lane * 0
    else:
        row = lane // width
    column = lane - row * width
    element = first.to(tl.int64) + row * step
    block = (element // $each + column).to(tl.uint64, bitcast=True)
$code
    entry = tl.arange(0, $each)[None, :]
    if ALIGNED:  # whole blocks only, and every address a multiple of a block's size
        place = (offset // $each + row * (pitch // $each) + column) * $each
        keep = (row < rows) & (column < run // $each)
        tl.store(out + (place[:, None] + entry), $values, mask=keep[:, None])
    else:
        start = column * $each - element % $each
        place = offset + row * pitch + start
        inside = (start[:, None] + entry >= 0) & (start[:, None] + entry < run) & (row < rows)[:, None]
        tl.store(out + (place[:, None] + entry), $values, mask=inside)
""")


def draw(out: Any, work: Iterable[Rows], key: tuple[int, ...], parameters: Parameters, dtype: str) -> None:
    """Write rows of a stream. The current device must be the one of `out`.

    Args:
        out: Tensor whose memory begins with the destination, seen as integers of the dtype's size.
        work: What goes where, counted in items of `out`.
        key, parameters, dtype: As for `reference.fill_rows`.
    """
    kind: Any = type(parameters)
    fill = kernel(kind, dtype)
    options = OPTIONS if isinstance(fill, importlib.import_module("triton").JITFunction) else {}  # else interpreted
    for programs, values in launches(work, key, parameters, dtype):
        fill[(programs,)](out, *values, **options)


def kernels(law: Law, dtype: str, *, whole: bool = True) -> list[tuple[Parameters, str]] | None:
    """Parameters and dtypes of the kernels that draw a law; None if none can, because entries depend on each other.

    `whole`: whether all of the parameter is drawn. Pieces are rows counted from the first, so a shard of a law that has
    some is drawn elsewhere.
    """
    if law.pieces:
        found = [kernels(piece.law, dtype) for piece in law.pieces] if whole else [None]
    elif isinstance(law, Constant):
        return []
    elif isinstance(law, Mapped) or not law.independent:
        return None
    elif dtype in REAL_OF:
        found = [kernels(law.component(side), REAL_OF[dtype]) for side in ("real", "imag")]
    else:
        return [(parameters_of(law, dtype), dtype)]
    return None if None in found else [kernel for some in found for kernel in some or ()]


def work_of(shape: tuple[int, ...], region: Region, strides: tuple[int, ...], most: int) -> list[Rows] | None:
    """What to launch; None if rows are not contiguous, more than `most`, or share memory."""
    rows = rows_of(shape, region, strides) if 0 not in strides else None
    found = None if rows is None else list(islice(rows, most + 1))
    return None if found is None or len(found) > most else found


def launches(
    work: Iterable[Rows], key: tuple[int, ...], parameters: Parameters, dtype: str
) -> Iterator[tuple[int, tuple[int, ...]]]:
    """Number of programs and arguments after `out`, for each launch."""
    each = 2 if dtype == "float64" else 4
    numbers = (*_signed(np.array(key, np.uint32)), *_signed(np.array(parameters, type(parameters[0]))))
    for rows in work:
        single = rows.rows == 1
        jumps = (0, 0) if single else (rows.pitch, rows.step)
        aligned = all(number % each == 0 for number in (rows.offset, rows.run, rows.first, *jumps))
        width = rows.run // each if aligned else (rows.run + each - 2) // each + 1  # blocks a run can touch
        if programs := -(-rows.rows * width // LANES):
            yield programs, (*rows, width, *numbers, single, aligned, LANES)


def _signed(numbers: Array) -> list[int]:
    """The bits as signed integers: these have the same type whatever the top bit."""
    return [int(number) for number in numbers.view(f"i{numbers.itemsize}")]


@cache
def kernel(parameters: type, dtype: str) -> Any:
    """The kernel of one kind of parameters and one dtype, as Triton's object; compiled when it is first launched."""
    triton = importlib.import_module("triton")
    text, name = source(parameters, dtype), f"<wellbegun {TRANSFORMS[parameters]} {dtype}>"
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)  # where `inspect` looks for source
    space: dict[str, Any] = {"__name__": __name__, "tl": importlib.import_module("triton.language")}
    exec(compile(text, name, "exec", dont_inherit=True), space)
    return triton.jit(space["fill"], do_not_specialize=arguments(parameters, dtype).keys())


def arguments(parameters: type, dtype: str) -> dict[str, str]:
    """Names and kinds of the numbers a kernel takes; floats as the signed integers with their bits."""
    bits = "i64" if dtype == "float64" else "i32"
    fields: tuple[str, ...] = parameters._fields  # type: ignore[attr-defined]
    return {**dict.fromkeys(PLACES, "i64"), **dict.fromkeys(KEYS, "i32"), **{f"p_{field}": bits for field in fields}}


def source(parameters: type, dtype: str) -> str:
    """Text of the kernel `fill`."""
    lines = Lines()
    values = _values(lines, parameters, dtype)
    declared = ", ".join(f"{name}: {TYPES[kind]}" for name, kind in arguments(parameters, dtype).items())
    return _KERNEL.substitute(
        arguments=declared,
        each=2 if dtype == "float64" else 4,
        code="\n".join(f"  {line}" for line in lines.lines),
        values=values.text,
    )


def _values(lines: Lines, parameters: type, dtype: str) -> Tile:
    """Lines that turn `block` into the tile of stored values, one row for each block."""
    wide = dtype == "float64"
    library = transforms64 if wide else transforms
    transform, ops = getattr(library, TRANSFORMS[parameters]), TileSymbols()
    fields = [name for name in arguments(parameters, dtype) if name.startswith("p_")]
    real = {name.removeprefix("p_"): _parameter(lines, name, "f64" if wide else "f32") for name in fields}
    words = _words(lines, wide)
    if parameters in PAIRED:
        value = _joined(transform(ops, _pair(words), SimpleNamespace(**real)))
    else:
        value = transform(ops, _joined(_pair(words)), SimpleNamespace(**real))
    if not wide and dtype != "float32":
        rounding = transforms.to_bfloat16 if dtype == "bfloat16" else transforms.to_float16
        return rounding(ops, value).to("i16")
    return ops.bits(value)


def _parameter(lines: Lines, name: str, kind: str) -> Tile:
    bits = Tile(lines, "i64" if kind == "f64" else "i32", name)
    return bits.to(bits.kind).view(kind)  # the interpreter takes small numbers for 32-bit ones


def _words(lines: Lines, wide: bool) -> list[Tile]:
    """Four 32-bit words of each block, or two 64-bit ones."""
    key = [Tile(lines, "i32", name).view("u32").to("u64") for name in KEYS]
    rounds = []
    for number in range(10):
        bumps = [(weyl * number) & transforms.MASK for weyl in transforms.WEYL]
        rounds.append(tuple((word + bump) & transforms.MASK for word, bump in zip(key, bumps, strict=False)))
    block = Tile(lines, "u64", "block")
    words = transforms.philox((block & transforms.MASK, block >> 32, *key[2:]), rounds)
    if wide:  # low half first
        return [(words[i] & transforms.MASK) | (words[i + 1] << 32) for i in (0, 2)]
    return [word.to("u32") for word in words]


def _pair(words: list[Tile]) -> tuple[Tile, Tile]:
    """Words of even and of odd elements, for transforms that take two."""
    if len(words) == 2:
        return words[0], words[1]
    first, second = (words[i].of("u32", f"tl.join({words[i].text}, {words[i + 2].text})") for i in (0, 1))
    return first, second


def _joined(pair: tuple[Tile, Tile]) -> Tile:
    """Even and odd elements of each block -> its elements in order."""
    even, odd = pair
    each = 2 if even.kind in ("f64", "u64") else 4
    return even.of(even.kind, f"tl.reshape(tl.join({even.text}, {odd.text}), (LANES, {each}))")
