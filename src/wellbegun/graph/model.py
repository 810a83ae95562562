"""A model as wellbegun sees it: operations, the values between them, and the parameters they use. No framework here."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, get_args

from wellbegun._arguments import message
from wellbegun.errors import ArgumentError
from wellbegun.graph.function import Function
from wellbegun.graph.reparametrized import Reparametrization
from wellbegun.layout import Layout

Kind = Literal[
    "linear",  # product with a parameter, any framework spelling
    "conv",
    "conv_transpose",
    "lookup",  # rows of a parameter picked by integers
    "recurrent",  # a whole recurrent layer or cell
    "pointwise",  # an elementwise function of one value; `function` computes it from `root`
    "gate",  # elementwise combination of two values that is no sum
    "add",  # sum of two values
    "scale",  # product with a parameter or constant, elementwise
    "shift",  # sum with a parameter or constant
    "norm",  # normalization, built in or written by hand
    "statistic",  # the mean or variance inside a normalization written by hand
    "softmax",
    "attention",
    "matmul",  # product of two values
    "pool",
    "mean",  # any reduction
    "concat",
    "split",
    "move",  # reshape, transpose, copy; without inputs: a parameter or constant that stands for a signal
    "opaque",  # anything else: reported, never taken for identity
]
Slot = Literal[
    "weight",
    "derived",  # a weight computed in a way that is not known
    "bias",
    "table",
    "norm_scale",
    "norm_shift",
    "scale",
    "shift",
    "centre",  # rows that distances are measured from
    "token",  # stands for a signal
    "negative_slope",
    "recurrent_input",
    "recurrent_hidden",
    "recurrent_bias_input",
    "recurrent_bias_hidden",
    "recurrent_projection",
    "opaque",
]
Mode = Literal["", "lstm", "gru", "rnn_tanh", "rnn_relu"]
Arithmetic = Literal["", "sum", "difference", "product", "quotient"]  # "": any other
Reduction = Literal["", "sum", "mean", "length", "extremum"]  # length: root of a sum of squares; "": any other
Entries = Literal[  # what a move does to entries
    "",  # unknown, or no move
    "same",  # keeps all, in another shape or memory, or with axes in another order
    "reordered",  # keeps all, those along an axis in another order
    "repeated",  # keeps all, some several times
    "part",  # keeps a range along an axis
    "picked",  # keeps some, chosen in any other way
    "padded",  # keeps all, and adds others
    "masked",  # replaces some
    "written",  # into memory that holds, or held, other entries
]
Selection = Literal["", "ranked", "index", "drawn"]  # by size: entries in order; their places; at random by weight
Over = Literal["", "units", "samples", "groups"]  # what a normalization runs over; "": unknown
KEPT = frozenset({"same", "reordered", "repeated", "part", "picked"})  # entries that were there, and no others
KINDS: frozenset[str] = frozenset(get_args(Kind))
SLOTS: frozenset[str] = frozenset(get_args(Slot))
_TELLING = frozenset({"linear", "conv", "conv_transpose", "lookup", "recurrent", "norm", "attention", "softmax"})
WEIGHTED = frozenset({"linear", "conv", "conv_transpose", "recurrent"})


@dataclass(frozen=True)
class Parameter:
    """One tensor that training may change."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    trainable: bool = True
    tied_to: str | None = None  # canonical name, if this is another name of the same storage
    owners: tuple[str, ...] = ()  # class names of the module that holds it: its own, then those it inherits from
    set_by: str | None = None  # the computed tensor whose assignment sets this one: an original of a parametrization
    bound: Literal["", "orthogonal", "spectral"] = ""  # of a computed tensor: are all singular values 1, or the largest
    held: bool = True  # whether it has values: none on the meta device, nor where they are nan
    layer: str = ""  # kind of the framework's own layer that holds it (Linear, LSTM, ...), if one does
    own: "Use | None" = None  # how that layer uses it
    unasked: bool = False  # whether it holds a pattern that the layer writes by itself: nobody's purpose

    @property
    def owner(self) -> str:
        """Class name of the module that holds it."""
        return self.owners[0] if self.owners else ""


@dataclass(frozen=True)
class Use:
    """How an operation uses a parameter."""

    parameter: str
    slot: Slot
    layout: Layout | None = None
    gates: int = 1  # stacked matrices in a recurrent weight
    zero_rows: tuple[int, ...] = ()  # padding rows of a lookup table
    exact: bool = True  # whether the parameter itself is used, and not something computed from it, like 1 + w
    computed: Reparametrization | None = None  # that computation; `layout` then speaks of what it gives
    copied: bool = False  # of a weight: whether the operation reads a copy, made before it

    def __post_init__(self) -> None:
        if self.slot not in SLOTS:
            raise ArgumentError(message("Use", "slot", f"one of {', '.join(sorted(SLOTS))}", self.slot))


@dataclass(frozen=True)
class Operation:
    """One step of the forward pass, in order of execution.

    Raises:
        ArgumentError: the kind is none of `Kind`.
    """

    index: int
    kind: Kind
    name: str  # what the framework calls it: for people only
    scope: str  # dotted path of the module that ran it
    inputs: tuple[int, ...]  # values that depend on the batch
    outputs: tuple[int, ...]
    uses: tuple[Use, ...] = ()
    root: int | None = None  # pointwise: the value that `function` starts from
    function: Function | None = field(default=None, repr=False)
    mode: Mode = ""  # recurrent
    width: int = 0  # of products of two values: number of terms; of reductions: entries to one
    over_units: tuple[bool, ...] = ()  # products of two values: for each, whether the terms run over its units
    scale: float = 1.0  # attention: what it multiplies the products of queries and keys with
    axis: int | None = None  # of the first output: the axis of its units; of a softmax: the one it runs over
    overwrites: int | None = None  # place in `inputs` of the value whose memory it writes over; -1: other memory
    arithmetic: Arithmetic = ""  # add, shift, scale, gate
    reduction: Reduction = ""
    entries: Entries = ""  # move, and copies that are pointwise
    cuts: tuple[tuple[int, int], ...] = ()  # parts of units: the first one of each output, and how many, if known
    merges: tuple[int, ...] = ()  # move: sizes before, of and after units that become one axis, as in a flatten
    splits: tuple[int, ...] = ()  # move: of those that one axis becomes; both () where units come last
    selects: Selection = ""
    over: Over = ""  # norm
    centred: bool = False  # norm: whether it takes the mean away
    logarithm: bool = False  # softmax: whether it gives logarithms
    derivative: bool = False  # whether it is a step of a derivative that the model takes itself

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ArgumentError(message("Operation", "kind", f"one of {', '.join(sorted(KINDS))}", self.kind))

    @property
    def place(self) -> str:
        """Where a user finds it: module path and what happens there."""
        what = self.kind if self.kind in _TELLING else self.name
        return f"{self.scope} ({what})" if self.scope else what


@dataclass(frozen=True)
class ModelGraph:
    """Operations in order, the parameters by name, and the values the model returns."""

    operations: tuple[Operation, ...]
    parameters: Mapping[str, Parameter]
    outputs: tuple[int, ...]
    notes: tuple[str, ...] = ()
    returned: frozenset[str] = frozenset()  # parameters of which alone it returns something, as of a temperature

    @cached_property
    def producers(self) -> Mapping[int, Operation]:
        """Value -> the operation that made it."""
        return {value: operation for operation in self.operations for value in operation.outputs}

    @cached_property
    def consumers(self) -> Mapping[int, tuple[Operation, ...]]:
        """Value -> the operations that read it, in order."""
        found: dict[int, list[Operation]] = {}
        for operation in self.operations:
            for value in dict.fromkeys(operation.inputs):
                found.setdefault(value, []).append(operation)
        return {value: tuple(readers) for value, readers in found.items()}

    @cached_property
    def rooted(self) -> Mapping[int, tuple[Operation, ...]]:
        """Value -> the pointwise operations whose function starts from it."""
        found: dict[int, list[Operation]] = {}
        for operation in self.operations:
            if operation.kind == "pointwise" and operation.root is not None:
                found.setdefault(operation.root, []).append(operation)
        return {value: tuple(users) for value, users in found.items()}

    @cached_property
    def _uses_by_name(self) -> Mapping[str, tuple[tuple[Operation, Use], ...]]:
        found: dict[str, list[tuple[Operation, Use]]] = {}
        for operation, use in self.uses():
            found.setdefault(use.parameter, []).append((operation, use))
        return {name: tuple(pairs) for name, pairs in found.items()}

    def uses_of(self, name: str) -> tuple[tuple[Operation, Use], ...]:
        """Every use of one parameter, in order of execution."""
        return self._uses_by_name.get(name, ())

    def shape_of(self, use: Use) -> tuple[int, ...]:
        """The shape that the layout of a use speaks of: that of the parameter, or of what is computed from it."""
        return self.parameters[use.parameter].shape if use.computed is None else use.computed.shape

    def size_of(self, use: Use, letter: str) -> int:
        """The size along the axes of a role, of what a use with a layout speaks of."""
        assert use.layout is not None
        return use.layout.size(self.shape_of(use), letter)

    def uses(self) -> Iterator[tuple[Operation, Use]]:
        """Every use of a parameter, in order of execution."""
        for operation in self.operations:
            for use in operation.uses:
                yield operation, use
