"""One forward and at most two backward passes of a session -> Statistics. Nothing about the model changes."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from wellbegun._typing import Array, Progress, phase
from wellbegun.backend import Backend, Batch, Effect, Handle, Loss, Model, OwnLoss, Place, Scale, Session
from wellbegun.graph import WEIGHTED, Analysis, ModelGraph, Operation, Role, roles_of
from wellbegun.graph.inference import doubt_notes, inferred
from wellbegun.graph.notes import some_of
from wellbegun.graph.walk import around, cut_off_by
from wellbegun.health import LossStats, Origin, Statistics
from wellbegun.health.catalogue import FACTOR
from wellbegun.measure.forward import ForwardStatistics
from wellbegun.measure.inputs import input_stats
from wellbegun.measure.joins import before_opening, behind, opening
from wellbegun.measure.losses import MadeUp, agreeing, axis_of_classes, judged, made_up_of, misfit
from wellbegun.measure.operations import Seen, attention_stats, operation_stats, stream_stats, weights
from wellbegun.measure.origin import buffer_stats, origin_of
from wellbegun.measure.parameters import ParameterStatistics
from wellbegun.measure.samples import correlation, rms
from wellbegun.measure.signals import Way, aimless, length_of, random_signal, read_out
from wellbegun.measure.tables import blank_tables, codebook_stats
from wellbegun.measure.uniform import uniform_output

_FACTORS = frozenset({"scale", "norm_scale"})
_SIGNED = 0.1  # a loss with readouts of zero that is smaller may be a sum of both signs


def probe(
    backend: Backend,
    model: Model,
    batch: Batch = None,
    loss: Loss | None = None,
    *,
    chance: float | None = None,
    progress: Progress | None = None,
) -> Statistics:
    """Measure a model, however it was initialized.

    Args:
        backend: The framework of the model.
        model: Any model, in the mode (train or eval) it is to be judged in.
        batch: As for `wellbegun.plan`.
        loss: Function of the model's output giving a scalar; None makes one up (and says which).
        chance: What that loss would be for a model that knows nothing.
        progress: Called as progress(done, all, what) before each module runs, and before the backward pass.
    Cost: one forward pass, one backward pass of the loss, and one of a random signal as far as the first weight, unless
        the gradient of the loss is as good as random.
    """
    with backend.session(model, batch) as session:
        forward = ForwardStatistics(session)
        session.forward(forward, progress=phase(progress, "measure"))
        return statistics(session, forward, loss, chance=chance, progress=progress)


@inferred("where values stop being finite", lambda *_: None)
def _origin(_: ForwardStatistics, session: Session, loss: Loss | OwnLoss | None) -> Origin | None:
    return origin_of(session, loss)


@inferred("a loss of the model's own", lambda *_: None)
def _own_loss(_: ForwardStatistics, session: Session) -> OwnLoss | None:
    return session.own_loss


@inferred("what a loss is with readouts that give zero", lambda *_: None)
def _silenced(_: ForwardStatistics, session: Session, roles: Mapping[str, Role], own: OwnLoss) -> float | None:
    """A loss of the model's own where its readouts say nothing, by another pass; None where that does not tell what it
    is by chance: losses of both signs may come near zero."""
    last = {operation.index for operation, role in weights(session.graph, roles) if role.role == "readout"}

    def silence(
        operation: Operation,
        inputs: Sequence[Handle],  # noqa: ARG001 - its place is that of the protocol
        outputs: Sequence[Handle],
    ) -> Sequence[Effect]:
        return [Scale(0.0, values=tuple(outputs[:1]))] if operation.index in last else ()

    if not last or not own.learns or own.value <= _SIGNED:
        return None
    session.forward(silence)
    found = session.judge(own).value
    return found if found > _SIGNED else None


@inferred("what the batch holds beside the inputs", lambda *_: {})
def _beside(_: ForwardStatistics, session: Session) -> Mapping[str, Array]:
    return session.beside


def statistics(
    session: Session,
    forward: ForwardStatistics,
    loss: Loss | None,
    *,
    chance: float | None = None,
    progress: Progress | None = None,
) -> Statistics:
    """What a pass has shown, and what is sent back through it; another one, where values are not finite."""
    if progress is not None:
        progress(0, 1, "backward")
    graph = Analysis.of(session.graph)
    roles = roles_of(graph)
    back = _Back(session, forward, roles)
    lost, gain = back.both_ways(loss, chance)
    injected = back.silent and back.nothing_came(graph) and back.inject(graph)
    wanted = _wanted(session, loss, back.taken)
    opens = _opening(graph, back.parameters)
    asleep = _asleep(graph, back.parameters, wanted, opens)
    seen = Seen(forward, back.gradients, session.places, wanted, asleep)
    came_in, trained = forward.first_input, _trained(forward, back.parameters)
    doubts = doubt_notes(forward.doubts)
    found = Statistics(
        operation_stats(graph, roles, seen),
        back.parameters.stats(graph, wanted),
        lost,
        back.size,
        injected,
        tuple(dict.fromkeys((*(f"{text}." for text in session.made), *graph.told, *doubts, *back.notes))),
        stream_stats(graph, roles, seen),
        attention_stats(graph, seen),
        gain,
        back.way.relative(gain, back.size),
        None if came_in is None else correlation(came_in),
        input_stats(graph, forward.inputs, forward.cast),
        session.differentiable,
        buffer_stats(session.buffers),
        codebook_stats(graph, forward),
        None,
        trained,
        blank_tables(graph, forward, wanted),
        before_opening(graph, forward, opens),
        None if injected or opens else uniform_output(graph, session, forward, back.parameters.handles),
    )
    found = replace(found, notes=(*found.notes, *_elsewhere(found)))
    if not found.finite:
        return replace(found, origin=_origin(forward, session, back.taken or loss))
    own = back.taken if lost.chance is None else None
    return found if own is None else _against_silence(found, lost, _silenced(forward, session, roles, own))


def _against_silence(found: Statistics, lost: LossStats, silenced: float | None) -> Statistics:
    """A loss of the model's own beside what it is where readouts give zero."""
    told = "It is not judged without `chance`; all else is."
    if silenced is not None:
        told = f"With readouts that give zero it is {silenced:.3g}, by which it is judged: `chance` may tell better."
    note = f"Gradients are those of {lost.description}, {lost.value:.3g}. {told}"
    return replace(found, loss=replace(lost, chance=silenced, at_zero=silenced is not None), notes=(*found.notes, note))


def _elsewhere(found: Statistics) -> tuple[str, ...]:
    """Parameters that are used where nothing sees it, as by functions with a way back of their own, and those of other
    outputs than a loss is made up for."""
    trained = [p for p in found.parameters if p.trainable]
    unseen = [p.name for p in trained if not p.used and p.gradient]
    told = f"Gradients arrive at {some_of(unseen)}, which no operation of the model was seen to read"
    notes = [f"{told}: what is computed of that was not looked at."] if unseen else []
    others = [p.name for p in trained if p.elsewhere and p.gradient is None and found.by_made_up]
    told = "of which other outputs are made: a loss that takes these, too, sends one"
    return (*notes, f"No gradient is sent to {some_of(others)}, {told}.") if others else tuple(notes)


@inferred("whether its values were trained", lambda *_: "")
def _trained(_: ForwardStatistics, parameters: ParameterStatistics) -> str:
    return parameters.signs_of_training()


@inferred("what lies behind zeros that are meant", lambda *_: ())
def _asleep(
    graph: Analysis, parameters: ParameterStatistics, wanted: Collection[int] | None, opens: Collection[int]
) -> Collection[int]:
    outputs = wanted or graph.outputs
    zeros = {operation.index for name in parameters.by_design(graph) for operation, _ in graph.uses_of(name)}
    scales = [(o, use.parameter) for o, use in graph.uses() if use.slot in _FACTORS and use.exact]
    shut = {o.index for o, name in scales if name in parameters.handles and not parameters.handles[name].largest()}
    zeros |= {index for index in shut if around(graph, {index}, outputs)}
    asleep = cut_off_by(graph, zeros, outputs) if zeros else frozenset()
    return asleep | behind(graph, opens, outputs) if opens else asleep


def _opening(graph: Analysis, parameters: ParameterStatistics) -> frozenset[int]:
    """Learned factors next to nothing that alone bring the batch to a stream."""
    factors = [(o.index, use.parameter) for o, use in graph.uses() if use.slot in _FACTORS and use.exact]
    sizes = {name: parameters.handles[name].largest() for _, name in factors if name in parameters.trained}
    return opening(graph, {index for index, name in factors if sizes.get(name, 1.0) < FACTOR})


def _wanted(session: Session, loss: Loss | None, own: OwnLoss | None) -> frozenset[int] | None:
    """The values that the loss is taken of; None if that cannot be told."""
    if own is not None:
        return own.ends
    main = session.main
    return None if main is None or (loss is not None and len(session.graph.outputs) > 1) else frozenset({main})


class _Back:
    """What is sent back through one pass."""

    def __init__(self, session: Session, forward: ForwardStatistics, roles: Mapping[str, Role]) -> None:
        self.session, self.forward, self.roles = session, forward, roles
        self.notes: list[str] = []
        self.taken: OwnLoss | None = None  # if it is what was judged
        self.gradients: dict[int, float] = {}  # operation -> norm of the gradient at its output
        self.parameters = ParameterStatistics(session, roles, self.gradients)
        self.size = rms(session.output)
        self.way = Way.of(session.graph, roles, session, forward)
        self.silent = _may_be_silent(session.graph, roles, self.parameters.handles)

    def receive(self, place: Place, gradient: Handle) -> None:
        """Take a gradient when it arrives."""
        if isinstance(place, str):
            self.parameters.receive(place, gradient)
        else:
            self.gradients[place] = math.hypot(self.gradients.get(place, 0.0), gradient.norm())

    def both_ways(self, loss: Loss | None, chance: float | None) -> tuple[LossStats, float | None]:
        """Gradients, and how much signals grow on the way back: by one pass if the loss sends a random signal. Where it
        may be silent the graph is kept for another pass, and this one tells nothing of the growth."""
        session, beside = self.session, _beside(self.forward, self.session)
        lost, sent, limit = self._made_up(beside, chance) if loss is None else self._given(loss, chance, beside)
        if beside and self.taken is None:
            lost = replace(lost, misfit=misfit(session.output, usual=axis_of_classes(session), beside=beside))
        if self.silent:
            session.backward("loss", self.receive, again=True)
            return lost, None
        length = sent.norm() if sent is not None and limit and session.differentiable else 0.0
        random = aimless(length, limit)
        gain = None if random else self.way.of_random()
        session.backward("loss", self.receive)
        return lost, self.way.of_loss(self.gradients, length) if random else gain

    def _made_up(self, beside: Mapping[str, Array], chance: float | None) -> tuple[LossStats, Handle | None, float]:
        """Judged by one of the model's own, where that is what it learns from, or by a loss that is made up: the
        gradient that it sends, and the most that this may be to be random."""
        own = _own_loss(self.forward, self.session)
        known = None if own is None else agreeing(self.session, own.value)
        if own is not None and math.isfinite(own.value) and (own.evident or known is not None):
            return self._own(own, known, chance), None, 0.0
        given = made_up_of(self.session, beside)
        value, sent = self.session.judge(given.loss)
        if beside:
            what = "is what the loss is taken of" if given.fits else "fits no loss that is made up, so it was not used"
            self.notes.append(f"What the batch holds beside the inputs {what}: {given.description}.")
        if own is not None and not math.isclose(own.value, value, rel_tol=1e-4):
            told = "To judge it, give it: loss=lambda output: ..., chance=..."
            self.notes.append(f"The model gives a loss itself, {own.value:.3g}. Judged is {given.description}. {told}")
        if own is not None and not math.isfinite(own.value):
            return LossStats(own.value, None, "the loss that the model gives"), sent, given.limit
        if chance is not None and not given.fits:
            self.notes.append(f"`chance` is not that of {given.description}: give the loss that it is of, too.")
        usual = chance if given.fits else None
        told_by = not self.passed()
        return given.stats(value, self.session.output, self.size, told=told_by, chance=usual), sent, given.limit

    def _own(self, own: OwnLoss, known: MadeUp | None, chance: float | None) -> LossStats:
        """Judged by what the model returns as its loss; its chance is known if it is one that would be made up."""
        self.taken = own
        about = "the mean of the losses that the model gives" if own.each else "the loss that the model gives"
        about = f"the sum of the {n} losses that the model gives" if (n := len(own.places)) > 1 else about
        if known is not None:
            found = known.stats(own.value, self.session.output, self.size, told=not self.passed(), chance=chance)
            self.session.judge(own)
            return replace(found, made_up=False, description=f"{about}, which is {known.description}")
        return LossStats(self.session.judge(own).value, chance, about)

    def _given(
        self, loss: Loss, chance: float | None, beside: Mapping[str, Array]
    ) -> tuple[LossStats, Handle | None, float]:
        """Judged by the user's loss, whose chance is known if it is one that would be made up."""
        session, about = self.session, "the given loss"
        known = made_up_of(session, beside) if beside and chance is None else None
        same = session.judge(known.loss).value if known is not None and known.fits else math.nan
        value, sent = judged(session, loss)
        size = None
        if known is not None and math.isclose(value, same, rel_tol=1e-4):
            size = known.targets_rms
            chance, about = known.chance, f"the given loss, which is {known.description}"
        if chance is None:
            self.notes.append(f"The given loss is {value:.3g}. It is not judged without `chance`; all else is.")
        if session.given:
            taken = ", ".join(f"{name}: {key}" for name, key in session.given.items())
            self.notes.append(f"The loss is given what the batch holds beside the inputs ({taken}).")
        return LossStats(value, chance, about, targets_rms=size), sent, 0.0

    def passed(self) -> bool:
        """Whether the output holds numbers of the batch that no weight has seen, as a mean that is added again."""
        graph, main = self.session.graph, self.session.main
        read = {operation.index for operation in graph.operations if operation.kind in (*WEIGHTED, "lookup")}
        return bool(read) and main is not None and around(graph, read, [main])

    def nothing_came(self, graph: ModelGraph) -> bool:
        """Whether there are hidden operations, and no gradient has reached one."""
        hidden = [operation.index for operation, role in weights(graph, self.roles) if role.role != "readout"]
        return bool(hidden) and not any(self.gradients.get(index) for index in hidden)

    def inject(self, graph: ModelGraph) -> bool:
        """A random unit signal sent back from what the readouts read, to see how the net behind it carries them.

        Those of parameters stay what they are by the loss."""
        start = read_out(graph, self.roles, self.session.places, self.forward)
        if start is None or not self.session.trained:
            return False
        output = self.forward.weighted.get(start) or self.forward.sums[start]
        signal = random_signal(output.shape, complex=output.complex)

        def receive(place: Place, gradient: Handle) -> None:
            if not isinstance(place, str):
                self.gradients[place] = math.hypot(self.gradients.get(place, 0.0), gradient.norm())

        self.session.backward(start, receive, signal=signal)
        self.gradients[start] = length_of(signal)
        return True


def _may_be_silent(graph: ModelGraph, roles: Mapping[str, Role], handles: Mapping[str, Handle]) -> bool:
    """Whether all readouts are zero: they pass no gradient back at the first step, which says nothing of the rest."""
    names = [role.parameter.name for _, role in weights(graph, roles) if role.role == "readout"]
    return bool(names) and all(handles[name].largest() == 0 for name in names)
