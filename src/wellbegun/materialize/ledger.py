"""After writing: each parameter exactly one of filled, kept, tied."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any, Literal, get_args

from wellbegun._display import Displayed
from wellbegun.errors import RuleError
from wellbegun.planning import Plan

Outcome = Literal["filled", "kept", "tied"]
_OUTCOMES: Mapping[str, Outcome] = MappingProxyType({"fill": "filled", "keep": "kept", "tie": "tied"})


@dataclass(frozen=True)
class Record:
    """What happened to one parameter."""

    name: str
    outcome: Outcome
    law: str = ""
    reason: str = ""


@dataclass(frozen=True, repr=False)
class Ledger(Displayed):
    """What happened to every parameter. `wellbegun.show(ledger)` prints it."""

    records: tuple[Record, ...]
    seed: int

    def counts(self) -> dict[str, int]:
        """Number of parameters for each outcome.

        >>> Ledger((Record("w", "filled"), Record("b", "kept")), seed=0).counts()
        {'filled': 1, 'kept': 1, 'tied': 0}
        """
        numbers = Counter(record.outcome for record in self.records)
        return {outcome: numbers[outcome] for outcome in get_args(Outcome)}

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready data."""
        return {"seed": self.seed, "counts": self.counts(), "records": [asdict(record) for record in self.records]}

    def __repr__(self) -> str:
        return f"<Ledger, seed {self.seed}: {', '.join(f'{n} {outcome}' for outcome, n in self.counts().items())}>"

    def __getitem__(self, name: str) -> Record:
        return {record.name: record for record in self.records}[name]


def settle(plan: Plan, written: Sequence[str], remarks: Mapping[str, str] = MappingProxyType({})) -> Ledger:
    """The ledger of a plan and the names that were written, each exactly once; anything else is an error.

    `remarks`: what became of the values of some parameters, which is added to their reasons.
    """
    twice = sorted(name for name, count in Counter(written).items() if count > 1)
    expected = {entry.name for entry in plan.entries if entry.action == "fill"}
    missing, extra = sorted(expected - set(written)), sorted(set(written) - expected)
    if twice or missing or extra:
        raise RuleError(f"ledger: written twice {twice}, planned but not written {missing}, not planned {extra}.")
    records = []
    for entry in plan.entries:
        reason = "; ".join(filter(None, (entry.reason, remarks.get(entry.name))))
        records.append(
            Record(entry.name, _OUTCOMES[entry.action], "" if entry.law is None else repr(entry.law), reason)
        )
    return Ledger(tuple(records), plan.seed)
