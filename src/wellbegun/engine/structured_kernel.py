"""The compiled form of `structured.rows_reference`: a group of rows at once, one in each lane of a vector.

A group lives in memory as (size, lanes): permuting coordinates moves whole vectors, and the butterflies of the Hadamard
transform need no shuffles. Two stages are done in one sweep. At the end, blocks of the group are transposed and written
to the rows of the destination.
"""

from string import Template

from wellbegun.engine.llvm_symbols import Lanes, Symbols, zipped
from wellbegun.engine.symbols import Writer

WIDTH = 64  # bytes of a vector; LLVM splits it where registers are shorter


def lanes_of(dtype: str) -> int:
    """Rows in a group."""
    return WIDTH // (8 if dtype == "float64" else 4)


def module(dtype: str) -> str:
    """IR of @fill: groups of rows of a square matrix, in float32 or float64."""
    kind, scalar, size = ("f64", "double", 8) if dtype == "float64" else ("f32", "float", 4)
    lanes = lanes_of(dtype)
    writer = Writer()
    start = _start(writer, kind, lanes)
    cut = len(writer.lines)
    _transpose(writer, kind, lanes, size)
    return _MODULE.substitute(
        vector=f"<{lanes} x {scalar}>",
        indices=f"<{lanes} x i32>",
        scalar=scalar,
        size=size,
        lanes=lanes,
        zeros=f"<{lanes} x i32> zeroinitializer",
        loads="\n".join(_load(index, f"<{lanes} x {scalar}>") for index in range(lanes)),
        start="\n".join(writer.lines[:cut]),
        started=start,
        transpose="\n".join(writer.lines[cut:]),
    )


def _start(writer: Writer, kind: str, lanes: int) -> str:
    """Entry %j of the first transform of a unit vector: +-sign within its block, 0 outside. Returns its name."""
    ops = Symbols()
    offset, length, place = (Lanes(writer, "u32", lanes, name) for name in ("%offset", "%length", "%place"))
    sign = Lanes(writer, kind, lanes, "%sign")
    distance = Lanes(writer, "u32", lanes, "%column") - offset
    parity = distance & place
    for shift in (16, 8, 4, 2, 1):
        parity = parity ^ (parity >> shift)
    value = ops.where((parity & 1) != 0, -sign, sign)
    return ops.where(distance < length, value, 0.0 * sign).text


def _transpose(writer: Writer, kind: str, lanes: int, size: int) -> None:
    """Store vectors (columns) %c0, %c1, ... as rows, by rounds of perfect shuffles."""
    vectors = [Lanes(writer, kind, lanes, f"%c{index}") for index in range(lanes)]
    half = lanes // 2
    while half:
        pairs = zip(vectors[: lanes // 2], vectors[lanes // 2 :], strict=True)
        vectors = [one.shuffle(two, zipped(lanes, side)) for one, two in pairs for side in (0, 1)]
        half //= 2
    for index, vector in enumerate(vectors):
        row = writer.emit(f"getelementptr i8, ptr %out.block, i64 {writer.emit(f'mul i64 %pitch, {index}')}")
        writer.do(f"store {vector.type} {vector.text}, ptr {row}, align {size}")


def _load(index: int, vector: str) -> str:
    return f"""  %o{index} = add i64 %o, {index}
  %l{index} = getelementptr {vector}, ptr %from, i64 %o{index}
  %c{index} = load {vector}, ptr %l{index}, align 64"""


_MODULE = Template("""
define void @fill(ptr %out, i64 %pitch, i64 %groups, i64 %n, i64 %passes, i64 %blocks, ptr %rows, ptr %table) {
entry:
  %t0 = getelementptr ptr, ptr %table, i64 0
  %orders = load ptr, ptr %t0
  %t1 = getelementptr ptr, ptr %table, i64 1
  %signs = load ptr, ptr %t1
  %t2 = getelementptr ptr, ptr %table, i64 2
  %starts = load ptr, ptr %t2
  %t3 = getelementptr ptr, ptr %table, i64 3
  %lengths = load ptr, ptr %t3
  %t4 = getelementptr ptr, ptr %table, i64 4
  %memory0 = load ptr, ptr %t4
  %t5 = getelementptr ptr, ptr %table, i64 5
  %memory1 = load ptr, ptr %t5
  br label %group
group:
  %g = phi i64 [ 0, %entry ], [ %g.next, %group.end ]
  %r0 = getelementptr $indices, ptr %rows, i64 %g
  %place = load $indices, ptr %r0, align 4
  %u1 = getelementptr ptr, ptr %table, i64 6
  %offsets = load ptr, ptr %u1
  %r1 = getelementptr $indices, ptr %offsets, i64 %g
  %offset = load $indices, ptr %r1, align 4
  %u2 = getelementptr ptr, ptr %table, i64 7
  %spans = load ptr, ptr %u2
  %r2 = getelementptr $indices, ptr %spans, i64 %g
  %length = load $indices, ptr %r2, align 4
  %u3 = getelementptr ptr, ptr %table, i64 8
  %firsts = load ptr, ptr %u3
  %r3 = getelementptr $vector, ptr %firsts, i64 %g
  %sign = load $vector, ptr %r3, align $size
  br label %start
start:
  %j = phi i64 [ 0, %group ], [ %j.next, %start ]
  %j32 = trunc i64 %j to i32
  %column.one = insertelement $indices poison, i32 %j32, i64 0
  %column = shufflevector $indices %column.one, $indices poison, $zeros
$start
  %start.to = getelementptr $vector, ptr %memory0, i64 %j
  store $vector $started, ptr %start.to, align 64
  %j.next = add i64 %j, 1
  %start.more = icmp ult i64 %j.next, %n
  br i1 %start.more, label %start, label %pass
pass:
  %k = phi i64 [ 0, %start ], [ %k.next, %pass.end ]
  %from = phi ptr [ %memory0, %start ], [ %to, %pass.end ]
  %to = phi ptr [ %memory1, %start ], [ %from, %pass.end ]
  %done = icmp eq i64 %k, %passes
  br i1 %done, label %output, label %permute
permute:
  %i = phi i64 [ 0, %pass ], [ %i.next, %permute ]
  %table.base = mul i64 %k, %n
  %table.i = add i64 %table.base, %i
  %order.p = getelementptr i32, ptr %orders, i64 %table.i
  %order.32 = load i32, ptr %order.p
  %order = zext i32 %order.32 to i64
  %sign.p = getelementptr $scalar, ptr %signs, i64 %table.i
  %sign.one = load $scalar, ptr %sign.p
  %sign.v = insertelement $vector poison, $scalar %sign.one, i64 0
  %sign.all = shufflevector $vector %sign.v, $vector poison, $zeros
  %take.p = getelementptr $vector, ptr %from, i64 %order
  %take = load $vector, ptr %take.p, align 64
  %flipped = fmul $vector %take, %sign.all
  %put.p = getelementptr $vector, ptr %to, i64 %i
  store $vector %flipped, ptr %put.p, align 64
  %i.next = add i64 %i, 1
  %permute.more = icmp ult i64 %i.next, %n
  br i1 %permute.more, label %permute, label %block
block:
  %b = phi i64 [ 0, %permute ], [ %b.next, %block.end ]
  %start.p = getelementptr i64, ptr %starts, i64 %b
  %block.start = load i64, ptr %start.p
  %length.p = getelementptr i64, ptr %lengths, i64 %b
  %block.length = load i64, ptr %length.p
  %base = getelementptr $vector, ptr %to, i64 %block.start
  br label %stage
stage:
  %h = phi i64 [ 1, %block ], [ %h.4, %four.end ]
  %h.4 = shl i64 %h, 2
  %fits = icmp ule i64 %h.4, %block.length
  br i1 %fits, label %four, label %last
four:
  %q = phi i64 [ 0, %stage ], [ %q.next, %four.next ]
  br label %four.inner
four.inner:
  %t = phi i64 [ 0, %four ], [ %t.next, %four.inner ]
  %a0 = add i64 %q, %t
  %a1 = add i64 %a0, %h
  %a2 = add i64 %a1, %h
  %a3 = add i64 %a2, %h
  %p0 = getelementptr $vector, ptr %base, i64 %a0
  %p1 = getelementptr $vector, ptr %base, i64 %a1
  %p2 = getelementptr $vector, ptr %base, i64 %a2
  %p3 = getelementptr $vector, ptr %base, i64 %a3
  %x0 = load $vector, ptr %p0, align 64
  %x1 = load $vector, ptr %p1, align 64
  %x2 = load $vector, ptr %p2, align 64
  %x3 = load $vector, ptr %p3, align 64
  %y0 = fadd $vector %x0, %x1
  %y1 = fsub $vector %x0, %x1
  %y2 = fadd $vector %x2, %x3
  %y3 = fsub $vector %x2, %x3
  %z0 = fadd $vector %y0, %y2
  %z1 = fadd $vector %y1, %y3
  %z2 = fsub $vector %y0, %y2
  %z3 = fsub $vector %y1, %y3
  store $vector %z0, ptr %p0, align 64
  store $vector %z1, ptr %p1, align 64
  store $vector %z2, ptr %p2, align 64
  store $vector %z3, ptr %p3, align 64
  %t.next = add i64 %t, 1
  %t.more = icmp ult i64 %t.next, %h
  br i1 %t.more, label %four.inner, label %four.next
four.next:
  %q.next = add i64 %q, %h.4
  %q.more = icmp ult i64 %q.next, %block.length
  br i1 %q.more, label %four, label %four.end
four.end:
  br label %stage
last:
  %left = icmp ult i64 %h, %block.length
  br i1 %left, label %two, label %block.end
two:
  %w = phi i64 [ 0, %last ], [ %w.next, %two ]
  %w1 = add i64 %w, %h
  %e0 = getelementptr $vector, ptr %base, i64 %w
  %e1 = getelementptr $vector, ptr %base, i64 %w1
  %f0 = load $vector, ptr %e0, align 64
  %f1 = load $vector, ptr %e1, align 64
  %s0 = fadd $vector %f0, %f1
  %s1 = fsub $vector %f0, %f1
  store $vector %s0, ptr %e0, align 64
  store $vector %s1, ptr %e1, align 64
  %w.next = add i64 %w, 1
  %w.more = icmp ult i64 %w.next, %h
  br i1 %w.more, label %two, label %block.end
block.end:
  %b.next = add i64 %b, 1
  %b.more = icmp ult i64 %b.next, %blocks
  br i1 %b.more, label %block, label %pass.end
pass.end:
  %k.next = add i64 %k, 1
  br label %pass
output:
  %group.bytes = mul i64 %g, $lanes
  %row.bytes = mul i64 %group.bytes, %pitch
  %out.rows = getelementptr i8, ptr %out, i64 %row.bytes
  br label %wide
wide:
  %o = phi i64 [ 0, %output ], [ %o.next, %wide.work ]
  %o.next = add i64 %o, $lanes
  %o.fits = icmp ule i64 %o.next, %n
  br i1 %o.fits, label %wide.work, label %narrow
wide.work:
$loads
  %out.block = getelementptr $scalar, ptr %out.rows, i64 %o
$transpose
  br label %wide
narrow:
  %m = phi i64 [ %o, %wide ], [ %m.next, %narrow.next ]
  %m.more = icmp ult i64 %m, %n
  br i1 %m.more, label %narrow.work, label %group.end
narrow.work:
  %c = phi i64 [ 0, %narrow ], [ %c.next, %narrow.work ]
  %cell.base = mul i64 %m, $lanes
  %cell = add i64 %cell.base, %c
  %cell.p = getelementptr $scalar, ptr %from, i64 %cell
  %cell.value = load $scalar, ptr %cell.p
  %cell.row = mul i64 %c, %pitch
  %cell.line = getelementptr i8, ptr %out.rows, i64 %cell.row
  %cell.to = getelementptr $scalar, ptr %cell.line, i64 %m
  store $scalar %cell.value, ptr %cell.to, align $size
  %c.next = add i64 %c, 1
  %c.more = icmp ult i64 %c.next, $lanes
  br i1 %c.more, label %narrow.work, label %narrow.next
narrow.next:
  %m.next = add i64 %m, 1
  br label %narrow
group.end:
  %g.next = add i64 %g, 1
  %g.more = icmp ult i64 %g.next, %groups
  br i1 %g.more, label %group, label %finish
finish:
  ret void
}
""")
