"""The loops around the transforms, as LLVM IR.

A kernel writes rows of a strided destination: element first + r * step + c of the stream goes to out + r * pitch + c.
One step draws as many blocks as a vector has 64-bit lanes. A row begins and ends with a step into scratch memory of
which a part is copied; between them, steps go straight to the destination. The streaming variant writes whole aligned
cache lines past the caches, for destinations larger than these.

The kernel for short runs lists the blocks that many runs touch, draws those into scratch memory, and copies the runs
out of it: a run that begins or ends within a block then costs that block, not a whole step.
"""

from collections.abc import Callable
from string import Template
from types import ModuleType, SimpleNamespace
from typing import Any, NamedTuple

from wellbegun.engine import transforms, transforms64
from wellbegun.engine.llvm_symbols import Lanes, Symbols, even_lanes, zipped
from wellbegun.engine.parameters import PAIRED, TRANSFORMS
from wellbegun.engine.symbols import Writer

LINE = 64  # bytes of a cache line
SHORT = 1 << 10  # elements in a run from which whole steps waste little
_LISTED = 1 << 11  # blocks drawn at once for short runs: list and values fit in the first cache
STORED = {"float32": ("float", 4), "float64": ("double", 8), "float16": ("i16", 2), "bfloat16": ("i16", 2)}


class Shape(NamedTuple):
    """How a kernel uses the machine: bytes of one vector, and its variant.

    "wide" writes long runs, "stream" writes them past the caches, "short" writes runs below `SHORT` elements.

    A vector may be longer than a register: LLVM then splits each operation, and the halves run side by side. Four
    registers at once hide the latency of the long chains of dependent operations in Philox and the transforms.
    """

    width: int
    variant: str

    @property
    def stream(self) -> bool:
        """Whether whole cache lines go past the caches."""
        return self.variant == "stream"


def module(parameters: type, dtype: str, shape: Shape) -> str:
    """IR of the kernel @fill for one kind of parameters and one dtype."""
    library: ModuleType = transforms64 if dtype == "float64" else transforms
    transform = getattr(library, TRANSFORMS[parameters])
    step = _Step(transform, parameters in PAIRED, parameters, dtype, shape.width)
    bodies = [_short(step)] if shape.variant == "short" else [_group(step), _fill(step, shape)]
    return "\n\n".join([*bodies, *sorted(step.ops.intrinsics)]) + "\n"


class _Step:
    """Emits one step: blocks -> vectors of values in the order of the destination."""

    def __init__(self, transform: Callable[..., Any], paired: bool, parameters: type, dtype: str, width: int) -> None:
        self.transform, self.paired, self.parameters, self.dtype = transform, paired, parameters, dtype
        self.blocks, self.wide = width // 8, dtype == "float64"
        self.real = "f64" if self.wide else "f32"
        self.lanes = self.blocks if self.wide else 2 * self.blocks
        self.elements = 2 * self.lanes
        self.stored, self.size = STORED[dtype]
        self.ops = Symbols()
        self.per_block = 2 if self.wide else 4
        shift = self.per_block.bit_length() - 1
        self.shared = {"blocks": self.blocks, "stored": self.stored, "size": self.size, "shift": shift}
        self.shared["lane_mask"] = self.per_block - 1

    def constants(self, writer: Writer) -> tuple[Any, Lanes, list[tuple[Lanes, Lanes]], Lanes, Lanes]:
        """Load what does not change: parameters, lane numbers, round keys, and the upper counter words."""
        fields = self.parameters._fields  # type: ignore[attr-defined]
        scalar = "double" if self.wide else "float"
        values = {}
        for index, field in enumerate(fields):
            pointer = writer.emit(f"getelementptr {scalar}, ptr %params, i64 {index}")
            values[field] = self._splat(writer, self.real, self.lanes, writer.emit(f"load {scalar}, ptr {pointer}"))
        keys = [self._key_word(writer, index) for index in range(4)]
        rounds = [tuple(self._round_key(writer, keys[word], word, number) for word in (0, 1)) for number in range(10)]
        upper = [self._splat(writer, "u64", self.blocks, keys[word]) for word in (2, 3)]
        ramp = f"<{', '.join(f'i64 {index}' for index in range(self.blocks))}>"
        return SimpleNamespace(**values), Lanes(writer, "u64", self.blocks, ramp), rounds, *upper  # type: ignore[return-value]

    def _key_word(self, writer: Writer, index: int) -> str:
        pointer = writer.emit(f"getelementptr i32, ptr %key, i64 {index}")
        return writer.emit(f"zext i32 {writer.emit(f'load i32, ptr {pointer}')} to i64")

    def _round_key(self, writer: Writer, word: str, side: int, number: int) -> Lanes:
        bump = (transforms.WEYL[side] * number) & transforms.MASK
        total = writer.emit(f"add i64 {word}, {bump}")
        return self._splat(writer, "u64", self.blocks, writer.emit(f"and i64 {total}, {transforms.MASK}"))

    def _splat(self, writer: Writer, kind: str, count: int, scalar: str) -> Lanes:
        empty = Lanes(writer, kind, count, "poison")
        single = writer.emit(f"insertelement {empty.type} poison, {empty.type.split(' x ')[1][:-1]} {scalar}, i64 0")
        zeros = f"<{count} x i32> zeroinitializer"
        return empty.of(kind, writer.emit(f"shufflevector {empty.type} {single}, {empty.type} poison, {zeros}"))

    def following(self, writer: Writer, block: str, constants: tuple[Any, ...]) -> Lanes:
        """Numbers of the blocks from `block` on."""
        return self._splat(writer, "u64", self.blocks, block) + constants[1]

    def listed(self, writer: Writer, pointer: str) -> Lanes:
        """Numbers of the blocks that a list in memory gives."""
        plain = Lanes(writer, "u64", self.blocks, "")
        return plain.of("u64", writer.emit(f"load {plain.type}, ptr {pointer}, align 8"))

    def values(self, index: Lanes, constants: tuple[Any, ...]) -> list[Lanes]:
        """Vectors of stored values of the blocks with these numbers, in order."""
        p, _, rounds, upper0, upper1 = constants
        words = transforms.philox((index & transforms.MASK, index >> 32, upper0, upper1), rounds)
        halves = [self._as(word, "u32", 2 * self.blocks) for word in words]
        even, odd = ((0, 1), (2, 3)) if self.wide else ((0, 2), (1, 3))
        pair = [halves[i].shuffle(halves[j], even_lanes(2 * self.blocks)) for i, j in (even, odd)]
        if self.wide:  # two 32-bit words make one
            pair = [self._as(half, "u64", self.blocks) for half in pair]
        if self.paired:
            drawn = self.transform(self.ops, tuple(pair), p)
        else:
            drawn = [self.transform(self.ops, word, p) for word in pair]
        return self._stored(*drawn)

    def _as(self, x: Lanes, kind: str, count: int) -> Lanes:
        target = x.of(kind, "", count)
        return x.of(kind, x.writer.emit(f"bitcast {x.type} {x.text} to {target.type}"), count)

    def _stored(self, even: Lanes, odd: Lanes) -> list[Lanes]:
        """Values of even and odd elements -> vectors in the order of memory; 16-bit ones share a lane as they are."""
        if self.size > 2:
            return [even.shuffle(odd, zipped(self.lanes, half)) for half in (0, 1)]
        rounding = transforms.to_bfloat16 if self.dtype == "bfloat16" else transforms.to_float16
        return [rounding(self.ops, even) | (rounding(self.ops, odd) << 16)]


# ---------------------------------------------------------------------- loops
_GROUP = Template("""define internal void @group(i64 %block, ptr %key, ptr %params, ptr %scratch) noinline {
$code
  ret void
}""")

_FILL = Template("""define void
@fill(ptr %out, i64 %pitch, i64 %rows, i64 %run, i64 %first, i64 %step, ptr %key, ptr %params) {
entry:
  %scratch = alloca [$elements x $stored], align 64
$constants
  br label %row
row:
  %r = phi i64 [ 0, %entry ], [ %r.next, %done ]
  %p = phi ptr [ %out, %entry ], [ %p.next, %done ]
  %e = phi i64 [ %first, %entry ], [ %e.next, %done ]
  %lane = and i64 %e, $lane_mask
  %block = lshr i64 %e, $shift
  %address = ptrtoint ptr %p to i64
  %beyond = and i64 %address, $line_mask
  %either = or i64 %lane, %beyond
  %ragged = icmp ne i64 %either, 0
  br i1 %ragged, label %head, label %body
head:
  %bytes = sub i64 $head_bytes, $head_beyond
  %room.all = udiv i64 %bytes, $size
  %room = sub i64 %room.all, $head_lane
$copy_head
  %left.head = sub i64 %run, %head.count
  %p.head = getelementptr $stored, ptr %p, i64 %head.count
  %e.head = add i64 %e, %head.count
  %block.head = lshr i64 %e.head, $shift
  br label %body
body:
  %left.body = phi i64 [ %run, %row ], [ %left.head, %head.end ]
  %p.body = phi ptr [ %p, %row ], [ %p.head, %head.end ]
  %block.body = phi i64 [ %block, %row ], [ %block.head, %head.end ]
  br label %main
main:
  %left = phi i64 [ %left.body, %body ], [ %left.main, %whole ]
  %q = phi ptr [ %p.body, %body ], [ %q.main, %whole ]
  %b = phi i64 [ %block.body, %body ], [ %b.main, %whole ]
  %enough = icmp uge i64 %left, $elements
  br i1 %enough, label %whole, label %tail
whole:
$code
  %left.main = sub i64 %left, $elements
  %q.main = getelementptr $stored, ptr %q, i64 $elements
  %b.main = add i64 %b, $blocks
  br label %main
tail:
  %empty = icmp eq i64 %left, 0
  br i1 %empty, label %done, label %tail.work
tail.work:
$copy_tail
  br label %done
done:
  %r.next = add i64 %r, 1
  %p.next = getelementptr i8, ptr %p, i64 %pitch
  %e.next = add i64 %e, %step
  %again = icmp ult i64 %r.next, %rows
  br i1 %again, label %row, label %finish
finish:
  ret void
}

!0 = !{i32 1}""")

_SHORT = Template("""declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)

define void @fill(ptr %out, i64 %pitch, i64 %rows, i64 %run, i64 %first, i64 %step, ptr %key, ptr %params) {
entry:
  %list = alloca [$listed x i64], align 64
  %scratch = alloca [$drawn x $stored], align 64
  %last = sub i64 %run, 1
  %bytes = mul i64 %run, $size
$constants
  br label %batch
batch:
  %r = phi i64 [ 0, %entry ], [ %r.list, %copied ]
  %p = phi ptr [ %out, %entry ], [ %p.copy, %copied ]
  %e = phi i64 [ %first, %entry ], [ %e.list, %copied ]
  br label %list.row
list.row:
  %r.list = phi i64 [ %r, %batch ], [ %r.next, %list.done ]
  %e.list = phi i64 [ %e, %batch ], [ %e.next, %list.done ]
  %n = phi i64 [ 0, %batch ], [ %n.next, %list.done ]
  %b.first = lshr i64 %e.list, $shift
  %e.last = add i64 %e.list, %last
  %b.last = lshr i64 %e.last, $shift
  %span = sub i64 %b.last, %b.first
  %n.last = add i64 %n, %span
  %n.next = add i64 %n.last, 1
  %fits = icmp ule i64 %n.next, $capacity
  %more = icmp ult i64 %r.list, %rows
  %take = and i1 %fits, %more
  br i1 %take, label %list.blocks, label %draw
list.blocks:
  %i = phi i64 [ 0, %list.row ], [ %i.next, %list.blocks ]
  %b = add i64 %b.first, %i
  %at = add i64 %n, %i
  %slot = getelementptr i64, ptr %list, i64 %at
$numbers
  %i.next = add i64 %i, $blocks
  %i.more = icmp ule i64 %i.next, %span
  br i1 %i.more, label %list.blocks, label %list.done
list.done:
  %r.next = add i64 %r.list, 1
  %e.next = add i64 %e.list, %step
  br label %list.row
draw:
  %s = phi i64 [ 0, %list.row ], [ %s.next, %draw ]
  %chosen = getelementptr i64, ptr %list, i64 %s
  %s.element = shl i64 %s, $shift
  %q = getelementptr $stored, ptr %scratch, i64 %s.element
$code
  %s.next = add i64 %s, $blocks
  %s.more = icmp ult i64 %s.next, %n
  br i1 %s.more, label %draw, label %copy
copy:
  %r.copy = phi i64 [ %r, %draw ], [ %r.after, %copy ]
  %e.copy = phi i64 [ %e, %draw ], [ %e.after, %copy ]
  %p.copy.row = phi ptr [ %p, %draw ], [ %p.copy, %copy ]
  %m = phi i64 [ 0, %draw ], [ %m.after, %copy ]
  %lane = and i64 %e.copy, $lane_mask
  %from.block = shl i64 %m, $shift
  %from.element = add i64 %from.block, %lane
  %from = getelementptr $stored, ptr %scratch, i64 %from.element
  call void @llvm.memcpy.p0.p0.i64(ptr %p.copy.row, ptr %from, i64 %bytes, i1 false)
  %m.first = lshr i64 %e.copy, $shift
  %e.copy.last = add i64 %e.copy, %last
  %m.last = lshr i64 %e.copy.last, $shift
  %m.span = sub i64 %m.last, %m.first
  %m.end = add i64 %m, %m.span
  %m.after = add i64 %m.end, 1
  %r.after = add i64 %r.copy, 1
  %e.after = add i64 %e.copy, %step
  %p.copy = getelementptr i8, ptr %p.copy.row, i64 %pitch
  %copy.more = icmp ult i64 %r.after, %r.list
  br i1 %copy.more, label %copy, label %copied
copied:
  %again = icmp ult i64 %r.list, %rows
  br i1 %again, label %batch, label %finish
finish:
  ret void
}""")

# draw one step into scratch and copy min(room, left) of it from `start` on; leaves %tag.count
_COPY = Template("""  call void @group(i64 $block, ptr %key, ptr %params, ptr %scratch)
  %$tag.few = icmp ult i64 $left, $room
  %$tag.count = select i1 %$tag.few, i64 $left, i64 $room
  %$tag.none = icmp eq i64 %$tag.count, 0
  br i1 %$tag.none, label %$tag.end, label %$tag.loop
$tag.loop:
  %$tag.i = phi i64 [ 0, %$origin ], [ %$tag.next, %$tag.loop ]
  %$tag.from.i = add i64 %$tag.i, $start
  %$tag.from = getelementptr $stored, ptr %scratch, i64 %$tag.from.i
  %$tag.value = load $stored, ptr %$tag.from
  %$tag.to = getelementptr $stored, ptr $pointer, i64 %$tag.i
  store $stored %$tag.value, ptr %$tag.to, align 1
  %$tag.next = add i64 %$tag.i, 1
  %$tag.more = icmp ult i64 %$tag.next, %$tag.count
  br i1 %$tag.more, label %$tag.loop, label %$tag.end
$tag.end:""")


def _group(step: _Step) -> str:
    """@group: one step into scratch memory."""
    writer = Writer()
    constants = step.constants(writer)
    _store_step(writer, step, step.following(writer, "%block", constants), "%scratch", constants, step.size, "")
    return _GROUP.substitute(code="\n".join(writer.lines))


def _short(step: _Step) -> str:
    """@fill: short rows, many of them drawn at once."""
    writer = Writer()
    constants = step.constants(writer)
    first = len(writer.lines)
    numbers = step.following(writer, "%b", constants)
    writer.do(f"store {numbers.type} {numbers.text}, ptr %slot, align 8")
    second = len(writer.lines)
    _store_step(writer, step, step.listed(writer, "%chosen"), "%q", constants, step.size, "")
    return _SHORT.substitute(
        step.shared,
        capacity=_LISTED,
        listed=_LISTED + 2 * step.blocks,  # vectors may write and read beyond the last number
        drawn=(_LISTED + step.blocks) * step.per_block,
        constants="\n".join(writer.lines[:first]),
        numbers="\n".join(writer.lines[first:second]),
        code="\n".join(writer.lines[second:]),
    )


def _fill(step: _Step, shape: Shape) -> str:
    """@fill: rows, each as head, whole steps and tail."""
    writer = Writer()
    constants = step.constants(writer)
    before = len(writer.lines)
    align, past = (LINE, ", !nontemporal !0") if shape.stream else (step.size, "")
    _store_step(writer, step, step.following(writer, "%b", constants), "%q", constants, align, past)
    head = {"tag": "head", "origin": "head", "block": "%block", "start": "%lane", "room": "%room", "left": "%run"}
    tail = {"tag": "tail", "origin": "tail.work", "block": "%b", "start": "0", "room": step.elements, "left": "%left"}
    return _FILL.substitute(
        step.shared,
        elements=step.elements,
        line_mask=LINE - 1 if shape.stream else 0,
        head_bytes=LINE if shape.stream else step.elements * step.size,
        head_beyond="%beyond" if shape.stream else 0,
        head_lane=0 if shape.stream else "%lane",
        constants="\n".join(writer.lines[:before]),
        code="\n".join(writer.lines[before:]),
        copy_head=_COPY.substitute(head, pointer="%p", stored=step.stored),
        copy_tail=_COPY.substitute(tail, pointer="%q", stored=step.stored),
    )


def _store_step(
    writer: Writer, step: _Step, blocks: Lanes, pointer: str, constants: tuple[Any, ...], align: int, past: str
) -> None:
    """Draw one step and store its vectors from `pointer` on."""
    for index, vector in enumerate(step.values(blocks, constants)):
        size = vector.count * (8 if step.wide else 4)
        place = writer.emit(f"getelementptr i8, ptr {pointer}, i64 {index * size}")
        writer.do(f"store {vector.type} {vector.text}, ptr {place}, align {min(align, size)}{past}")
