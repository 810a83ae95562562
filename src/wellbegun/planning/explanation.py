"""Everything that is known about one parameter of a plan. Plain data."""

from dataclasses import dataclass
from typing import Any

from wellbegun._arguments import instance
from wellbegun._display import Displayed
from wellbegun.errors import LayoutError
from wellbegun.laws import Moments
from wellbegun.layout import Fans
from wellbegun.planning.plan import Entry, Plan
from wellbegun.schemes import card_named
from wellbegun.streams import stream_key


@dataclass(frozen=True, repr=False)
class Explanation(Displayed):
    """One parameter, and why it gets what it gets. `wellbegun.show(explanation)` prints it."""

    entry: Entry
    fans: tuple[Fans, ...]  # of each section of the layout; () where nothing is summed, as in a bias
    formula: str  # of the scheme, from its documentation
    moments: Moments | None  # exact, of one value
    support: tuple[float, float] | None
    seed: int
    key: tuple[int, int, int, int] | None  # of the random stream
    tied: tuple[str, ...] = ()  # other names of the same storage

    def __repr__(self) -> str:
        return f"<Explanation of {self.entry.name}: {self.entry.scheme or self.entry.action}, {self.entry.reason}>"

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready data: the entry of the plan, and what follows from it."""
        return {
            **self.entry.to_dict(),
            "fans": [fans._asdict() for fans in self.fans],
            "formula": self.formula,
            "std": None if self.moments is None else float(self.moments.variance**0.5),
            "moments": None if self.moments is None else self.moments._asdict(),
            "support": None if self.support is None else list(self.support),
            "seed": self.seed,
            "key": None if self.key is None else list(self.key),
            "tied": list(self.tied),
        }


def explain(plan: Plan, name: str) -> Explanation:
    """Everything about one parameter: where it stands, who decided, the law with exact numbers, its stream.

    Args:
        plan: The plan.
        name: Dotted name of a parameter.
    Raises:
        RuleError: the plan has no such parameter. ArgumentTypeError: no plan.

    >>> entry = Entry("b", (4,), "float32", "keep", "bias", None, "keep", None, "", "frozen")
    >>> explain(Plan((entry,), "classic@1", 0), "b")
    <Explanation of b: keep, frozen>
    """
    entry = instance("explain", "plan", plan, Plan)[name]
    key = stream_key(plan.seed, entry.stream) if entry.stream else None
    support = None if entry.law is None else entry.law.support()
    tied = tuple(other.name for other in plan.entries if other.tied_to == entry.name)
    return Explanation(entry, _fans(entry), _formula(entry.scheme), entry.moments(), support, plan.seed, key, tied)


def _fans(entry: Entry) -> tuple[Fans, ...]:
    if entry.layout is None:
        return ()
    try:
        return tuple(dict.fromkeys(entry.layout.section_fans(entry.shape)))
    except LayoutError:  # no axis is summed over
        return ()


def _formula(scheme: str) -> str:
    card = card_named(scheme.partition("(")[0])
    return card.formula if card is not None else ""
