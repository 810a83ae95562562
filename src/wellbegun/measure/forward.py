"""The observer of a forward pass: numbers of weighted operations, sums, tables and attentions, samples of signals."""

from collections.abc import Sequence
from dataclasses import dataclass

from wellbegun._typing import Array
from wellbegun.backend import Effect, Handle, Session
from wellbegun.graph import WEIGHTED, Operation
from wellbegun.graph.attention import compares
from wellbegun.graph.inference import inferred
from wellbegun.health import InputStats
from wellbegun.measure.attention import Scores, scores_of_attention, scores_of_softmax
from wellbegun.measure.inputs import came
from wellbegun.measure.reads import Reads
from wellbegun.measure.samples import is_finite, rough_rms, sample, size_of, unit_axis

_SAMPLED = WEIGHTED | {"norm", "add", "shift", "scale"}  # whose outputs nonlinearities start from
_PLACES = 1 << 16  # of a codebook that are looked at
_COMPARED = 1 << 20  # most integers of a batch whose samples are compared
HALF_RANGE = 65504.0  # largest float16
_SPARSE = 0.1  # share of entries that are not zero, below which a product picks rows


@dataclass(frozen=True)
class Weighted:
    """The output of a weighted operation."""

    rms_in: float
    rms: float
    finite: bool
    largest: float | None
    shape: tuple[int, ...]
    complex: bool
    entries: int


@dataclass(frozen=True)
class Sum:
    """The operands of a sum of two values, and the sum."""

    parts: tuple[float, ...]
    rms: float
    shape: tuple[int, ...]
    complex: bool = False


class ForwardStatistics:
    """Collects what happens in one forward pass."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.doubts: dict[str, str] = {}  # what could not be told, and why
        self.weighted: dict[int, Weighted] = {}
        self.sums: dict[int, Sum] = {}
        self.norms: dict[int, float] = {}  # normalization -> RMS of what it gave
        self.tables: dict[int, float] = {}  # lookup -> RMS of what it gave
        self.inputs: dict[int, InputStats] = {}  # value of the batch -> what it holds
        self.cast: dict[int, InputStats] = {}  # integers of the batch that are made numbers, as pixels: what these hold
        self.codes: dict[int, tuple[int, int]] = {}  # lookup by what was computed: different codes, of how many places
        self.reads = Reads()
        self.alike: set[int] = set()  # integers of the batch that are the same in all samples
        self._made: set[int] = set()
        self._picked: set[int] = set()  # integers that were computed from numbers
        self.first_input: Array | None = None  # a sample of what comes into the first weighted operation
        self.samples: dict[int, Array] = {}  # value -> (samples, positions, units)
        self.scores: dict[int, Scores] = {}  # softmax or attention -> its logits in numbers

    @inferred("the numbers of an operation", lambda *_: ())
    def __call__(self, operation: Operation, inputs: Sequence[Handle], outputs: Sequence[Handle]) -> tuple[Effect, ...]:
        """One operation of the forward pass."""
        output, kind = outputs[0], operation.kind
        self._came_in(operation, inputs, output)
        self._made.update(operation.outputs)
        if output.kind == "integer" and (self._picked & set(operation.inputs) or any(i.kind == "real" for i in inputs)):
            self._picked.update(operation.outputs)
        if inputs and (kind == "softmax" or compares(operation)):
            self.scores[operation.index] = scores_of_softmax(operation, inputs[0], output)
        elif kind == "attention" and (call := self.session.attended) is not None:
            self.scores[operation.index] = scores_of_attention(call)
        rows = self._looked_up(operation, inputs[0].entries(_PLACES)) if kind == "lookup" and inputs else None
        self.reads(operation, inputs, output, rows)
        if output.kind == "integer":
            return ()
        if kind in WEIGHTED:
            self._weighted(operation, inputs, output)
        elif kind == "norm":
            self.norms[operation.index] = rough_rms(output)
        elif kind == "lookup":
            self.tables[operation.index] = rough_rms(output)
        elif kind == "add" and len(inputs) == 2 and all(x.kind == "real" for x in inputs):
            self.sums[operation.index] = Sum(tuple(rough_rms(x) for x in inputs), rough_rms(output), output.shape)
        if kind in _SAMPLED and len(output.shape) > 1 and size_of(output) and output.kind == "real":
            self.samples[operation.outputs[0]] = sample(output, unit_axis(operation.axis, output))
        return ()

    def told_apart(self) -> dict[int, int]:
        """Values of the batch whose samples differ, and how many there are."""
        return {**self.reads.drawn, **{v: n for v, n in self.reads.samples.items() if v not in self.alike}}

    def _came_in(self, operation: Operation, inputs: Sequence[Handle], output: Handle) -> None:
        """Of values that are new, and so of the batch."""
        for value, handle in zip(operation.inputs, inputs, strict=False):
            if value in self._made or value in self.inputs or value in self.cast:
                continue
            self.reads.came(value, handle)
            if handle.kind != "integer" or not size_of(handle):
                self.inputs[value] = came(handle)
                continue
            if handle.shape and handle.shape[0] > 1 and size_of(handle) <= _COMPARED and _alike(handle):
                self.alike.add(value)
            if operation.kind == "move" and output.kind == "real":
                self.cast[value] = came(output)

    def _looked_up(self, operation: Operation, places: Array) -> int:
        rows = {*places.tolist()}
        if self._picked & set(operation.inputs):
            self.codes[operation.index] = len(rows), places.size
        return len(rows.difference(*(use.zero_rows for use in operation.uses)))

    def _weighted(self, operation: Operation, inputs: Sequence[Handle], output: Handle) -> None:
        length, entries = output.norm(), max(size_of(output), 1)
        size = output.largest() if not length < HALF_RANGE else None
        came_in, given = rough_rms(inputs[0]) if inputs else 0.0, length / entries**0.5
        if (x := self.inputs.get(operation.inputs[0]) if operation.inputs else None) is not None and x.filled < _SPARSE:
            came_in = min(max(given, came_in), came_in / max(x.filled, 1 / x.entries) ** 0.5)  # rows that are added
        seen = came_in, given, is_finite(output, length), size
        self.weighted[operation.index] = Weighted(*seen, output.shape, output.kind == "complex", entries)
        if self.first_input is None and inputs and inputs[0].kind == "real" and len(inputs[0].shape) > 1:
            window = operation.kind in ("conv", "conv_transpose")  # units stand in the same place on both sides
            self.first_input = sample(inputs[0], unit_axis(operation.axis if window else None, inputs[0]))


def _alike(handle: Handle) -> bool:
    """Whether all samples are the same."""
    first, rest = handle.part(slice(1)).array(), handle.part(slice(1, None)).array()
    return bool((rest == first).all())
