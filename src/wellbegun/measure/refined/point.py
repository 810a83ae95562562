"""Gradients of a loss at values of the parameters that a session is given."""

from collections.abc import Mapping, Sequence

import numpy as np

from wellbegun._typing import Array
from wellbegun.backend import Handle, Loss, MadeUpLoss, Place, Session, Signal
from wellbegun.graph import Operation
from wellbegun.graph.notes import some_of
from wellbegun.measure.losses import judged, made_up_of
from wellbegun.measure.refined.layers import ours
from wellbegun.planning import Plan

Tensors = dict[str, Array]
FINE, ROUGH = 1e-4, 0.03  # steps of differences of gradients, in units of the parameters' length; of half precision


class Landscape:
    """The loss over the parameters that a recipe fills and that are trained, real and not zero. `random`: against
    random labels or targets, whatever the batch holds."""

    def __init__(self, session: Session, plan: Plan, loss: Loss | None = None, *, random: bool = False) -> None:
        self.session = session
        free = {*session.trained} & {*session.scalable}
        names = [entry.name for entry in plan.entries if ours(entry) and entry.name in free]
        kinds = {name: session.parameter(name) for name in names}
        self.start: Tensors = {
            name: session.read(name).astype(np.float64)
            for name, handle in kinds.items()
            if handle.kind == "real" and handle.largest() > 0
        }
        rough = any(entry.dtype in ("float16", "bfloat16") for entry in plan.entries if entry.name in self.start)
        self.step = ROUGH if rough else FINE
        session.forward(_nothing)
        computed = {parameter.set_by for parameter in session.graph.parameters.values()}
        left = [entry.name for entry in plan.entries if ours(entry) and entry.name in computed]
        left += [name for name, handle in kinds.items() if handle.kind != "real"]
        why = "left as it was filled, because it is computed from parameters, or complex"
        self.said = (f"{why}: {some_of(left)}",) if left else ()
        made = made_up_of(session, {} if random else session.beside)
        self.loss: Loss | MadeUpLoss = made.loss if loss is None else loss
        self.own = loss is not None

    def gradient(self, here: Mapping[str, Array], samples: Array | None = None) -> tuple[float, Tensors]:
        """The loss at these values on the whole batch, and its gradient there: of the mean over `samples`, numbers from
        0 to 1 for each of the first axis of the output, unless the loss is the user's."""
        found = {name: np.zeros_like(values) for name, values in here.items()}
        for name, values in here.items():
            self.session.write(name, values)
        self.session.forward(_nothing)
        value, sent = judged(self.session, self.loss)

        def receive(place: Place, gradient: Handle) -> None:
            if place in found and isinstance(place, str):
                found[place] = gradient.array().astype(np.float64)

        if samples is None or sent is None:
            self.session.backward("loss", receive)
        else:
            whole = sent.array()
            share = samples.reshape(-1, *[1] * (whole.ndim - 1)) / max(float(samples.mean()), 1e-12)
            rows = (whole * share.astype(whole.dtype)).reshape(-1, whole.shape[-1] if whole.ndim else 1)
            self.session.backward("output", receive, signal=Signal(rows))
        return value, found

    def product(self, here: Tensors, gradient: Tensors, along: Tensors, samples: Array | None = None) -> Tensors:
        """The Hessian times a direction: a difference of gradients."""
        reach = self.step * length(here) / max(length(along), 1e-300)
        _, moved = self.gradient({name: here[name] + reach * along[name] for name in here}, samples)
        return {name: (moved[name] - gradient[name]) / reach for name in here}


def length(tensors: Mapping[str, Array]) -> float:
    """Root of the sum of all squares."""
    return float(np.sqrt(sum(float((values**2).sum()) for values in tensors.values())))


def inner(one: Mapping[str, Array], two: Mapping[str, Array]) -> Array:
    """Sum of products, of each tensor."""
    return np.array([float((one[name] * two[name]).sum()) for name in one])


def _nothing(operation: Operation, inputs: Sequence[Handle], outputs: Sequence[Handle]) -> tuple[()]:  # noqa: ARG001
    return ()
