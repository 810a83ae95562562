"""The same bits from every engine, thread count, region, stride and process."""

import hashlib
import multiprocessing
import os
import platform
import subprocess
import sys
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_info, threadpool_limits

from wellbegun.engine import Job, compiler, fill, reference, workers, write, writers
from wellbegun.engine.blas import single_threaded
from wellbegun.engine.matrices import Matrices
from wellbegun.engine.orthogonal import haar, inverse, reflectors
from wellbegun.engine.parameters import parameters_of
from wellbegun.engine.regions import region_of
from wellbegun.laws import (
    Constant,
    Copied,
    DeltaOrthogonal,
    Dirac,
    Eye,
    Given,
    Law,
    LogUniform,
    Mapped,
    Mirrored,
    Normal,
    Orthogonal,
    Rademacher,
    Repeat,
    RowSums,
    ScaledRows,
    Sections,
    Sparse,
    TruncatedNormal,
    Uniform,
    ZeroRows,
)
from wellbegun.streams import stream_key

LAWS = [
    Normal(0.1, 0.5),
    Uniform(-0.1, 0.3),
    TruncatedNormal(0, 1, -2, 2),
    TruncatedNormal(0.5, 1, -4, 1),
    TruncatedNormal(0, 1, 3, 5),
    Constant(0.7),
    Sections(((2, Constant(1)), (5, Normal(0, 1)))),
    ZeroRows(Uniform(1, 2), (0, 3)),
    Rademacher(0.1, 0.5),
    LogUniform(1e-3, 1e-1),
    Sparse(Normal(0, 1), 4),
    Sparse(Uniform(1, 2), 3, "input"),
    Repeat(Normal(0, 1), 7),
    Orthogonal(0.5, method="structured"),
    Mapped(Mapped(LogUniform(1e-3, 1e-1), "at_least", (0.01,)), "inverse_softplus"),
]
DTYPES = ["float32", "float64", "float16", "bfloat16"]
STORAGE = {"float32": np.float32, "float64": np.float64, "float16": np.float16, "bfloat16": np.uint16}


def draw(law: Law, shape: tuple[int, ...], *, dtype: str, using: str, threads: int = 1, region=None) -> np.ndarray:
    part = region_of(region, shape)
    out = np.full([b - a for a, b in part], 7, STORAGE[dtype])
    write(law, out, Job(3, "w", shape, part, dtype, threads, using))
    return out


def same(a: np.ndarray, b: np.ndarray) -> bool:
    return a.shape == b.shape and a.tobytes() == b.tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("law", LAWS, ids=repr)
def test_compiled_kernels_equal_the_reference_on_any_number_of_threads(law: Law, dtype: str, monkeypatch) -> None:
    monkeypatch.setattr(workers, "_PIECE", 1 << 10)  # so that small tensors are cut for threads too
    shape = (7, 6001)
    expected = draw(law, shape, dtype=dtype, using="reference")
    for threads in (1, 2, 7):
        assert same(draw(law, shape, dtype=dtype, using="compiled", threads=threads), expected)
    assert same(draw(law, shape, dtype=dtype, using="reference", threads=3), expected)


def test_values_depend_on_seed_name_law_and_index() -> None:
    base = fill(Normal(0, 1), (64,), seed=1, name="w")
    assert not same(base, fill(Normal(0, 1), (64,), seed=2, name="w"))
    assert not same(base, fill(Normal(0, 1), (64,), seed=1, name="v"))
    assert same(base[:32], fill(Normal(0, 1), (32,), seed=1, name="w"))  # a longer tensor begins the same
    assert len(np.unique(base)) == 64


def _features(level: str) -> str:
    """This machine's features, cut down to a level: "sse2", "avx2" or "avx512"; skips what it does not have."""
    _, own = compiler.host()
    if level == "sse2":
        return "+sse,+sse2" if platform.machine() in ("x86_64", "AMD64") else pytest.skip("no x86")
    listed = own.split(",")
    if f"+{'avx512bw' if level == 'avx512' else 'avx2'}" not in listed:
        pytest.skip(f"this machine has no {level}")
    return (
        own
        if level == "avx512"
        else ",".join(f for f in listed if "512" not in f and "evex" not in f and "avx10" not in f)
    )


@pytest.mark.parametrize("variant", ["wide", "stream"])
@pytest.mark.parametrize("level", ["sse2", "avx2", "avx512"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_instruction_set_gives_the_same_bits(level: str, dtype: str, variant: str) -> None:
    features = _features(level)
    for law in (*LAWS[:5], Rademacher(0.1, 0.5), LogUniform(1e-3, 1e-1)):
        parameters, key = parameters_of(law, dtype), stream_key(3, "w")
        kernel = compiler.kernel(type(parameters), dtype, variant, features)
        count = 1237
        memory = np.zeros(count + 64, STORAGE[dtype])
        skip = (-memory.ctypes.data % 64) // memory.itemsize
        for first in (0, 5) if variant != "stream" else (0,):
            out = memory[skip : skip + count]
            numbers = np.array(parameters, type(parameters[0])).tobytes()
            kernel(out.ctypes.data, 0, 1, count, first, 0, np.array(key, np.uint32).tobytes(), numbers)
            expected = np.zeros((1, count), STORAGE[dtype])
            reference.fill_rows(expected, first, 0, key, parameters, dtype) if dtype != "float16" else None
            if dtype == "float16":
                half = np.zeros((1, count), np.float16)
                reference.fill_rows(half, first, 0, key, parameters, dtype)
                expected = half.view(np.uint16)
                out = out.view(np.uint16)
            assert same(out.copy(), expected[0])


@pytest.mark.parametrize("level", ["sse2", "avx2", "avx512"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_short_runs_on_every_instruction_set(level: str, dtype: str) -> None:
    features = _features(level)
    for law in LAWS[:5]:
        parameters, key = parameters_of(law, dtype), stream_key(3, "w")
        kernel = compiler.kernel(type(parameters), dtype, "short", features)
        numbers = np.array(parameters, type(parameters[0])).tobytes()
        for rows, run, first, step in [(1, 1, 0, 0), (300, 1, 7, 9), (90, 67, 1 << 40, 101), (5, 1023, 2, 1024)]:
            shape, pitch = (rows, run + 3), (run + 3) * np.dtype(STORAGE[dtype]).itemsize
            out, expected = (np.full(shape, 7, np.float16 if dtype == "float16" else STORAGE[dtype]) for _ in "ab")
            kernel(out.ctypes.data, pitch, rows, run, first, step, np.array(key, np.uint32).tobytes(), numbers)
            reference.fill_rows(expected[:, :run], first, step, key, parameters, dtype)
            assert out.tobytes() == expected.tobytes()  # what lies between the runs is left alone


slices = st.tuples(st.integers(0, 40), st.integers(0, 40)).map(lambda pair: slice(min(pair), max(pair)))


@given(
    law=st.sampled_from(LAWS),
    using=st.sampled_from(["reference", "compiled"]),
    dtype=st.sampled_from(["float32", "bfloat16", "float64"]),
    region=st.tuples(slices, slices, slices),
)
@settings(max_examples=150)
def test_any_region_equals_that_part_of_the_whole(law: Law, using: str, dtype: str, region) -> None:
    shape = (7, 8, 37)
    whole = draw(law, shape, dtype=dtype, using="reference")
    assert same(draw(law, shape, dtype=dtype, using=using, region=region), np.ascontiguousarray(whole[region]))


@given(
    order=st.permutations(range(3)),
    steps=st.tuples(*[st.integers(1, 3)] * 3),
    using=st.sampled_from(["reference", "compiled"]),
    law=st.sampled_from(LAWS),
)
def test_any_strided_destination_gets_the_same_values(order, steps, using: str, law: Law) -> None:
    shape = (7, 12, 10)
    padded = np.full([shape[axis] * steps[axis] for axis in order], 7, np.float32)
    view = padded[tuple(slice(None, None, steps[axis]) for axis in order)].transpose(np.argsort(order))
    assert view.shape == shape
    write(law, view, Job(3, "w", shape, region_of(None, shape), "float32", 2, using))
    assert same(np.ascontiguousarray(view), draw(law, shape, dtype="float32", using="reference"))
    untouched = padded.size - view.size
    assert (padded == 7).sum() >= untouched  # nothing beside the destination was written


def test_negative_strides_and_byte_offsets() -> None:
    expected = fill(Normal(0, 1), (33, 5), seed=0)
    backwards = np.zeros((33, 5), np.float32)[::-1, ::-1]
    assert same(np.ascontiguousarray(fill(Normal(0, 1), (33, 5), seed=0, out=backwards)), expected)
    raw = np.zeros(33 * 5 * 4 + 1, np.uint8)[1:].view(np.float32).reshape(33, 5)  # not aligned to 4 bytes
    assert not raw.flags.aligned
    assert same(np.ascontiguousarray(fill(Normal(0, 1), (33, 5), seed=0, out=raw)), expected)


def test_bad_destinations_are_left_as_they_were() -> None:
    law = Normal(0, 1)
    good = np.full((4, 6), 7, np.float32)
    bad = {
        "of shape": np.full((6, 4), 7, np.float32),
        "of dtype float32": np.full((4, 6), 7, np.float64),
        "share memory": np.broadcast_to(np.full(6, 7, np.float32), (4, 6)),
        "read-only": good.copy(),
    }
    bad["read-only"].flags.writeable = False
    bad["share memory"].flags.writeable = True
    sliding = np.lib.stride_tricks.as_strided(np.full(9, 7, np.float32), (4, 6), (4, 4))
    for match, out in [*bad.items(), ("share memory", sliding)]:
        with pytest.raises(ValueError, match=match):
            fill(law, (4, 6), seed=0, out=out)
        assert (out == 7).all()
    with pytest.raises(TypeError, match="out must be a NumPy array"):
        fill(law, (4, 6), seed=0, out=[[0.0] * 6] * 4)
    for region, match in [
        ((slice(0, 9, 2),), "slices with step 1"),
        ((slice(None),) * 3, "at most 2 slices"),
        (((0, 5),), "within"),
        ((3,), "at most 2"),
    ]:
        with pytest.raises((ValueError, TypeError), match=match):
            fill(law, (4, 6), seed=0, region=region)
    with pytest.raises(ValueError, match="threads must be an integer >= 1"):
        fill(law, (4, 6), seed=0, threads=0)
    with pytest.raises(TypeError, match="law must be a law"):
        fill("normal", (4, 6), seed=0)
    with pytest.raises(ValueError, match="within the range of float16"):
        fill(Normal(0, 1e5), (4, 6), seed=0, dtype="float16")
    with pytest.raises(ValueError, match="such that a float16 lies between"):
        fill(Uniform(1.0001, 1.0002), (4, 6), seed=0, dtype="float16")
    with pytest.raises(ValueError, match="first axis has 7 rows"):
        fill(LAWS[6], (4, 6), seed=0)


def test_an_error_in_one_thread_surfaces_and_stops_the_rest() -> None:
    done: list[int] = []

    def task(item: int) -> None:
        if item == 3:
            raise RuntimeError("as asked")
        done.append(item)

    with pytest.raises(RuntimeError, match="as asked"):
        workers.parallel(task, range(100_000), 3)
    assert len(done) < 100_000 - 1


def test_empty_and_tiny() -> None:
    for shape in [(), (0,), (3, 0), (1, 1), (1, 7)]:
        for law in (Normal(0, 1), Uniform(0, 1), TruncatedNormal(0, 1, -2, 2), Constant(2)):
            drawn = fill(law, shape, seed=0)
            fill(law, shape, seed=0, out=np.empty(shape, np.float32, order="F"))
            assert drawn.shape == shape
            assert np.isfinite(drawn).all()


def test_a_second_process_gives_the_same_bytes() -> None:
    code = (
        "import hashlib; from wellbegun import fill; from wellbegun.laws import Normal;"
        "print(hashlib.sha256(fill(Normal(0, 1), (3000, 1001), seed=9, name='w').tobytes()).hexdigest())"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "123", "OMP_NUM_THREADS": "1"}
    for forced in ("compiled", "reference"):
        found = subprocess.run(
            [sys.executable, "-c", code],
            env={**environment, "WELLBEGUN_ENGINE": forced},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        assert found == hashlib.sha256(fill(Normal(0, 1), (3000, 1001), seed=9, name="w").tobytes()).hexdigest()


def test_many_threads_may_fill_at_once() -> None:
    shape = (400, 1000)
    expected = draw(Normal(0, 1), shape, dtype="float32", using="compiled")
    with ThreadPoolExecutor(16) as pool:
        results = list(
            pool.map(lambda _: draw(Normal(0, 1), shape, dtype="float32", using="compiled", threads=3), range(48))
        )
    assert all(same(result, expected) for result in results)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:os.fork.. was called:RuntimeWarning")  # of JAX, if another test has loaded it
def test_a_child_that_is_forked_while_another_thread_compiles_can_compile() -> None:
    with compiler._process.lock:
        child = os.fork()
        if not child:
            free = compiler._process.lock.acquire(timeout=5)
            os._exit(0 if free else 1)
    assert os.waitpid(child, 0)[1] == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:os.fork.. was called:RuntimeWarning")  # of JAX, if another test has loaded it
def test_a_forked_child_can_fill() -> None:
    expected = draw(Uniform(0, 1), (900, 1000), dtype="float32", using="compiled", threads=2)
    child = os.fork()
    if child == 0:
        ok = same(draw(Uniform(0, 1), (900, 1000), dtype="float32", using="compiled", threads=2), expected)
        os._exit(0 if ok else 1)
    finished = threading.Event()
    status: list[int] = []
    waiter = threading.Thread(target=lambda: (status.append(os.waitpid(child, 0)[1]), finished.set()), daemon=True)
    waiter.start()
    assert finished.wait(60), "the forked child hangs"
    assert status == [0]


def test_the_engine_is_chosen_by_the_work(monkeypatch) -> None:
    monkeypatch.setattr(workers, "_process", workers._Process())
    assert workers.choose(10) == "reference"
    assert workers.choose(workers.COMPILE_FROM // 2) == "reference"
    assert workers.choose(workers.COMPILE_FROM // 2) == "compiled"  # the work adds up
    assert workers.choose(10) == "reference"
    monkeypatch.setenv("WELLBEGUN_ENGINE", "compiled")
    assert workers.choose(10) == "compiled"
    monkeypatch.setenv("WELLBEGUN_ENGINE", "compild")
    with pytest.raises(ValueError, match=r"WELLBEGUN_ENGINE must be one of .* got 'compild'. Did you mean 'compiled'"):
        workers.choose(10)


def test_small_fills_do_not_load_the_compiler() -> None:
    code = (
        "import sys, wellbegun as wb; wb.he_normal()((300, 300), seed=0);"
        "assert 'llvmlite' not in sys.modules and 'scipy' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


KERNELS = [
    (Eye(2.0), (7, 5)),
    (Eye(), (5, 7)),
    (Dirac(1.5, groups=2), (8, 3, 3, 4)),
    (Dirac(), (3, 8, 5)),
    (DeltaOrthogonal(2.0, groups=2), (8, 3, 3, 2)),
    (Given.of(np.arange(24.0).reshape(4, 3, 2)), (4, 3, 2)),
    (Orthogonal(1.0, 2, 3, "structured"), (3, 40, 7, 5)),
    (Orthogonal(1.0, method="structured"), (150, 37)),
    (Orthogonal(1.0, method="structured"), (37, 150)),
    (Orthogonal(1.0, method="structured"), (64, 64)),
    (Orthogonal(1.0, method="structured"), (5, 3)),
    (Orthogonal(), (6, 4)),
    (Mirrored(Normal(0.1, 0.5), True, (4, 6)), (8, 10)),
    (Mirrored(Uniform(1, 2), False, (6, 2)), (5, 8, 3)),
    (Mirrored(LogUniform(1, 2), True, ()), (6, 5)),
    (Mirrored(Orthogonal(2.0, 2, 3), True, (4, 2), leading=1), (3, 8, 6)),
    (Mirrored(Orthogonal(1.0, method="structured"), True, (16,)), (40, 16)),
    (Mirrored(Sparse(Repeat(Normal(0, 1), 2), 2), True, (8,)), (8, 8)),
    (Repeat(Mirrored(Orthogonal(), True, (4,)), 2), (12, 4)),
    (ScaledRows(Normal(0.1, 0.5), (0.5, 1.0, 3.0)), (3, 7, 2)),
    (ScaledRows(Orthogonal(), (0.5, 1.0, 3.0, 2.0, 7.0, 1.5), 2), (2, 3, 8)),
]


@given(data=st.data(), case=st.sampled_from(KERNELS), dtype=st.sampled_from(["float32", "bfloat16", "float64"]))
@settings(max_examples=120)
def test_regions_of_kernels_and_matrices(data, case, dtype: str) -> None:
    law, shape = case
    ends = [sorted(data.draw(st.tuples(*[st.integers(0, size)] * 2))) for size in shape]
    region = tuple(slice(*pair) for pair in ends)
    whole = draw(law, shape, dtype=dtype, using="reference")
    for using in ("reference", "compiled"):
        assert same(draw(law, shape, dtype=dtype, using=using, region=region), np.ascontiguousarray(whole[region]))


@pytest.mark.parametrize(
    "law", [Normal(1, 2), Uniform(-1, 3), TruncatedNormal(0, 1, -1, 2), Rademacher(2, 3)], ids=repr
)
def test_complex_values_have_the_law_s_total_variance(law: Law) -> None:
    for dtype in ("complex64", "complex128"):
        z = fill(law, (300, 400), seed=0, name="z", dtype=dtype)
        assert z.dtype == dtype
        moments = law.moments()
        deviation = np.abs(z.astype(complex) - moments.mean) ** 2
        assert abs(z.astype(complex).mean() - moments.mean) < 5 * (moments.variance / z.size) ** 0.5
        assert (
            abs(deviation.mean() / moments.variance - 1) < 5 * (deviation.std() / deviation.mean()) / z.size**0.5 + 1e-6
        )
        assert abs(np.corrcoef(z.real.ravel(), z.imag.ravel())[0, 1]) < 5 / z.size**0.5
        part = fill(law, (300, 400), seed=0, name="z", dtype=dtype, region=(slice(3, 9), slice(5, 6)))
        assert same(part, z[3:9, 5:6].copy())
    with pytest.raises(ValueError, match="one with a complex form"):
        fill(LogUniform(1, 2), (3, 3), seed=0, dtype="complex64")


@pytest.mark.parametrize("method", ["haar", "structured"])
@pytest.mark.parametrize("shape", [(1, 1), (6, 6), (9, 4), (4, 9), (20, 300), (70, 33)])
def test_unitary(shape: tuple[int, int], method: str) -> None:
    for dtype, bound in (("float64", 1e-13), ("complex128", 1e-13), ("complex64", 1e-5)):
        u = fill(Orthogonal(2.0, method=method), shape, seed=0, name="u", dtype=dtype)
        gram = u.conj().T @ u if shape[0] >= shape[1] else u @ u.conj().T
        assert np.abs(gram - 4 * np.eye(min(shape))).max() < bound


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize(
    "law",
    [
        Repeat(Orthogonal(3.0, method="structured"), 2),
        Mirrored(Orthogonal(3.0, method="structured"), True, (8,)),
        Sections(((8, Orthogonal(3.0, method="structured")),)),
        DeltaOrthogonal(3.0),
        Constant(1 / 3),
        Eye(1 / 3),
        Copied(Orthogonal(3.0, method="structured"), "q", (8, 8), 1 / 3),
        RowSums(Orthogonal(1.0, method="structured"), "q", (8, 8), 1 / 3),
    ],
    ids=repr,
)
def test_values_of_double_precision_are_not_rounded_to_single(law: Law, dtype: str) -> None:
    shape = {DeltaOrthogonal: (8, 8, 1), RowSums: (8,)}.get(type(law), (8, 8))
    drawn = fill(law, shape, seed=0, name="w", dtype=dtype)
    assert (drawn != drawn.astype(np.complex64)).any()


def test_sparse_keeps_exactly_as_many_and_the_dense_values() -> None:
    dense = fill(Normal(0, 1), (40, 5, 6), seed=0, name="w")
    rows = fill(Sparse(Normal(0, 1), 7), (40, 5, 6), seed=0, name="w")
    columns = fill(Sparse(Normal(0, 1), 7, "input"), (40, 5, 6), seed=0, name="w")
    assert ((rows != 0).reshape(40, 30).sum(1) == 7).all()
    assert ((columns != 0).reshape(40, 30).sum(0) == 7).all()
    for sparse in (rows, columns):
        assert (sparse[sparse != 0] == dense[sparse != 0]).all()
    chosen = np.mean([fill(Sparse(Constant(1), 7), (400, 30), seed=s, name="w").mean(0) for s in range(20)], axis=0)
    assert np.abs(chosen - 7 / 30).max() < 5 * (7 / 30 * 23 / 30 / 8000) ** 0.5  # every place is equally likely


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
def test_dirac_and_delta_orthogonal_convolve_as_promised() -> None:
    torch = pytest.importorskip("torch")
    x = torch.randn(2, 6, 9, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for window in ((3, 3), (4, 5), (1, 2)):
        w = torch.from_numpy(fill(Dirac(), (6, 6, *window), seed=0, dtype="float64"))
        assert torch.equal(torch.nn.functional.conv2d(x, w, padding="same"), x)
        w = torch.from_numpy(fill(Dirac(groups=3), (12, 2, *window), seed=0, dtype="float64"))
        y = torch.nn.functional.conv2d(x, w, padding="same", groups=3)
        assert torch.equal(y.view(2, 3, 4, 9, 8)[:, :, :2].reshape(x.shape), x)
        w = torch.from_numpy(fill(DeltaOrthogonal(2.0), (8, 6, *window), seed=0, dtype="float64"))
        y = torch.nn.functional.conv2d(x, w, padding="same")
        assert abs(float(y.norm() / x.norm()) - 2) < 1e-12
        dense = torch.from_numpy(fill(Orthogonal(2.0), (8, 6, *window), seed=0, dtype="float64"))
        assert abs(float(torch.nn.functional.conv2d(x, dense, padding="same").norm() / x.norm()) - 2) > 1e-3


def test_repeat_starts_as_nearest_neighbour_upsampling() -> None:
    torch = pytest.importorskip("torch")
    w = torch.from_numpy(fill(Repeat(Normal(0, 1), 4), (12, 5, 3, 3), seed=0))
    x = torch.randn(1, 5, 6, 6, generator=torch.Generator().manual_seed(0))
    y = torch.nn.functional.pixel_shuffle(torch.nn.functional.conv2d(x, w, padding=1), 2)
    blocks = y.view(1, 3, 6, 2, 6, 2)
    assert (blocks == blocks[:, :, :, :1, :, :1]).all()
    tiled = torch.nn.functional.pixel_shuffle(torch.nn.functional.conv2d(x, w[::4].repeat(4, 1, 1, 1), padding=1), 2)
    assert (tiled.view(1, 3, 6, 2, 6, 2) != tiled.view(1, 3, 6, 2, 6, 2)[:, :, :, :1, :, :1]).any()


@pytest.mark.parametrize("dtype", [*DTYPES, "complex64", "complex128"])
@pytest.mark.parametrize("base", [Normal(0.3, 1), Orthogonal(2.0, 2, 3)], ids=repr)
def test_mirrored_quadrants_are_the_base_and_its_negative(base: Law, dtype: str) -> None:
    law, shape = Mirrored(base, True, (4, 6), leading=1), (3, 8, 10, 2)
    if dtype == "bfloat16":
        pytest.importorskip("ml_dtypes")
    whole, half = (
        fill(each, size, seed=5, name="w", dtype=dtype) for each, size in ((law, shape), (base, law.base_shape(shape)))
    )
    first, second = half[:, :, :2], half[:, :, 2:]
    top = np.concatenate([first, -first, second, -second], axis=2)
    assert same(whole, np.concatenate([top, -top], axis=1))
    backwards = np.zeros((2, 10, 8, 6), whole.dtype).transpose(3, 2, 1, 0)[::-2, ::-1]
    assert same(np.ascontiguousarray(fill(law, shape, seed=5, name="w", dtype=dtype, out=backwards)), whole)
    with pytest.raises(ValueError, match="within the range of float16"):
        fill(Mirrored(Normal(0, 1e5), True, ()), (4, 6), seed=0, dtype="float16")


def test_a_base_is_drawn_once_where_a_region_costs_as_much_as_the_whole(monkeypatch) -> None:
    calls: list[object] = []
    original = writers.WRITERS[Orthogonal]
    monkeypatch.setitem(writers.WRITERS, Orthogonal, lambda *work: (calls.append(work), original(*work)))
    fill(Mirrored(Orthogonal(), True, (4, 6, 8)), (20, 18), seed=0, region=(slice(3, 15), slice(1, 17)))
    assert len(calls) == 1
    fill(Repeat(Orthogonal(), 2), (400, 4000), seed=0)  # more than one piece of rows
    assert len(calls) == 2


def _relu_network(blocks: tuple[int, ...], x: np.ndarray, *, mirrored: bool) -> np.ndarray:
    """50 orthogonal layers with a ReLU after each but the last; the inputs of inner layers come in blocks."""
    width = sum(blocks)
    shapes = [(width, width // 2), *[(width, width)] * 48, (width // 2, width)]
    for depth, shape in enumerate(shapes):
        outputs, inputs = depth < 49, blocks if depth else ()
        law = Mirrored(Orthogonal(), outputs, inputs) if mirrored else Orthogonal()
        x = fill(law, shape, seed=0, name=f"layer{depth}", dtype="float64") @ x
        if outputs:
            ends = np.cumsum([0, *blocks])
            pairs = np.split(x, 2)  # units and their negatives: deal them out to the blocks, as pairs
            parts = [half[a // 2 : b // 2] for a, b in pairwise(ends) for half in pairs]
            x = np.maximum(np.concatenate(parts), 0)
    return x


@pytest.mark.parametrize("blocks", [(32,), (12, 20)])
def test_fifty_mirrored_layers_with_relus_are_an_isometry(blocks: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).standard_normal((16, 7))
    y = _relu_network(blocks, x, mirrored=True)
    assert np.abs(y.T @ y - x.T @ x).max() < 1e-12  # of all angles and lengths
    split = _relu_network(blocks, 3 * x[:, :3] - x[:, 3:6], mirrored=True)
    assert np.abs(split - (3 * y[:, :3] - y[:, 3:6])).max() < 1e-12
    plain = _relu_network(blocks, x, mirrored=False)
    assert np.linalg.norm(plain) < 1e-3 * np.linalg.norm(x)  # ReLUs halve the power of each layer


def haar_reference(normals: np.ndarray) -> np.ndarray:
    """The same product, one reflection at a time: the readable twin of `haar`."""
    vectors, factors, phases = reflectors(normals.copy())
    short, long = normals.shape
    q = np.eye(long, short, dtype=normals.dtype)
    for j in reversed(range(short)):
        v = vectors[j, j:]
        q[j:, j:] -= factors[j] * np.outer(v, v.conj() @ q[j:, j:])
    return q * phases


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (3, 3), (20, 50), (64, 64)])
def test_one_householder_product_equals_reflections_one_by_one(shape, dtype: str) -> None:
    normals = np.random.default_rng(0).standard_normal(shape).astype(dtype)
    difference = np.abs(haar(normals.copy()) - haar_reference(normals)).max()
    assert difference < (1e-14 if dtype == "float64" else 3e-6)


@pytest.mark.parametrize("size", [1, 2, 15, 16, 17, 31, 48, 100, 128, 129, 256])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex128])
def test_the_inverse_of_a_triangle(size: int, dtype: type) -> None:
    generator = np.random.default_rng(size)
    entries = generator.standard_normal((size, size))
    if np.dtype(dtype).kind == "c":
        entries = entries + 1j * generator.standard_normal((size, size))
    upper = np.triu(entries, 1).astype(dtype) / size**0.5 + np.eye(size, dtype=dtype)
    found, below = inverse(upper), np.tri(size, k=-1, dtype=bool)
    scale = np.abs(found).max() * size * np.finfo(dtype).eps
    assert found.dtype == dtype
    assert np.abs(found @ upper - np.eye(size)).max() < 10 * scale
    assert not found[below].any()
    if size > 1:  # the control: it sees a small change
        upper[0, -1] += 1e3 * scale
        assert np.abs(found @ upper - np.eye(size)).max() > 10 * scale


@pytest.mark.parametrize("shape", [(700, 1100), (3, 200, 200)])
def test_orthogonal_bits_do_not_depend_on_threads(shape: tuple[int, ...]) -> None:
    law = Orthogonal(blocks=3, row_axes=2) if len(shape) > 2 else Orthogonal()
    one, two, three = (fill(law, shape, seed=0, name="w", threads=threads) for threads in (1, 2, 3))
    assert same(one, two)
    assert same(one, three)


def test_matrices_are_computed_once_and_give_the_same_bits_at_another_gain(monkeypatch) -> None:
    orthogonal = sys.modules["wellbegun.engine.orthogonal"]
    calls, compute = [], orthogonal.haar
    monkeypatch.setattr(orthogonal, "haar", lambda *given: calls.append(1) or compute(*given))
    laws = [Orthogonal(0.3), Orthogonal(1.7), Mirrored(Orthogonal(0.9), True, (50,))]
    job = {"seed": 1, "name": "w", "shape": (20, 50), "dtype": "float32"}
    matrices = Matrices()

    def draw(law: Law, matrices: Matrices | None = matrices, **changes) -> np.ndarray:
        given = {**job, **changes}
        out = np.empty(given["shape"], given["dtype"])
        write(law, out, Job(region=region_of(None, given["shape"]), threads=2, matrices=matrices, **given))
        return out

    fresh = [draw(law, None) for law in laws]
    assert len(calls) == 3
    again = [draw(law) for law in laws]
    assert len(calls) == 5  # the first two are one matrix
    assert all(same(a, b) for a, b in zip(fresh, again, strict=True))
    again[0][:] = 0  # what was given out is the caller's
    assert same(draw(laws[0]), fresh[0])
    assert len(calls) == 5
    others = [{"name": "v"}, {"seed": 2}, {"dtype": "float64"}, {"shape": (20, 49)}]
    for change in others:
        draw(laws[0], **change)
    assert len(calls) == 5 + len(others)
    small = Matrices(4 * 20 * 50)  # room for one
    for name, count in (("w", 1), ("w", 0), ("v", 1), ("v", 1), ("w", 0)):
        calls.clear()
        draw(laws[0], small, name=name)
        assert len(calls) == count
    draw(laws[0], None)
    assert len(calls) == 1


def test_threads_share_matrices() -> None:
    matrices, seen = Matrices(), []
    one = matrices.get("here", lambda: np.zeros(2))
    workers.parallel(lambda _: seen.append(matrices.get("here", lambda: np.ones(2)) is one), range(1000), 3)
    assert all(seen)
    with pytest.raises(ValueError, match="read-only"):
        one[0] = 1


def test_triangles_are_inverted() -> None:
    upper = np.triu(np.random.default_rng(0).standard_normal((77, 77)), 1) / 9 + np.diag(np.linspace(0.5, 2, 77))
    assert np.abs(inverse(upper) @ upper - np.eye(77)).max() < 1e-13
    assert not np.tril(inverse(upper), -1).any()


def _blas_threads() -> set[int]:
    return {found["num_threads"] for found in threadpool_info() if found["user_api"] == "blas"}


def test_matrix_products_use_one_thread_and_the_limit_is_lifted_whatever_overlaps() -> None:
    first, second, left = threading.Event(), threading.Event(), threading.Event()
    inside = []

    def another() -> None:
        assert first.wait(10)
        with single_threaded():
            second.set()
            assert left.wait(10)

    with threadpool_limits(2, user_api="blas"):
        worker = threading.Thread(target=another)
        worker.start()
        with single_threaded():
            inside.append(_blas_threads())
            first.set()
            assert second.wait(10)
        left.set()
        worker.join(10)
        assert inside == [{1}]
        assert _blas_threads() == {2}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(6, 6), (10, 4), (4, 10), (1, 9), (9, 1), (1, 1)])
def test_orthogonal_regions_are_parts_of_the_whole(shape, dtype: str) -> None:
    law = Orthogonal(1.5)
    whole = draw(law, shape, dtype=dtype, using="compiled")
    part = draw(law, shape, dtype=dtype, using="reference", region=(slice(0, 1), slice(0, 3)))
    assert same(part, np.ascontiguousarray(whole[:1, :3]))


def _run(code: str, **environment: str) -> str:
    variables = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
    return subprocess.run(
        [sys.executable, "-c", code], env=variables, capture_output=True, text=True, check=True
    ).stdout.strip()


_DIGEST = (
    "import hashlib; from wellbegun import fill; from wellbegun.laws import Normal, Orthogonal\n"
    "print(hashlib.sha256(fill(Normal(0, 1), (3000, 1001), seed=9, name='w', threads=2).tobytes()).hexdigest())\n"
)


def test_processes_of_a_pool_can_fill() -> None:
    law, shape = Normal(0, 1), (600, 1001)
    expected = hashlib.sha256(fill(law, shape, seed=1, name="w").tobytes()).hexdigest()
    for method in ("spawn", *(["forkserver"] if hasattr(os, "fork") else [])):
        with ProcessPoolExecutor(2, multiprocessing.get_context(method)) as pool:
            assert list(pool.map(digest_of_fill, [law] * 3, [shape] * 3)) == [expected] * 3


def digest_of_fill(law: Law, shape: tuple[int, ...]) -> str:
    """For a child process, where the compiled kernels are used whatever the size."""
    os.environ["WELLBEGUN_ENGINE"] = "compiled"
    return hashlib.sha256(fill(law, shape, seed=1, name="w", threads=2).tobytes()).hexdigest()


def test_two_processes_may_compile_at_once_where_nothing_can_be_written(tmp_path) -> None:
    """Nothing is cached on disk, so neither a read-only install nor a race for a cache can go wrong."""
    home = tmp_path / "home"
    home.mkdir(mode=0o500)
    places = {"HOME": str(home), "TMPDIR": str(home), "PYTHONDONTWRITEBYTECODE": "1", "WELLBEGUN_ENGINE": "compiled"}
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda _: _run(_DIGEST, **places), range(2)))
    assert set(found) == {_run(_DIGEST, WELLBEGUN_ENGINE="reference")}
    assert list(home.iterdir()) == []


def test_extra_memory_is_bounded_whatever_the_size() -> None:
    """High-water mark of a 256 MiB fill beside its destination: less than a MiB for each thread."""
    code = """
from pathlib import Path
import numpy as np
from wellbegun.engine import Job, write
from wellbegun.laws import {law} as law
from wellbegun.engine.regions import region_of
def draw(size):
    shape = (size // 1024, 1024)
    write(law{arguments}, out[: shape[0]], Job(0, 'w', shape, region_of(None, shape), 'float32', 2, 'compiled'))
out = np.ones((1 << 16, 1024), np.float32)
draw(1 << 24)
def peak():  # ru_maxrss would know that of the process that started this one
    return int(Path('/proc/self/status').read_text().partition('VmHWM:')[2].split()[0])
before = peak()
draw(1 << 26)
print(peak() - before)
"""
    for law, arguments in (("Normal", "(0, 1)"), ("TruncatedNormal", "(0, 1, -2, 2)")):
        grown = int(_run(code.format(law=law, arguments=arguments)))
        assert grown <= 2 * 1024, law  # KiB, at two threads
