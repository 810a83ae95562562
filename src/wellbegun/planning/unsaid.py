"""Parameters that nothing can be said of: they stay as constructed, or get a safe law where nothing was constructed."""

from collections.abc import Iterator

from wellbegun._arguments import DTYPES
from wellbegun.errors import LayoutError, WellbegunError
from wellbegun.graph import Parameter, Role
from wellbegun.layout import Layout
from wellbegun.planning.method import Choice
from wellbegun.schemes import normal, ones, zeros

_FACTORS = frozenset({"multiplier", "residual_scale", "norm_scale", "distance_scale"})
_UNUSED = "is not used in the forward pass of this batch"


class Unsaid:
    """What is told of them: all names at once, by reason."""

    def __init__(self, *, named: bool = True) -> None:
        self._named = named  # whether the recipe is one of ours, which is made for any model
        self._kept: dict[str, list[str]] = {}  # reason -> parameters
        self._safe: list[str] = []
        self._layers: list[str] = []  # not used, and planned from their own layers

    def __bool__(self) -> bool:
        return bool(self._kept or self._layers)

    def tolerates(self, p: Parameter, error: WellbegunError) -> bool:
        """Whether a choice that cannot be carried out is our ignorance, and no fault of a recipe of the user's own."""
        return self._named or isinstance(error, LayoutError) or p.dtype not in DTYPES

    def kept(self, role: Role, recipe: str, error: str = "") -> str:
        """Take one up; why nothing can be said of it."""
        where = f" ({role.place})" if role.place else ""
        reason = _UNUSED if role.role == "unused" else error or f"is used in a way {recipe} has no rule for{where}"
        self._kept.setdefault(reason, []).append(role.parameter.name)
        return f"{reason}: kept as constructed"

    def layer(self, p: Parameter) -> str:
        """Take up one that is planned from its own layer; what its reason says of that."""
        self._layers.append(p.name)
        return f"not used by this batch, planned as its own layer ({p.owner}) uses it"

    def safe(self, p: Parameter, role: Role) -> tuple[Role, Choice]:
        """What memory gets that holds nothing, and was to be kept: factors 1, vectors 0, all else N(0, 0.02)."""
        self._safe.append(p.name)
        factor, flat = role.role in _FACTORS, len(p.shape) < 2
        scheme = ones() if factor else zeros() if flat else normal(std=0.02)
        reason = "nothing was constructed here that could be kept: a safe value"
        return Role(p, role.role, Layout("o" * len(p.shape)), role.place), Choice(scheme, reason)

    def refused(self) -> str:
        """The error of those who want none of it."""
        groups = dict(self._kept)
        groups.setdefault(_UNUSED, []).extend(self._layers)
        shown = "\n".join(f"  {', '.join(names)}: {reason}." for reason, names in groups.items() if names)
        return (
            f"plan: strict, and of {sum(map(len, groups.values()))} parameters nothing can be said; nothing was "
            f"changed.\n{shown}\nGive them rules, exclude them, or give a batch that uses them."
        )

    def notes(self) -> Iterator[str]:
        """What a plan says of them."""
        for reason, names in self._kept.items():
            left = [name for name in names if name not in self._safe]
            if left:
                yield f"Kept as constructed, because each {reason}: {', '.join(left)}."
        if self._layers:
            listed = ", ".join(self._layers)
            yield f"Not used in the forward pass of this batch, and planned as their own layers use them: {listed}."
        if self._safe:
            listed = ", ".join(self._safe)
            yield (
                "They were to be kept, and hold nothing: factors become 1, vectors 0, all else N(0, 0.02). Load them, "
                f"or give them rules: {listed}."
            )
