"""What may mend a finding, as data: calls that can be tried before they are printed; and whether one has helped."""

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from wellbegun.health.findings import Finding, Health

_RISE = 1e4  # growth of the gradient of a weight that was set to zero, from which it has been made worse
_HIDES = ("W401", "W901")  # beside which ratios are not looked at


class Remedy(NamedTuple):
    """A call of `initialize` on the model and batch that were checked. No globs match but the names themselves."""

    only: tuple[str, ...] = ()  # none: all of the model
    rules: tuple[tuple[str, str], ...] = ()
    unless: str = ""  # when it must not be carried out

    def __str__(self) -> str:
        """Python to paste.

        >>> print(Remedy(("head.weight",), (("head.weight", "zeros"),)))
        wb.initialize(model, batch, only=['head.weight'], rules=[('head.weight', 'zeros')])
        """
        only = f", only=[{', '.join(map(repr, self.only))}]" if self.only else ""
        rules = f", rules=[{', '.join(map(repr, self.rules))}]" if self.rules else ""
        unless = f"  # unless {self.unless}" if self.unless else ""
        return f"wb.initialize(model, batch{only}{rules}){unless}"


def mends(remedy: Remedy, found: "Finding", before: "Health", after: "Health") -> bool:
    """Whether a remedy has removed a finding, also as a remark, and brought no other code.

    Where values were not finite, nothing else had been looked at: what is found behind them was there before.
    """
    same, were = ([f for f in health.findings if f.code == found.code] for health in (after, before))
    if len(same) >= len(were) or any(f.place == found.place for f in same):
        return False
    hidden = found.code in _HIDES
    return (hidden or set(after.codes) <= set(before.codes)) and not _steeper(remedy, before, after)


def _steeper(remedy: Remedy, before: "Health", after: "Health") -> bool:
    """Whether a weight that the remedy sets to zero then gets a far larger gradient, as behind a division by its
    length."""
    zeroed = {name for name, scheme in remedy.rules if scheme == "zeros"}
    sizes = {p.name: p.gradient for p in before.statistics.parameters if p.gradient}
    return any(
        p.name in sizes and not (p.gradient or 0.0) <= _RISE * sizes[p.name]
        for p in after.statistics.parameters
        if p.name in zeroed
    )
