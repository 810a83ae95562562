"""A model called on symbols: Keras writes down what happens to them, and nothing is computed.

Layers are opened: what their `call` does is written down, and not that they were called. Variables are symbols too
meanwhile, so what is computed of them is followed. Those that Keras cannot call on symbols stay whole.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any, NamedTuple

import keras
from keras.src.backend.common import global_state

from wellbegun.keras.layers import layers_of, slots_of
from wellbegun.keras.unrolled import of_cells, unrolled

WHOLE: tuple[type[Any], ...] = (
    keras.layers.BatchNormalization, keras.layers.LayerNormalization, keras.layers.GroupNormalization,
    keras.layers.RMSNormalization, keras.layers.Dropout, keras.layers.SpatialDropout1D, keras.layers.SpatialDropout2D,
    keras.layers.SpatialDropout3D, keras.layers.GaussianDropout, keras.layers.GaussianNoise, keras.layers.AlphaDropout,
    keras.layers.RNN,
)  # fmt: skip
_ON_SYMBOLS = {  # activations that Keras cannot call on symbols, and the same
    keras.activations.hard_silu: keras.ops.hard_silu,
    keras.activations.mish: lambda x: x * keras.ops.tanh(keras.ops.softplus(x)),
}
_STATE = ("_trainable", "_non_trainable", "_tracker", "_saved", "_inbound", "_outbound")  # Keras's own lists


class Node(NamedTuple):
    """One operation: what it is, what it was called with, and what it gave."""

    operation: Any
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    outputs: tuple[keras.KerasTensor, ...]
    scopes: tuple[str, ...]  # layers, outermost first, with the number of the call


class Symbol(keras.KerasTensor):  # type: ignore[misc]  # Keras has no types
    """Stands for a variable; what is assigned to it is dropped."""

    def __init__(self, variable: Any) -> None:
        super().__init__(tuple(variable.shape), dtype=variable.dtype, name=variable.name)
        self.variable = variable

    @property
    def value(self) -> "Symbol":
        """Itself."""
        return self

    def assign(self, value: Any) -> Any:
        """Nothing is written: moving statistics stay."""
        return value

    assign_add = assign_sub = assign

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name == "variable":
            raise AttributeError(name)
        return getattr(self.variable, name)


class Whole(keras.Operation):  # type: ignore[misc]  # Keras has no types
    """A layer, or a part of what it does, as one operation, of what it is called with and of the values of its
    variables."""

    def __init__(self, layer: Any, variables: list[Any], given: Any, part: Callable[..., Any] | None = None) -> None:
        super().__init__()
        self.layer, self.variables, self._given, self.part = layer, variables, given, part

    def compute_output_spec(self, *_: Any) -> Any:
        """As the layer says."""
        return self._given

    def call(self, args: Any, kwargs: Any, values: Any) -> Any:
        """Nothing is written into: what the layer assigns is dropped."""
        with keras.StatelessScope(state_mapping=list(zip(self.variables, values, strict=True))):
            return (self.part or self.layer)(*args, **kwargs)


@contextmanager
def forgotten(layers: Iterable[Any]) -> Iterator[None]:
    """What Keras notes of calls on symbols, and the numbers in the names that it gives, are as before."""
    own = [each for layer in layers for each in (layer, *getattr(layer, "_operations", ()))]
    notes = [(kept, len(kept)) for each in own for kept in (each._inbound_nodes, each._outbound_nodes)]
    names: Any = global_state.get_global_attribute("object_name_uids", {})
    before = dict(names)
    try:
        yield
    finally:
        for kept, length in notes:
            del kept[length:]
        names = global_state.get_global_attribute("object_name_uids", {})
        names.clear()
        names.update(before)


class Conv(keras.Operation):  # type: ignore[misc]  # Keras has no types
    """A convolution in groups, which Keras's own operation refuses on symbols."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.layer, self.strides, self.data_format = layer, layer.strides, layer.data_format
        self._convolve = layer.convolution_op

    def compute_output_spec(self, inputs: Any, _: Any) -> Any:
        """As the layer says."""
        return keras.KerasTensor(self.layer.compute_output_shape(inputs.shape), dtype=inputs.dtype)

    def call(self, inputs: Any, kernel: Any) -> Any:
        """As the layer does."""
        return self._convolve(inputs, kernel)


class Applied(keras.Operation):  # type: ignore[misc]  # Keras has no types
    """A function of the user's that symbols cannot pass."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        super().__init__()
        self.function = function

    def call(self, x: Any) -> Any:
        """As it is."""
        return self.function(x)


def _activation(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def called(x: Any) -> Any:
        try:
            return _ON_SYMBOLS.get(function, function)(x)
        except Exception:  # whatever it does with what has no value: it is one operation, and the layer stays open
            return Applied(function)(x)

    return called


def _called(layer: Any) -> Callable[..., Any]:
    """What a layer does, on symbols: Keras computes the mask of a softmax with values."""
    if getattr(type(layer), "call", None) is not keras.layers.Softmax.call:
        return layer.call  # type: ignore[no-any-return]
    axes = [layer.axis] if isinstance(layer.axis, int) else [*layer.axis]

    def masked(inputs: Any, mask: Any = None) -> Any:
        if mask is None or len(axes) > 1:
            return layer.call(inputs, mask)
        least = -3e4 if keras.backend.standardize_dtype(inputs.dtype) == "float16" else -1e9  # as in Keras
        return keras.ops.softmax(keras.ops.where(keras.ops.cast(mask, "bool"), inputs, least), axis=axes[0])

    return masked


@contextmanager
def _deferring() -> Iterator[None]:
    """Arrays of JAX leave arithmetic with symbols to these, instead of asking them for values that they have not."""
    refusal = vars(keras.KerasTensor).get("__jax_array__")
    if refusal is not None:
        del keras.KerasTensor.__jax_array__
    try:
        yield
    finally:
        if refusal is not None:
            keras.KerasTensor.__jax_array__ = refusal


class Recorded:
    """A call that is being written down."""

    def __init__(self, model: Any) -> None:
        self.layers = layers_of(model)
        self.symbols: dict[int, Symbol] = {}  # of variables, by id
        self._inner: dict[int, Any] = {}  # what a layer gave, by id -> what was made in it
        self._before: dict[int, dict[str, Any]] = {}  # layer -> its attributes
        self._kept: list[Any] = []  # no other object gets these ids
        self._calls: list[tuple[int, int, str]] = []  # first and last number of a tensor that a layer made

    # ------------------------------------------------------------------ layers that are opened
    @contextmanager
    def opened(self) -> Iterator[None]:
        """Layers write down what they do, on symbols for their variables; all is as before when it is over."""
        distinct = {id(layer): (layer, path) for path, layer in reversed(self.layers.items())}
        self._before = {key: dict(vars(layer)) for key, (layer, _) in distinct.items()}
        with forgotten(self.layers.values()), _deferring():
            try:
                for layer, path in distinct.values():
                    self._substitute(layer)
                    vars(layer)["symbolic_call"] = self._opener(layer, path)
                yield
            finally:
                for layer, _ in distinct.values():
                    self._restore(layer)

    def _restore(self, layer: Any) -> None:
        before, now = self._before[id(layer)], vars(layer)
        for name in now.keys() - before.keys():
            del now[name]
        now.update(before)

    def _substitute(self, layer: Any) -> None:
        if hasattr(layer, "convolution_op") and layer.groups > 1:
            vars(layer)["convolution_op"] = Conv(layer)
            if isinstance(layer, keras.layers.Conv1D) and layer.padding != "causal":
                usual: Any = super(keras.layers.Conv1D, layer)  # its own call does not ask for convolution_op
                vars(layer)["call"] = usual.call
        function = vars(layer).get("activation")
        if callable(function) and not isinstance(function, keras.Layer):
            vars(layer)["activation"] = _activation(function)
        vars(layer)["add_loss"] = lambda *_, **__: None  # which takes no symbols; what it is given leads to no output
        for name, value in list(vars(layer).items()):
            if not name.startswith(_STATE):
                vars(layer)[name] = self._symbolic(layer, value)

    def _symbolic(self, layer: Any, value: Any) -> Any:
        """What is held, with symbols for variables, in the numbers that the layer computes with."""
        if isinstance(value, keras.Variable):
            symbol = self.symbol(value)
            floating = layer.autocast and getattr(value, "autocast", True) and "float" in str(value.dtype)
            cast = floating and "float" in layer.compute_dtype and layer.compute_dtype != value.dtype
            return keras.ops.cast(symbol, layer.compute_dtype) if cast else symbol
        if isinstance(value, (list, tuple)) and any(isinstance(item, keras.Variable) for item in value):
            return type(value)([self._symbolic(layer, item) for item in value])
        if isinstance(value, Mapping) and any(isinstance(item, keras.Variable) for item in value.values()):
            return {key: self._symbolic(layer, item) for key, item in value.items()}
        return value

    def symbol(self, variable: Any) -> Symbol:
        """The one that stands for a variable."""
        return self.symbols.setdefault(id(variable), Symbol(variable))

    def _opener(self, layer: Any, path: str) -> Callable[..., Any]:
        def symbolic_call(*args: Any, **kwargs: Any) -> Any:
            first, made = self._number(), None
            if isinstance(layer, keras.layers.SpectralNormalization):
                made = layer.layer(*args)  # what it assigns to the kernel before would be dropped
            elif not isinstance(layer, WHOLE) or of_cells(layer):
                try:
                    with unrolled(layer, partial(self._rest, layer)) if of_cells(layer) else nullcontext():
                        made = _called(layer)(*args, **kwargs)
                except Exception:  # whatever a layer does with what has no value: it is taken whole
                    made = None
            if made is None or not all(isinstance(one, keras.KerasTensor) for one in keras.tree.flatten(made)):
                made = self._whole(layer, args, kwargs)
            self._calls.append((first, self._number(), f"{path}#{len(self._calls)}"))
            return keras.tree.map_structure(self._outer, made)

        return symbolic_call

    def _whole(self, layer: Any, args: Any, kwargs: Any) -> Any:
        """The layer as one operation; its own variables are back while it says what it gives."""
        with self._as_it_is(layer) as variables:
            given = layer.compute_output_spec(*args, **kwargs)
        operation = Whole(layer, variables, given)
        return operation.symbolic_call(args, kwargs, [self.symbol(variable) for variable in variables])

    @contextmanager
    def _as_it_is(self, layer: Any) -> Iterator[list[Any]]:
        """A layer as it was; its variables."""
        inside = {id(each): each for each in layers_of(layer).values()}
        held = [(vars(each), dict(vars(each))) for each in inside.values()]
        try:
            for each in inside.values():
                self._restore(each)
            yield list({id(slot.variable): slot.variable for slot in slots_of(layer)}.values())
        finally:
            for now, before in held:
                now.update(before)

    def _rest(self, layer: Any, part: Callable[..., Any], args: tuple[Any, ...], given: Any) -> Any:
        """The last steps of a layer as one operation."""
        with self._as_it_is(layer) as variables:
            operation = Whole(layer, variables, given, part)
        return operation.symbolic_call(args, {}, [self.symbol(variable) for variable in variables])

    def _outer(self, tensor: Any) -> Any:
        """Another tensor for what a layer gives: Keras notes on it that the layer made it."""
        other = keras.KerasTensor(tensor.shape, dtype=tensor.dtype, sparse=tensor.sparse)
        if getattr(tensor, "_keras_mask", None) is not None:
            other._keras_mask = tensor._keras_mask
        self._inner[id(other)] = tensor
        self._kept.append(other)
        return other

    def _number(self) -> int:
        return _number(keras.KerasTensor(()))

    # ------------------------------------------------------------------ what was written down
    def inner(self, tensor: Any) -> Any:
        """What was made, where a layer gave it."""
        while id(tensor) in self._inner:
            tensor = self._inner[id(tensor)]
        return tensor

    def nodes(self, inputs: Iterable[Any], outputs: Iterable[Any]) -> list[Node]:
        """All that leads from some tensors to others, in the order in which it was called."""
        found, ends = dict[int, Any](), {id(tensor) for tensor in inputs}  # a branch may give what it was given
        waiting = [self.inner(tensor) for tensor in outputs]
        while waiting:
            tensor = waiting.pop()
            history = getattr(tensor, "_keras_history", None)
            if history is None or history.operation is None or id(tensor) in ends:
                continue
            node = history.operation._inbound_nodes[history.node_index]
            if id(node) not in found:
                found[id(node)] = node
                waiting.extend(self.inner(one) for one in node.input_tensors)
        return [self._node(node) for node in sorted(found.values(), key=lambda node: _number(node.outputs[0]))]

    def _node(self, node: Any) -> Node:
        number = _number(node.outputs[0])
        around = sorted((first, last, scope) for first, last, scope in self._calls if first < number < last)
        args, kwargs = keras.tree.map_structure(self.inner, (node.arguments.args, node.arguments.kwargs))
        return Node(node.operation, args, kwargs, tuple(node.outputs), tuple(scope for *_, scope in around))


def _number(tensor: Any) -> int:
    """Keras counts tensors as they are made."""
    found = re.search(r"_(\d+)$", tensor.name)
    return int(found[1]) if found else 0
