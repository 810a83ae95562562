"""`wellbegun.jax.initializers` has the names, arguments and laws of JAX's, and the bits of every other framework."""

import hashlib
import inspect
import os
import subprocess
import sys
from functools import partial
from typing import Any

import numpy as np
import pytest

jax = pytest.importorskip("jax")

import jax.numpy as jnp  # noqa: E402
from jax.nn import initializers as theirs  # noqa: E402
from scipy.stats import ks_2samp  # noqa: E402

import wellbegun as wb  # noqa: E402
from wellbegun.errors import ArgumentError, ArgumentTypeError, LayoutError  # noqa: E402
from wellbegun.jax import initializers as ours  # noqa: E402

NAMES = [name for name in dir(theirs) if name[0] != "_"]
MADE = [name for name in NAMES if name not in ("Initializer", "constant", "ones", "zeros", "variance_scaling")]


def key() -> Any:
    return jax.random.key(7)


@pytest.mark.parametrize("name", NAMES)
def test_every_name_of_jax_takes_the_same_arguments(name: str) -> None:
    def told(function: Any) -> list[tuple[str, Any, Any]]:
        return [(p.name, p.default, p.kind) for p in inspect.signature(function).parameters.values()]

    assert told(getattr(ours, name)) == told(getattr(theirs, name))


def drawn(module: Any, name: str, shape: tuple[int, ...]) -> Any:
    found = getattr(module, name)
    return (found(2.0, "fan_geo_avg", "normal") if name == "variance_scaling" else found())(key(), shape)


@pytest.mark.parametrize("name", [*MADE, "variance_scaling"])
def test_laws_are_those_of_jax(name: str) -> None:
    shape = (3, 3, 24, 36) if name == "delta_orthogonal" else (3, 40, 50)
    one, other = (np.asarray(drawn(module, name, shape)).ravel() for module in (ours, theirs))
    assert (one == 0).sum() == (other == 0).sum()
    one, other = one[one != 0], other[other != 0]
    assert ks_2samp(one, other).pvalue > 1e-4
    assert ks_2samp(one * 1.6, other).pvalue < 1e-4  # the control
    assert one.max() == pytest.approx(other.max(), rel=0.4)


@pytest.mark.parametrize(
    ("given", "scheme", "shape", "layout"),
    [
        (ours.he_normal(), wb.variance_scaling(scale=2, distribution="truncated"), (5, 3, 4), "kio"),
        (ours.lecun_uniform(in_axis=1, out_axis=0), wb.lecun_uniform(), (6, 4), "oi"),
        (ours.glorot_uniform((0, 1), (2, 3)), wb.xavier_uniform(), (2, 3, 4, 5), "iioo"),
        (ours.lecun_uniform(0, 2, batch_axis=1), wb.lecun_uniform(), (4, 3, 5), "ieo"),
        (ours.orthogonal(), wb.orthogonal(), (6, 4), "io"),
        (ours.of("mirrored(orthogonal())"), wb.mirrored(wb.orthogonal()), (6, 4), "io"),
        (ours.of(wb.he_uniform(), layout="eio"), wb.he_uniform(), (2, 6, 4), "eio"),
        (ours.of(lambda fans: wb.laws.Constant(fans.fan_in)), wb.constant(6), (6, 4), "io"),
        (ours.of("zeros"), wb.zeros(), (4,), "o"),
    ],
)
def test_bits_are_those_of_every_framework(given: Any, scheme: Any, shape: tuple[int, ...], layout: str) -> None:
    expected = scheme(shape, seed=7, layout=wb.Layout(layout, transposed=False))
    assert (np.asarray(given(key(), shape)) == expected).all()
    assert (np.asarray(jax.jit(given, static_argnums=1)(key(), shape)) == expected).all()
    assert (np.asarray(given(jax.random.PRNGKey(7), shape)) == expected).all()
    if scheme not in (wb.zeros(), wb.constant(6)):
        assert (np.asarray(given(jax.random.key(8), shape)) != expected).any()  # the control


PURE = [
    (ours.uniform(3.0), "float32"), (ours.uniform(3.0), "bfloat16"), (ours.normal(0.3), "float32"),
    (ours.normal(0.3), "bfloat16"), (ours.normal(0.3), "float16"), (ours.he_normal(), "float32"),
    (ours.lecun_uniform(0, 1), "float16"), (ours.truncated_normal(1, None, -4, 5), "float32"),
    (ours.of("log_uniform(0.1, 2)"), "float32"), (ours.of("xavier_normal", layout="oi"), "float32"),
    (ours.truncated_normal(0.0), "float32"), (ours.of("rademacher"), "float32"),
]  # fmt: skip


def test_bits_are_the_same_in_operations_of_jax() -> None:
    def made(key: Any, pure: Any = ours.pure) -> list[Any]:
        return [pure(init)(key, (37, 61), dtype) for init, dtype in PURE]

    assert "callback" not in str(jax.make_jaxpr(made)(key()))
    assert "callback" in str(jax.make_jaxpr(partial(made, pure=lambda init: init))(key()))  # the control
    for (init, dtype), found, late in zip(PURE, made(key()), jax.jit(made)(key()), strict=True):
        expected = init(key(), (37, 61), dtype)
        assert late.dtype == dtype
        assert found.tobytes() == expected.tobytes() == late.tobytes(), init


def test_pure_initializers_under_transformations() -> None:
    init, pure = ours.normal(), ours.pure(ours.normal())
    keys = jax.random.split(jax.random.key(-7), 3)
    batched = jax.jit(jax.vmap(lambda key: pure(key, (4, 5))))(keys)
    assert all((batched[i] == init(keys[i], (4, 5))).all() for i in range(3))
    longer = jax.random.key_data(jax.random.key(7, impl="rbg"))  # four words
    exported = jax.export.export(jax.jit(lambda key: [pure(key, shape) for shape in ((), (0, 3), (1,), (3, 4, 5))]))
    for found in exported(longer).call(longer):
        assert (found == init(longer, found.shape)).all()
    assert ours.pure(theirs.ones) is theirs.ones
    for bad, dtype in ((ours.orthogonal(), "float32"), (init, "complex64")):
        with pytest.raises(ArgumentError, match="independent entries"):
            jax.eval_shape(lambda key, bad=bad, dtype=dtype: ours.pure(bad)(key, (4, 4), dtype), key())


def test_keys_are_batched_and_split() -> None:
    keys = jax.random.split(key(), 3)
    init = ours.normal()
    batched = jax.vmap(lambda key: init(key, (4, 5)))(keys)
    assert all((batched[i] == init(keys[i], (4, 5))).all() for i in range(3))
    assert len({hashlib.sha256(np.asarray(one)).hexdigest() for one in batched}) == 3
    longer = jax.random.key(7, impl="rbg")  # four words
    assert (init(longer, (4, 5)) != init(key(), (4, 5))).any()


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16, jnp.float32, jnp.complex64, "float32", jnp.float64])
def test_dtypes(dtype: Any) -> None:
    for init in (ours.glorot_normal(dtype=dtype), lambda key, shape: ours.glorot_normal()(key, shape, dtype)):
        assert init(key(), (4, 5)).dtype == jax.dtypes.canonicalize_dtype(dtype)
    assert ours.uniform(jnp.float32(2), jnp.bfloat16)(key(), (4,)).dtype == jnp.bfloat16


def test_edges() -> None:
    for init in (ours.orthogonal(0.0), ours.normal(0.0), ours.uniform(0.0), ours.truncated_normal(0.0)):
        assert not init(key(), (3, 4)).any()
    assert not ours.variance_scaling(0.0, "fan_in", "normal")(key(), (3, 4)).any()
    assert (ours.orthogonal(-2.0)(key(), (3, 4)) == -2 * ours.orthogonal()(key(), (3, 4))).all()
    assert ours.uniform(-2.0)(key(), (30,)).max() <= 0
    assert ours.orthogonal()(key(), (3, 0)).shape == (3, 0)
    assert ours.normal()(key(), ()).shape == ()
    for init, shape, said in (
        (ours.he_normal(), (5,), "Can't compute input and output sizes of a 1-dimensional weights tensor"),
        (ours.orthogonal(), (5,), "at least a 2D shape"),
        (ours.delta_orthogonal(), (3, 4), "3D, 4D or 5D"),
        (ours.delta_orthogonal(), (3, 4, 2), "`fan_in` must be less or equal"),
        (ours.he_normal(in_axis=5), (3, 4), "axes of .*; got 5"),
    ):
        with pytest.raises(ArgumentError, match=said):
            init(key(), shape)
    init = ours.he_normal()
    for bad in (None, 0, (4, 4), jax.random.split(key(), 3), jnp.array([1.7, 2.9])):
        with pytest.raises(ArgumentTypeError, match="key must be one key"):
            init(bad, (2, 2))
    with pytest.raises(ArgumentTypeError, match="shape"):
        init(key(), (4.5, 4))
    for dtype in (jnp.int32, jnp.float8_e4m3fn):
        with pytest.raises(ArgumentError, match="dtype"):
            init(key(), (2, 2), dtype)
    with pytest.raises(ArgumentError, match="column_axis must be an axis"):
        ours.orthogonal(column_axis=5)(key(), (8, 4))
    with pytest.raises(LayoutError, match="3 letters for 3 axes"):
        ours.of("he_normal", layout="io")(key(), (3, 4, 5))
    with pytest.raises(ArgumentError, match="mode"):
        ours.variance_scaling(1.0, "fan_out_of_this", "normal")
    with pytest.raises(ArgumentError, match="distribution"):
        ours.variance_scaling(1.0, "fan_in", "truncated")
    with pytest.raises(ArgumentError, match="float16"):
        ours.normal(1e9, jnp.float16)(key(), (3, 4))


def test_flax_takes_them() -> None:
    from flax import linen, nnx

    layer = nnx.Linear(6, 4, kernel_init=ours.of("orthogonal"), bias_init=ours.normal(0.1), rngs=nnx.Rngs(0))
    kernel = np.asarray(layer.kernel.get_value())
    assert np.allclose(kernel.T @ kernel, np.eye(4), atol=1e-5)
    dense = linen.Dense(4, kernel_init=ours.of("orthogonal"))
    kernel = np.asarray(jax.jit(dense.init)(key(), jnp.ones((2, 6)))["params"]["kernel"])
    assert np.allclose(kernel.T @ kernel, np.eye(4), atol=1e-5)
    shapes = jax.eval_shape(dense.init, key(), jnp.ones((2, 6)))
    assert shapes["params"]["kernel"].shape == (6, 4)


def test_haiku_takes_them() -> None:
    haiku = pytest.importorskip("haiku")
    net = haiku.transform(lambda x: haiku.Linear(4, w_init=ours.of("orthogonal"))(x))
    kernel = np.asarray(net.init(key(), jnp.ones((2, 6)))["linear"]["w"])
    assert np.allclose(kernel.T @ kernel, np.eye(4), atol=1e-5)
    with pytest.raises(ArgumentTypeError, match="key must be one key"):  # outside of a transform
        ours.he_normal()((4, 4), (2, 2))


SHARDED = """
import hashlib, itertools
import jax, numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P
from wellbegun.jax import initializers as ours

key, found = jax.random.key(7), {}
for name, init, shape in (("normal", ours.he_normal(), (16, 24)), ("orthogonal", ours.orthogonal(), (16, 24)),
                          ("kernel", ours.of("xavier_uniform", layout="eio"), (8, 16, 8))):
    for sizes, spec in (((1,), P()), ((2, 2), P("a", "b")), ((8,), P(None, "a")), ((2, 4), P(("a", "b"))), ((8,), P())):
        mesh = jax.make_mesh(sizes, ("a", "b")[: len(sizes)], axis_types=(AxisType.Auto,) * len(sizes))
        sharding = NamedSharding(mesh, spec)
        draw = lambda key: init(key, shape, None, sharding)
        late = jax.jit(lambda key: init(key, shape), out_shardings=sharding)
        for array in (draw(key), jax.jit(draw)(key), late(key)):
            assert array.sharding.is_equivalent_to(sharding, len(shape)), (array.sharding, sharding)
            found.setdefault(name, set()).add(hashlib.sha256(np.asarray(array)).hexdigest())
        text = jax.jit(draw).lower(key).compile().as_text()
        assert not any(word in text for word in ("all-gather", "all-reduce", "all-to-all", "collective-permute")), text
    found[name].add(hashlib.sha256(np.asarray(init(key, shape))).hexdigest())

init, sharding = ours.pure(ours.he_normal()), NamedSharding(jax.make_mesh((2, 4), ("a", "b")), P("b", "a"))
compiled = jax.jit(lambda key: init(key, (16, 24), None, sharding)).lower(key).compile()
assert not any(word in compiled.as_text() for word in ("all-", "collective", "callback")), compiled.as_text()
found["normal"].add(hashlib.sha256(np.asarray(compiled(key))).hexdigest())
print({name: len(hashes) for name, hashes in found.items()})
"""


def test_bits_are_the_same_on_every_mesh() -> None:
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=8", "JAX_PLATFORMS": "cpu"}
    result = subprocess.run(
        [sys.executable, "-c", SHARDED], capture_output=True, text=True, timeout=300, env={**os.environ, **flags}
    )
    assert result.returncode == 0, result.stderr[-3000:]
    assert result.stdout.strip() == "{'normal': 1, 'orthogonal': 1, 'kernel': 1}"
