"""Where two plans decide otherwise. Plain data."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from wellbegun._arguments import instance
from wellbegun._display import Displayed
from wellbegun.planning.plan import Entry, Plan

FIELDS = (
    "shape",
    "dtype",
    "role",
    "action",
    "tied_to",
    "layout",
    "scheme",
    "law",
    "stream",
    "learning_rate",
    "multiplier",
    "training",
)


@dataclass(frozen=True)
class Change:
    """One parameter that two plans treat differently, or that only one of them has."""

    name: str
    kind: str  # changed, added, removed
    fields: tuple[str, ...]  # of FIELDS, those that differ; () unless changed
    before: Entry | None
    after: Entry | None

    @property
    def stds(self) -> tuple[float | None, float | None]:
        """Standard deviation of one value before and after; None where nothing is filled."""
        return _std(self.before), _std(self.after)

    @property
    def ratio(self) -> float | None:
        """Standard deviation after over that before, where both are positive."""
        before, after = self.stds
        return after / before if before and after else None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready data: [before, after] for each field that differs."""
        pair = _data(self.before), _data(self.after)
        fields = {key: [side.get(key) for side in pair] for key in self.fields}
        return {
            "name": self.name,
            "kind": self.kind,
            "fields": fields,
            "reasons": [side.get("reason") for side in pair],
            "stds": list(self.stds),
            "ratio": self.ratio,
        }


@dataclass(frozen=True, repr=False)
class PlanDiff(Displayed):
    """What differs between two plans. `wellbegun.show(diff)` prints it."""

    changes: tuple[Change, ...]  # in the order of the first plan; what only the second has comes last
    same: int  # number of parameters without a difference
    recipes: tuple[str, str]
    seeds: tuple[int, int]

    @property
    def identical(self) -> bool:
        """Whether both plans give the same bits."""
        return not self.changes and self.seeds[0] == self.seeds[1]

    def __len__(self) -> int:
        return len(self.changes)

    def __repr__(self) -> str:
        seeds = (
            f"seed {self.seeds[0]}" if self.seeds[0] == self.seeds[1] else f"seeds {self.seeds[0]} and {self.seeds[1]}"
        )
        return f"<PlanDiff {' -> '.join(self.recipes)}: {len(self)} differ, {self.same} are the same, {seeds}>"

    def __getitem__(self, name: str) -> Change:
        return {change.name: change for change in self.changes}[name]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready data."""
        return {
            "recipes": list(self.recipes),
            "seeds": list(self.seeds),
            "same": self.same,
            "changes": [change.to_dict() for change in self.changes],
        }


def diff(before: Plan, after: Plan) -> PlanDiff:
    """Where `after` decides otherwise than `before`, parameter by parameter; reasons alone are no difference.

    Args:
        before, after: Two plans, of one model or of two.
    Returns:
        A `PlanDiff`: `.changes`, `.identical`, `diff[name]`.
    Raises:
        ArgumentTypeError: one of them is no plan.

    >>> diff(Plan((), "classic@1", 0), Plan((), "classic@1", 1))
    <PlanDiff classic@1 -> classic@1: 0 differ, 0 are the same, seeds 0 and 1>
    """
    for argument, given in (("before", before), ("after", after)):
        instance("diff", argument, given, Plan)
    old, new = _by_name(before), _by_name(after)
    names = dict.fromkeys((*old, *new))
    changes = [change for name in names if (change := _change(name, old.get(name), new.get(name)))]
    same = len(names) - len(changes)
    return PlanDiff(tuple(changes), same, (before.recipe, after.recipe), (before.seed, after.seed))


def _by_name(plan: Plan) -> Mapping[str, Entry]:
    return {entry.name: entry for entry in plan.entries}


def _change(name: str, before: Entry | None, after: Entry | None) -> Change | None:
    if before is None or after is None:
        return Change(name, "added" if before is None else "removed", (), before, after)
    fields = tuple(key for key in FIELDS if getattr(before, key) != getattr(after, key))
    if before.action != after.action:  # a stream exists where something is filled
        fields = tuple(key for key in fields if key != "stream")
    return Change(name, "changed", fields, before, after) if fields else None


def _data(entry: Entry | None) -> dict[str, Any]:
    return {} if entry is None else entry.to_dict()


def _std(entry: Entry | None) -> float | None:
    moments = None if entry is None else entry.moments()
    return None if moments is None else float(moments.variance**0.5)
