"""The one sentence at the top, and what to do next."""

from dataclasses import dataclass
from typing import Literal

from wellbegun.health import Health
from wellbegun.planning import Plan, SignalPropagation
from wellbegun.racing.results import Race
from wellbegun.reports.html.parts import plural, shown


@dataclass(frozen=True)
class Verdict:
    """What a reader in a hurry takes along."""

    kind: Literal["good", "bad", "note"]
    badge: str
    sentence: str
    next: str
    code: str = ""  # what to paste
    also: tuple[str, ...] = ()

    @property
    def sign(self) -> str:
        """A shape beside the colour."""
        return {"good": "✓", "bad": "✗", "note": "i"}[self.kind]


def health_verdict(
    health: Health, before: Health | None = None, theory: SignalPropagation | None = None, race: Race | None = None
) -> Verdict:
    """Whether the model is ready to train."""
    faults = [finding for finding in health.findings if finding.severity == "unhealthy"]
    remarks = len(health.findings) - len(faults)
    also = [text for text in (_before(before), _loss(health), _theory(theory), _race(race)) if text]
    if faults:
        first = faults[0]
        more = f", and {plural(len(faults) - 1, 'more finding')}" if len(faults) > 1 else ""
        sentence = f"Not ready to train: {first.title} at {first.place}{more}."
        return Verdict("bad", "unhealthy", sentence, f"Next, for {first.code}:", first.remedy, tuple(also))
    count = len(health.statistics.operations)
    kept = f"signal and gradient stay within their bounds through {plural(count, 'weighted operation')}"
    told = f" {plural(remarks, 'remark')} below." if remarks else ""
    return Verdict("good", "healthy", f"Ready to train: {kept}.", f"Next: train it.{told}", also=tuple(also))


def _before(before: Health | None) -> str:
    if before is None:
        return ""
    state = "healthy" if before.healthy else f"unhealthy ({', '.join(before.codes)})"
    return f"Before, it was {state}."


def _loss(health: Health) -> str:
    loss = health.statistics.loss
    if loss is None:
        return ""
    chance = f"; guessing gives {shown(loss.chance)}" if loss.chance is not None else ""
    return f"First loss {shown(loss.value)}{chance} ({loss.description})."


def _theory(found: SignalPropagation | None) -> str:
    return "" if found is None or not found.flagged else propagation_verdict(found).sentence


def _race(race: Race | None) -> str:
    return "" if race is None else f"Race: {race.verdict}."


def race_verdict(race: Race) -> Verdict:
    """Who learns fastest, and whether that is certain."""
    named = race.verdict.startswith(race.candidates)  # a name stays as it is written
    sentence = (race.verdict if named else race.verdict[:1].upper() + race.verdict[1:]) + "."
    if not race.standings or not race.standings[0].steps:
        return Verdict("bad", "no result", sentence, "Next: look at the errors of the trials below.")
    first = race.standings[0]
    use = f"{first.candidate} with {first.best_optimizer} at rate {first.best_rate:g}"
    if race.winner is None:
        return Verdict("note", "undecided", sentence, f"Next: race with more seeds, or take {use}.")
    return Verdict("good", "decided", sentence, f"Next: train {use}.")


def propagation_verdict(found: SignalPropagation) -> Verdict:
    """Whether the model is what its plan says."""
    known = sum(row.second.theory is not None for row in found)
    off = len(found.flagged)
    if off:
        sentence = f"Theory and measurement differ at {off} of {plural(len(found), 'operation')}, first at"
        sentence = f"{sentence} {found.flagged[0].place}."
        return Verdict("note", "differs", sentence, "Next: see whether its weight and what it computes are as planned.")
    reach = f"{known} of {plural(len(found), 'operation')}"
    sentence = f"Measured as theory says, which reaches {reach}: none of them is off."
    return Verdict("good", "as theory says", sentence, "Next: train it.")


def plan_verdict(plan: Plan) -> Verdict:
    """What a plan would do."""
    filled = sum(entry.action == "fill" for entry in plan.entries)
    sentence = (
        f"A plan for {plural(len(plan), 'parameter')}: {filled:,} to fill by {plan.recipe} from seed {plan.seed}."
    )
    return Verdict("note", "plan", sentence, "Next:", "wb.apply(model, plan); wb.show(wb.check(model, batch))")
