"""The second body: Flax models are corrected, measured and checked as their twins in torch are, all numbers to 1e-4.

Their graphs, plans and bits are compared in `test_frameworks.py`.
"""

import functools
import hashlib
from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from alike import differences, digests_of, plain
from flax import nnx
from twins import TWINS, JaxMLP, rngs

import wellbegun as wb
from wellbegun.backend import CrossEntropy, Handle, Place, Scale, Shift, find
from wellbegun.graph import ModelGraph
from wellbegun.layout import Layout
from wellbegun.planning import Plan, gradinit, make_plan

FRAMEWORKS = ("torch", "jax")
RECIPES = ("auto", "classic", "gpt2", "fixup")


@functools.cache
def model_of(name: str, framework: str) -> Any:
    return getattr(TWINS[name], framework)()


@functools.cache
def graph_of(name: str, framework: str) -> ModelGraph:
    model = model_of(name, framework)
    return find(model).trace(model, TWINS[name].batch(framework))


@functools.cache
def initialized(name: str, framework: str) -> wb.Result:
    return wb.initialize(model_of(name, framework), TWINS[name].batch(framework), seed=0)


# ---------------------------------------------------------------------- plans
def test_plans_follow_what_a_model_is() -> None:
    """The comparison sees a difference: another activation is another plan."""

    class Other(JaxMLP):
        def __call__(self, x: Any) -> Any:
            for layer in self.layers[:-1]:
                x = jnp.tanh(layer(x))
            return self.layers[-1](x)

    one, other = make_plan(graph_of("mlp", "torch"), seed=0), wb.plan(Other(), (64, 12), seed=0)
    assert [plain(entry, False) for entry in one.entries] != [plain(entry, False) for entry in other.entries]


@pytest.mark.parametrize("name", ["mlp", "conv", "tied"])
def test_models_without_memory_are_planned_alike(name: str) -> None:
    model, batch = nnx.eval_shape(TWINS[name].jax), TWINS[name].batch("jax")
    found = wb.plan(model, batch, seed=0)
    expected = make_plan(graph_of(name, "jax"), seed=0)
    assert {entry.name: entry for entry in found.entries} == {entry.name: entry for entry in expected.entries}
    with pytest.raises(wb.errors.ArgumentError, match="abstract"):
        wb.apply(model, found)
    with pytest.raises(wb.errors.ArgumentError, match="abstract"):
        wb.check(model, batch)


# ---------------------------------------------------------------------- bits
def values(model: Any) -> dict[str, np.ndarray]:
    backend = find(model)
    with backend.session(model, batch_of(model)) as session:
        return {name: session.read(name) for name in session.trained}


def batch_of(model: Any) -> Any:
    found = next((name, framework) for name in TWINS for framework in FRAMEWORKS if model_of(name, framework) is model)
    return TWINS[found[0]].batch(found[1])


def digests(model: Any, plan: Plan) -> dict[str, str]:
    return digests_of(values(model), plan)


def test_bits_are_those_of_seed_and_name() -> None:
    """Wrong answers are seen: another seed, another order of axes."""
    model, plan = model_of("mlp", "jax"), make_plan(graph_of("mlp", "jax"), seed=1)
    one = digests(wb.apply(model, plan).model, plan)
    other = digests(wb.apply(model, replace(plan, seed=2)).model, plan)
    assert all(one[name] != other[name] for name in one if name.endswith("weight"))
    wb.apply(model, plan)
    stored = hashlib.sha256(np.ascontiguousarray(values(model)["layers.0.weight"]).tobytes()).hexdigest()
    assert stored != one["layers.0.weight"]


# ---------------------------------------------------------------------- health
SKIPPED = {"index", "branch", "input_correlation"}  # numbers of operations; what a framework takes for samples
SAMPLED = {"mean", "correlation", "dead", "saturated"}  # of some entries: which ones depends on the axes of heads


@pytest.mark.parametrize("name", [name for name in TWINS if name != "relu"])
def test_health_is_equal(name: str) -> None:
    one, other = (initialized(name, framework) for framework in FRAMEWORKS)
    assert one.health.codes == other.health.codes == ()
    skipped = SKIPPED | ({"place"} if name in ("fused", "tied") else set()) | (SAMPLED if name == "tied" else set())
    assert not list(differences(asdict(one.health.statistics), asdict(other.health.statistics), "", skipped))
    for entry in one.plan.entries:  # what was corrected
        twin = other.plan[entry.name]
        assert (entry.scheme, entry.action, entry.role) == (twin.scheme, twin.action, twin.role)
        assert entry.factor == pytest.approx(twin.factor, rel=1e-5)
    assert name == "mlp" or any(entry.factor != 1 for entry in other.plan.entries)


def test_other_weights_are_another_health() -> None:
    one = asdict(initialized("mlp", "torch").health.statistics)
    model = wb.apply(TWINS["mlp"].jax(), replace(initialized("mlp", "jax").plan, seed=3)).model
    other = asdict(wb.check(model, TWINS["mlp"].batch("jax")).statistics)
    assert list(differences(one, other, "", SKIPPED))


def test_a_corrected_plan_gives_the_same_bits_without_the_batch() -> None:
    result = initialized("mlp", "jax")
    again = wb.apply(TWINS["mlp"].jax(), result.plan).model
    for name in ("layers.0.weight", "layers.2.bias"):
        found, expected = (getattr_path(model, name) for model in (again, result.model))
        np.testing.assert_array_equal(found, expected)


def getattr_path(model: Any, name: str) -> np.ndarray:
    _, number, last = name.split(".")
    layer = model.layers[int(number)]
    return np.asarray(layer.kernel if last == "weight" else layer.bias)


@pytest.mark.parametrize(
    ("broken", "codes"),
    [(lambda kernel: 0 * kernel, {"W301"}), (lambda kernel: kernel[:, :1] + 0 * kernel, {"W301"}), (jnp.exp, set())],
    ids=["zero", "equal", "positive"],
)
def test_findings_are_equal(broken: Any, codes: set[str]) -> None:
    found = []
    for framework in FRAMEWORKS:
        model = TWINS["mlp"].torch() if framework == "torch" else TWINS["mlp"].jax()
        wb.apply(model, make_plan(graph_of("mlp", framework), seed=0))
        if framework == "torch":
            with torch.no_grad():
                weight = model.layers[1].weight
                weight.copy_(torch.from_numpy(np.array(broken(jnp.asarray(weight.numpy()).T).T)))
        else:
            model.layers[1].kernel.set_value(broken(model.layers[1].kernel.get_value()))
        health = wb.check(model, TWINS["mlp"].batch(framework))
        found.append([(finding.code, finding.place, finding.parameter) for finding in health.findings])
    assert found[0] == found[1]
    assert {code for code, *_ in found[1]} >= codes


def test_what_gradients_are_stopped_at_is_told() -> None:
    class Stopped(JaxMLP):
        def __call__(self, x: Any) -> Any:
            return self.layers[2](nnx.relu(self.layers[1](jax.lax.stop_gradient(nnx.relu(self.layers[0](x))))))

    health = wb.initialize(Stopped(), TWINS["mlp"].batch("jax"), seed=0).health
    assert ("W801", "layers.0.weight") in [(finding.code, finding.parameter) for finding in health.findings]
    assert all("stop_gradient" in finding.remedy for finding in health.findings if finding.code == "W801")


def test_a_check_changes_nothing() -> None:
    model, batch = TWINS["conv"].jax(), TWINS["conv"].batch("jax")
    before = jax.tree.map(np.array, nnx.to_pure_dict(nnx.state(model)))
    assert type(model.norm) is nnx.BatchNorm
    wb.check(model, batch)
    after = jax.tree.map(np.array, nnx.to_pure_dict(nnx.state(model)))
    assert jax.tree.all(jax.tree.map(np.array_equal, before, after))
    assert type(model.norm) is nnx.BatchNorm


@pytest.mark.parametrize("name", ["mlp", "transformer"])
def test_signal_propagation_is_equal(name: str) -> None:
    rows = []
    for framework in FRAMEWORKS:
        result = initialized(name, framework)
        found = wb.signal_propagation(result.model, result.plan, TWINS[name].batch(framework)).rows
        rows.append({row.place: asdict(row) for row in found if "(linear)" in row.place})
    assert rows[0].keys() == rows[1].keys()
    for place in rows[0]:
        for key in ("second", "gradient"):  # errors depend on what a framework takes for samples
            assert not list(differences(rows[0][place][key], rows[1][place][key], place, {"noise", "error"}))


# ---------------------------------------------------------------------- a session
def session_of(name: str) -> Any:
    model = model_of(name, "jax")
    return find(model).session(model, TWINS[name].batch("jax"))


def test_effects_substitute_values_and_gradients_follow() -> None:
    """Doubling a weight on the way is doubling it beforehand, for all that follows and for gradients."""
    wb.apply(model_of("mlp", "jax"), make_plan(graph_of("mlp", "jax"), seed=0))
    labels = CrossEntropy(np.arange(64) % 5, 1)
    mean = np.linspace(-1, 1, 5).astype(np.float32)

    def run(early: bool) -> dict[Place, np.ndarray]:
        found: dict[Place, np.ndarray] = {}
        with session_of("mlp") as session:
            kept = session.read("layers.1.weight").copy()

            def observe(operation: Any, inputs: Any, outputs: Any) -> Iterator[Any]:
                if early and operation.index == 0:
                    yield Scale(2.0, ("layers.1.weight",))
                    yield Shift(mean, bias="layers.2.bias")
                if not early and operation.scope == "layers.1":
                    yield Scale(2.0, ("layers.1.weight",), (outputs[0],), "layers.1.bias")
                if not early and operation.scope == "layers.2":
                    yield Shift(mean, outputs[0], bias="layers.2.bias")

            session.forward(observe)
            found["output"] = session.output.array()
            judged = session.judge(labels)
            found["loss"] = np.array([judged.value])
            session.backward("loss", lambda place, gradient: found.update({place: gradient.array()}))
            assert np.array_equal(session.read("layers.1.weight"), 2 * kept)
        assert np.array_equal(np.asarray(model_of("mlp", "jax").layers[1].kernel), kept)
        return found

    early, late = run(early=True), run(early=False)
    assert early.keys() == late.keys() >= {"layers.0.weight", "layers.2.bias", 0, "output"}
    for key, array in early.items():
        np.testing.assert_allclose(array, late[key], rtol=1e-5, atol=1e-7, err_msg=str(key))


def test_what_was_computed_from_a_parameter_follows_it() -> None:
    class Early(nnx.Module):
        def __init__(self) -> None:
            self.first, self.kernel = nnx.Linear(4, 4, rngs=rngs()), nnx.Param(jnp.ones((4, 4)))

        def __call__(self, x: jax.Array) -> jax.Array:
            table = self.kernel.get_value().T
            return self.first(x) @ table

    model, outputs = Early(), []
    for factor in (1.0, 3.0):
        with find(model).session(model, np.ones((2, 4), np.float32)) as session:

            def observe(operation: Any, *_: Any, factor: float = factor) -> Iterator[Any]:
                if operation.scope == "first":
                    yield Scale(factor, ("weight",))

            session.forward(observe)
            outputs.append(session.output.array())
    np.testing.assert_allclose(outputs[1], 3 * outputs[0], rtol=1e-6)


def test_values_are_let_go_of_once_nothing_reads_them() -> None:
    with session_of("transformer") as session:
        most, kept = [0], []

        def observe(operation: Any, inputs: Any, outputs: Any) -> tuple[()]:
            most[0] = max(most[0], len(session.known.keys() & session.program.signals))
            if operation.index == 3:
                kept.append((outputs[0], outputs[0].array().copy()))
            return ()

        session.forward(observe)
        assert most[0] < 20 < len(session.program.signals) / 5
        assert len(session.known.keys() & session.program.signals) == 1  # the output
        np.testing.assert_array_equal(kept[0][0].array(), kept[0][1])  # a handle keeps what it speaks of


def test_biases_of_several_axes_are_no_means() -> None:
    """A readout of heads is corrected as a whole; where its bias is drawn, it is left as it is."""

    class Heads(nnx.Module):
        def __init__(self) -> None:
            self.first = nnx.Linear(12, 32, rngs=rngs())
            self.last = nnx.LinearGeneral(32, (2, 5), rngs=rngs())

        def __call__(self, x: jax.Array) -> jax.Array:
            return self.last(nnx.relu(self.first(x)))

    batch = TWINS["mlp"].batch("jax")
    result = wb.initialize(Heads(), batch, seed=0)
    assert result.plan["last.bias"].scheme == "zeros()"
    assert result.health.healthy
    drawn = wb.initialize(Heads(), batch, rules=[("last.bias", wb.normal(std=0.1))], seed=0)
    assert drawn.plan["last.weight"].factor == 1


def test_losses_of_the_user() -> None:
    model, batch = model_of("mlp", "jax"), TWINS["mlp"].batch("jax")
    assert wb.check(model, batch, loss=lambda out: (out**2).mean()).statistics.loss.description == "the given loss"
    with pytest.raises(wb.errors.ArgumentTypeError, match="scalar array"):
        wb.check(model, batch, loss=lambda out: out)
    with session_of("mlp") as session:
        session.forward(lambda *_: ())
        judged = session.judge(lambda out: (out**2).sum())
        assert judged.gradient is None
        found: dict[Place, Handle] = {}
        session.backward("loss", found.__setitem__)
        expected = 2 * session.output.array().sum(0)
    np.testing.assert_allclose(found["layers.2.bias"].array(), expected, rtol=1e-4)


# ---------------------------------------------------------------------- models of other kinds
def test_weights_that_are_computed() -> None:
    """1 + w, a transposed matrix, and a magnitude beside a direction, which asks primitives themselves."""

    class Computed(nnx.Module):
        def __init__(self) -> None:
            self.shifted, self.norm = nnx.Param(jnp.zeros(8)), nnx.LayerNorm(8, use_scale=False, rngs=rngs())
            self.turned, self.direction = nnx.Param(jnp.ones((16, 8))), nnx.Param(jnp.ones((16, 4)))
            self.magnitude = nnx.Param(jnp.ones((1, 4)))

        def __call__(self, x: jax.Array) -> jax.Array:
            x = nnx.relu((self.norm(x) * (1 + self.shifted)) @ self.turned.get_value().T)
            length = jnp.linalg.norm(self.direction.get_value(), axis=0, keepdims=True)
            return x @ (self.direction / length * self.magnitude)

    plan = wb.plan(Computed(), (32, 8), seed=0, intent="overwrite")
    assert plan["shifted"].role == "norm_scale"
    assert plan["shifted"].scheme == "zeros()"
    assert plan["turned"].layout == Layout("oi")
    assert "a direction" in plan["direction"].reason
    assert "magnitude" in plan["magnitude"].reason


def test_dropout_and_rules_and_eval_mode() -> None:
    model = nnx.Sequential(
        nnx.Linear(8, 16, rngs=rngs()), nnx.Dropout(0.5, rngs=rngs()), nnx.relu, nnx.Linear(16, 4, rngs=rngs())
    )
    plan = wb.plan(model, (4, 8), rules=[("layers.3.*", "zeros")], seed=0)
    assert plan["layers.3.weight"].decided_by == "rule 1 of 1"
    assert plan["layers.0.weight"].owner == "Linear"
    assert plan["layers.0.weight"].meets[0] == "relu"
    model.eval()
    assert wb.plan(model, (4, 8), rules=[("layers.3.*", "zeros")], seed=0)["layers.0.weight"] == plan["layers.0.weight"]


def test_a_model_that_fails_is_told_with_its_shapes() -> None:
    with pytest.raises(wb.errors.TraceError, match=r"inputs of shape \(4, 7\)"):
        wb.plan(TWINS["mlp"].jax(), (4, 7))


def test_the_framework_is_found_by_the_model() -> None:
    assert find(model_of("mlp", "jax")).name == "jax"
    assert find(model_of("mlp", "torch")).name == "torch"
    with pytest.raises(wb.errors.ArgumentTypeError, match=r"torch\.nn\.Module or a JAX model"):
        wb.plan(object(), (2, 3))


def test_weights_are_saved_with_their_plan(tmp_path: Any) -> None:
    from safetensors import safe_open

    result = initialized("mlp", "jax")
    path = find(result.model).save(result.model, result.plan, tmp_path / "model.safetensors")
    with safe_open(str(path), "numpy") as file:
        assert file.metadata()["wellbegun.seed"] == "0"
        np.testing.assert_array_equal(file.get_tensor("layers.0.weight"), getattr_path(result.model, "layers.0.weight"))
    text = wb.report(result, model=result.model)
    assert "layers.0.weight" in text


# ---------------------------------------------------------------------- methods of somebody else's
@pytest.mark.parametrize("kind", ["lsuv", "krahenbuhl", "gradinit"])
def test_methods_measure_alike(kind: str) -> None:
    """Two published methods, which know nothing of frameworks: their factors are the same."""
    factors = []
    for framework in FRAMEWORKS:
        method = gradinit(steps=5) if kind == "gradinit" else kind
        model = model_of("mlp", framework)
        result = wb.initialize(model, TWINS["mlp"].batch(framework), recipe=method, seed=0)
        factors.append({entry.name: entry.factor for entry in result.plan.entries})
    assert any(abs(factor - 1) > 0.02 for factor in factors[0].values())
    assert factors[0] == pytest.approx(factors[1], rel=1e-3)
