"""Second moments of gradients, from the last hidden weight back: phi' and weights are taken as independent."""

from collections.abc import Mapping
from typing import NamedTuple

from wellbegun.graph import WEIGHTED, ModelGraph, Operation
from wellbegun.planning.propagation.forward import Forward, Step
from wellbegun.planning.propagation.measured import Measured
from wellbegun.planning.propagation.weights import Unpredictable, affine_of
from wellbegun.theory import Signal
from wellbegun.theory.propagation import through_weight


class Gradient(NamedTuple):
    """E g^2 of one entry of a value's gradient, E g g' of mirrored members, and the relative variance of both."""

    second: float
    twin: float | None = None
    noise: float = 0.0


class Sent(NamedTuple):
    """The gradient at the output of one weight: from the very end (`chain`), and from the weights behind (`one`)."""

    chain: Gradient | None
    one: Gradient | None
    reason: str = ""


class Backward:
    """Goes through a graph from its last hidden weight to its first."""

    def __init__(
        self,
        graph: ModelGraph,
        forward: Forward,
        steps: Mapping[int, Step],
        signals: Mapping[int, Signal],
        measured: Mapping[int, Measured],
    ) -> None:
        self.graph, self.forward, self.steps, self.signals = graph, forward, steps, signals
        self.measured = measured

    def run(self, start: int) -> dict[int, Sent]:
        """Gradients at outputs of weights up to the operation `start`, in units of the gradient there."""
        found: dict[int, Sent] = {}
        chain: dict[int, list[Gradient]] = {}
        one: dict[int, list[Gradient]] = {}
        lost: dict[int, str] = {}  # values some of whose readers are not predicted
        first = self.graph.operations[start]
        for side in (chain, one):
            side[first.outputs[0]] = [Gradient(1.0, 0.0)]
        for operation in reversed(self.graph.operations[: start + 1]):
            value = operation.outputs[0] if operation.outputs else -1
            totals = [_total(side.get(value, []), value in lost) for side in (chain, one)]
            if operation.kind in WEIGHTED and (value in chain or value in lost):
                found[operation.index] = Sent(totals[0], totals[1], lost.get(value, ""))
                totals = self._restart(operation, totals, start)
            if value not in chain and value not in lost and all(total is None for total in totals):
                continue
            self._pass(operation, totals, (chain, one), lost, lost.get(value, ""))
        return found

    def _restart(self, operation: Operation, totals: list[Gradient | None], start: int) -> list[Gradient | None]:
        """Further back, one step counts from what was measured."""
        seen = self.measured.get(operation.index)
        if seen is None or operation.index == start:
            return totals
        chain, one = totals
        twin = None
        if one is not None and one.twin is not None and one.second:
            twin = one.twin * seen.signal.second / one.second
        known = Gradient(seen.signal.second, twin, seen.error**2)
        own = known if chain is None else chain._replace(noise=chain.noise + seen.error**2)
        return [own, known]

    def _pass(
        self,
        operation: Operation,
        totals: list[Gradient | None],
        sides: tuple[dict[int, list[Gradient]], dict[int, list[Gradient]]],
        lost: dict[int, str],
        why: str,
    ) -> None:
        target = (operation.root,) if operation.kind == "pointwise" and operation.root else operation.inputs
        for value in target:
            for side, total in zip(sides, totals, strict=True):
                try:
                    if total is None:
                        raise Unpredictable(why or "its reader is not predicted")
                    side.setdefault(value, []).append(self._through(operation, value, total))
                except Unpredictable as reason:
                    lost.setdefault(value, str(reason))

    def _through(self, operation: Operation, value: int, g: Gradient) -> Gradient:
        """The gradient at an input of an operation."""
        kind = operation.kind
        step = self.steps.get(operation.index)
        if kind in ("linear", "conv"):
            back = affine_of(self.forward.laws, operation, self.forward.share(operation)).back
            out = through_weight(Signal(g.second, 0.0, None, g.twin), back)
            return Gradient(out.second, out.twin, g.noise)
        if kind in ("add", "shift") or (kind == "move" and step is not None and step.judged):
            return g if kind in {"move", "shift"} else Gradient(g.second, None, g.noise)
        if kind in ("pointwise", "scale") and step is not None:
            twin = None if g.twin is None or step.twin_slope is None else g.twin * step.twin_slope
            return Gradient(g.second * step.slope, twin, g.noise)
        if kind == "norm" and step is not None:
            before, after = self.signals[value], step.signal
            size = before.second - (before.mean**2 if operation.centred else 0.0)
            if size <= 0:
                raise Unpredictable("a normalization of nothing")
            return Gradient(g.second * after.second / size, None, g.noise)
        if kind == "gate" and step is not None:
            other = next(v for v in operation.inputs if v != value)
            return Gradient(g.second * self.signals[other].second, None, g.noise)
        raise Unpredictable(f"{operation.place} is not predicted backward")


def _total(parts: list[Gradient], lost: bool) -> Gradient | None:
    """Sum of what readers send back, as independent signals."""
    if lost or not parts:
        return None
    if len(parts) == 1:
        return parts[0]
    return Gradient(sum(part.second for part in parts), None, max(part.noise for part in parts))
