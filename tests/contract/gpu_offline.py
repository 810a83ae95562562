"""GPU kernels without a GPU, for test_gpu.py, each in a process of its own because Triton keeps what it finds at start.

`interpret`: Triton's interpreter draws, and every bit is compared. `compile`: Triton compiles for Nvidia GPUs. The PTX
must hold no operation that could round otherwise, and the optimized LLVM IR that PTX is made from is run on the host,
thread by thread, and its bits compared. Prints one JSON object.
"""

import collections
import ctypes
import json
import re
import sys
import warnings
from typing import Any

import numpy as np
import torch

from wellbegun.engine import Job, gpu, write
from wellbegun.engine.parameters import parameters_of
from wellbegun.engine.reference import fill_rows
from wellbegun.engine.regions import Rows, region_of
from wellbegun.laws import (
    Constant,
    Law,
    LogUniform,
    Normal,
    Rademacher,
    Sections,
    TruncatedNormal,
    Uniform,
    ZeroRows,
)
from wellbegun.torch import device
from wellbegun.torch.trace.tensors import seen

LAWS = [
    Normal(0.1, 0.5),
    Uniform(-0.1, 0.3),
    TruncatedNormal(0, 1, -2, 2),
    TruncatedNormal(0.5, 1, -4, 1),
    TruncatedNormal(0, 1, 3, 5),
    Rademacher(0.1, 0.5),
    LogUniform(1e-3, 1e-1),
]
STORED = {"float32": np.float32, "float64": np.float64, "float16": np.float16, "bfloat16": np.uint16}
INTEGERS = {2: torch.int16, 4: torch.int32, 8: torch.int64}
KEY = (0xFFFFFFFF, 3, 0x80000001, 4)
WHOLE = Rows(0, 0, 1, 4 * gpu.LANES + 64, 0, 0)  # more than one program
WORK = [
    WHOLE,
    Rows(0, 0, 1, 1, 0, 0),
    Rows(3, 0, 1, 51, 6, 0),  # begins and ends within a block
    Rows(5, 40, 7, 33, 5, 101),  # several rows, each beginning elsewhere in its block
    Rows(0, 16, 70, 8, 64, 24),  # several rows of whole blocks
    Rows(0, 0, 1, 50, (1 << 34) - 3, 0),  # block numbers go beyond 2^32
    Rows(8, 64, 3, 60, (1 << 61) + 4, 1 << 40),
]


def destination(rows: Rows, dtype: str) -> np.ndarray:
    """Memory for the rows and some more, full of sevens."""
    return np.full(rows.offset + rows.pitch * (rows.rows - 1) + rows.run + 9, 7, STORED[dtype])


def expected(rows: Rows, law: Law, dtype: str) -> np.ndarray:
    """Bits of the destination after the reference has drawn."""
    out = destination(rows, dtype)
    strides = (rows.pitch * out.itemsize, out.itemsize)
    view = np.lib.stride_tricks.as_strided(out[rows.offset :], (rows.rows, rows.run), strides)
    fill_rows(view, rows.first, rows.step, KEY, parameters_of(law, dtype), dtype)
    return out.view(f"i{out.itemsize}")


def drawn(rows: Rows, law: Law, dtype: str, where: str = "cpu", key: tuple[int, ...] = KEY) -> np.ndarray:
    """Bits of the destination after the kernel has drawn."""
    bits = destination(rows, dtype)
    out = torch.from_numpy(bits.view(f"i{bits.itemsize}")).to(where)
    with torch.cuda.device_of(out):
        gpu.draw(out, [rows], key, parameters_of(law, dtype), dtype)
    return out.cpu().numpy()


def tensors(where: str) -> dict[str, tuple[Law, torch.Tensor]]:
    """Destinations of every kind of memory, with laws that are drawn on the device."""
    normal = Normal(0, 0.1)
    parts = Sections(((2, Constant(1)), (5, normal), (3, ZeroRows(Uniform(1, 2), (0, 2)))))

    def full(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
        return torch.full(shape, 7, dtype=dtype, device=where)

    return {
        "scalar": (normal, full()),
        "empty": (normal, full(3, 0)),
        "sections": (parts, full(10, 37)),
        "sections, bfloat16": (parts, full(10, 36, dtype=torch.bfloat16)),
        "padded rows": (normal, full(9, 40)[:, :33]),
        "transposed": (normal, full(33, 17).t()),
        "channels last": (normal, full(5, 3, 2, 7).to(memory_format=torch.channels_last)),
        "every other column": (Uniform(0, 1), full(9, 40, dtype=torch.float16)[:, ::2]),
        "many rectangles": (Uniform(0, 1), full(9, 9, 4, 5)[:, :, :3, :4]),
        "complex64": (normal, full(7, 5, dtype=torch.complex64)),
        "complex128": (Uniform(-1, 2), full(7, 5, dtype=torch.complex128)),
        "constant": (Constant(-0.7), full(7, 5, dtype=torch.bfloat16)),
    }


def tensors_that_differ(where: str) -> list[str]:
    """Names of tensors whose values are not those of `fill`."""
    wrong = []
    for name, (law, out) in tensors(where).items():
        dtype, shape = str(out.dtype).removeprefix("torch."), tuple(out.shape)
        assert device.drawable(law, out.device, dtype)
        device.draw(law, out, Job(3, name, shape, region_of(None, shape), dtype, 1))
        host = torch.empty(shape, dtype=out.dtype)
        write(law, seen(host), Job(3, name, shape, region_of(None, shape), dtype, 1))
        if not torch.equal(out.cpu(), host):
            wrong.append(name)
    return wrong


# ---------------------------------------------------------------------- interpret
def interpret() -> dict[str, Any]:
    cases = [(rows, law, dtype) for rows in WORK for law in LAWS for dtype in STORED]
    wrong = [str(case) for case in cases if (drawn(*case) != expected(*case)).any()]
    other_key = drawn(WHOLE, LAWS[0], "float32", key=(*KEY[:3], 5))
    one_bit = drawn(WHOLE, LAWS[0], "float32")
    one_bit[100] ^= 1
    reference = expected(WHOLE, LAWS[0], "float32")
    device._CHUNK, device._LAUNCHES = 50, 8  # so that small tensors take every way
    result = {"cases": len(cases), "wrong": wrong, "tensors": tensors_that_differ("cpu")}
    result["controls"] = [int((found != reference).sum()) for found in (other_key, one_bit)]
    return {**result, "refused": refused()}


def refused() -> list[str]:
    """Warnings where a kernel is wrong, and where it cannot be compiled; it must not be used then."""
    right, said = gpu.draw, []

    def wrong(out: Any, work: Any, key: tuple[int, ...], *rest: Any) -> None:
        right(out, work, (*key[:3], 0), *rest)

    def missing(*_: Any) -> None:
        raise RuntimeError("no compiler")

    for draw in (wrong, missing):
        device._sound.clear()
        gpu.draw = draw
        with warnings.catch_warnings(record=True) as caught:
            assert not device.drawable(Normal(0, 1), torch.device("cpu"), "float32")
        said += [str(warning.message) for warning in caught]
    gpu.draw = right
    return said


# ---------------------------------------------------------------------- compile
class Pretended:
    """What Triton asks of a driver before it launches."""

    def get_current_device(self) -> int:
        return 0

    def get_current_stream(self, _: int) -> int:
        return 0

    def get_current_target(self) -> Any:
        from triton.backends.compiler import GPUTarget

        return GPUTarget("cuda", 90, 32)


def compiled(rows: Rows, law: Law, dtype: str, **options: Any) -> Any:
    """Triton's result for the launch that would draw these rows, and the launch's arguments."""
    parameters = parameters_of(law, dtype)
    ((programs, values),) = gpu.launches([rows], KEY, parameters, dtype)
    integer = INTEGERS[np.dtype(STORED[dtype]).itemsize]
    found = gpu.kernel(type(parameters), dtype).warmup(integer, *values, grid=(programs,), **{**gpu.OPTIONS, **options})
    return found, programs, values


def suspicious(ptx: str) -> list[str]:
    """Operations on real numbers that are fused, approximate or not rounded to nearest."""
    operations = set(re.findall(r"^\s*(?:@!?%p\d+ )?([a-z][\w.:]*)", ptx, re.MULTILINE))
    real = [operation for operation in operations if re.search(r"f(16|32|64)|bf16", operation)]
    exact = r"(add|sub|mul)\.rn\.f(32|64)"  # fused ones have names of their own
    # Triton 3.2 takes .ftz here; no operand and no result that is kept is subnormal, so that changes no bit
    exact += r"|(div|sqrt)\.rn(\.ftz)?\.f(32|64)"
    exact += (
        r"|cvt\.rn\.f32\.s32|cvt\.rn\.f64\.s64|(neg|abs|selp)\.f(32|64)|setp\.\w+\.f(32|64)|(mov|ld\.param)\.f(32|64)"
    )
    return sorted(operation for operation in real if not re.fullmatch(exact, operation))


_REWRITES = [  # Nvidia's dialect -> what every target understands; program and thread become arguments
    (r"(, )?!dbg !\d+| #\d+| addrspace\(1\)| captures\(none\)|ptx_kernel | local_unnamed_addr", ""),
    (r"@fill\(", "@fill(i32 %ctaid, i32 %tid, "),
    (r"^(\d+):", r"n\1:"),
    (r"%(\d+)\b", r"%n\1"),
    (r"(tail )?call i32 @llvm\.nvvm\.read\.ptx\.sreg\.(\w+)\.x\(\)", r"add i32 %\2, 0"),
    (r"(tail )?call i32 asm \"mov\.u32 \$0, %(\w+)\.x;\", \"=r\"\(\)", r"add i32 %\2, 0"),
    (r"(tail )?call i32 @__nvvm_reflect\(.*\)", "add i32 0, 0"),  # older versions ask whether .ftz is on
    (r"@llvm\.nvvm\.sqrt\.rn(?:\.ftz)?\.([fd])\(", r"@sqrt.\1("),
    (r"(tail )?call \w+ @llvm\.nvvm\.div\.rn(\.ftz)?\.\w\((.+), \w+ (.+)\)", r"fdiv \3, \4"),
    (r"(tail )?call \w+ asm \"div\.rn\.f64 [^\"]*\", \"=l,l,l\"\((.+), \w+ (.+)\)", r"fdiv \2, \3"),
]


def on_host(llir: str) -> str:
    """LLVM IR for Nvidia GPUs -> the same operations for this processor."""
    lines: list[str] = []
    for number, line in enumerate(llir.splitlines()):
        if re.match(r"target |attributes|declare|!|source_filename|;", line):
            continue
        for pattern, replacement in _REWRITES:
            line = re.sub(pattern, replacement, line)
        store = re.search(r'asm sideeffect "@\$\d st\.global[^"]*", "[^"]*"\((.*)\)', line)
        lines.append(_stores(number, store.group(1).split(", ")) if store else _old_numbers(line))
    lines += [
        f"declare {kind} @llvm.sqrt.{size}({kind})\ndefine internal {kind} @sqrt.{letter}({kind} %x) {{\n"
        f"  %y = call {kind} @llvm.sqrt.{size}({kind} %x)\n  ret {kind} %y\n}}"
        for letter, kind, size in (("f", "float", "f32"), ("d", "double", "f64"))
    ]
    return "\n".join(lines)


def _old_numbers(line: str) -> str:
    """Real numbers as new LLVMs write them -> as all of them read them: by the bits of the exact double."""

    def bits(found: re.Match[str]) -> str:
        digits = found.group().removeprefix("f0x")
        if digits == found.group():
            value = np.float64(digits) if "double" in line else np.float32(digits)
        else:
            integer = np.array(int(digits, 16), f"u{len(digits) // 2}")
            value = integer.view(f"f{integer.itemsize}")
        return f"0x{int(np.array(value, np.float64).view(np.uint64)):016X}"

    return re.sub(r"\bf0x\w+|-?\b\d\.\d+e[+-]\d+", bits, line)


def _stores(number: int, operands: list[str]) -> str:
    """A vector store under a condition, as stores one by one."""
    *values, pointer, condition = operands
    text = f"  br {condition}, label %do{number}, label %skip{number}\ndo{number}:\n"
    for index, value in enumerate(values):
        place = f"%place{number}.{index}"
        text += f"  {place} = getelementptr {value.split(' %')[0]}, {pointer}, i64 {index}\n"
        text += f"  store {value}, ptr {place}, align 1\n"
    return text + f"  br label %skip{number}\nskip{number}:"


def run_on_host(rows: Rows, law: Law, dtype: str) -> np.ndarray:
    """Bits of the destination after the compiled kernel's IR has drawn, thread by thread."""
    import llvmlite.binding as llvm

    found, programs, values = compiled(rows, law, dtype)
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_default_triple().create_target_machine(opt=1)
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(on_host(found.asm["llir"])), machine)
    engine.finalize_object()
    out = destination(rows, dtype)
    kinds = list(gpu.arguments(type(parameters_of(law, dtype)), dtype).values())
    types = [ctypes.c_int64 if kind == "i64" else ctypes.c_int32 for kind in kinds]
    scratch = re.search(r"@fill\((.*)\)", found.asm["llir"]).group(1).count("ptr addrspace") - 1  # unused here
    function = ctypes.CFUNCTYPE(
        None, ctypes.c_int32, ctypes.c_int32, ctypes.c_void_p, *types, *[ctypes.c_void_p] * scratch
    )(engine.get_function_address("fill"))
    arguments = (out.ctypes.data, *values[: len(types)], *[None] * scratch)
    for program in range(programs):
        for thread in range(32 * gpu.OPTIONS["num_warps"]):
            function(program, thread, *arguments)
    return out.view(f"i{out.itemsize}")


def compile_all(values: int) -> dict[str, Any]:
    from triton.runtime import driver

    driver.set_active(Pretended())
    whole, ragged = WHOLE._replace(run=values, first=(1 << 34) - 4096), WORK[3]
    odd: dict[str, list[str]] = {}
    operations: collections.Counter[str] = collections.Counter()
    for law in LAWS[:4] + LAWS[5:]:
        for dtype in STORED:
            for rows in (whole, ragged) if isinstance(law, Normal) else (whole,):
                ptx = compiled(rows, law, dtype)[0].asm["ptx"]
                operations.update(re.findall(r"\b(?:div|sqrt|st\.global)[.\w]*", ptx))
                if bad := suspicious(ptx):
                    odd[f"{law} {dtype}"] = bad
    fused = compiled(whole, LAWS[0], "float32", enable_fp_fusion=True)[0].asm["ptx"]
    cases = [(whole, law, dtype) for law in LAWS for dtype in STORED]
    wrong = [str(case) for case in cases if (run_on_host(*case) != expected(*case)).any()]
    found = {"odd": odd, "operations": operations, "control": suspicious(fused)}
    return {**found, "cases": len(cases), "wrong": wrong}


if __name__ == "__main__":
    result = interpret() if sys.argv[1] == "interpret" else compile_all(int(sys.argv[2]))
    print(json.dumps(result))
