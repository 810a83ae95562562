"""How a whole model is initialized: choices from its graph and, where a method measures, a refinement on a batch."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeVar, runtime_checkable

from wellbegun._arguments import positive, real
from wellbegun.graph import ModelGraph, Role
from wellbegun.planning.plan import Plan
from wellbegun.schemes import scheme_of
from wellbegun.schemes.own import Given

KEEP = "keep"
"""In place of a scheme: the parameter stays as it is."""


@dataclass(frozen=True)
class Choice:
    """What a method chose for one parameter: a scheme or what `wellbegun.schemes.scheme_of` takes for one, or "keep".

    Raises:
        ArgumentError, ArgumentTypeError: a scheme that cannot be read, or a number that is not finite and above 0.

    >>> Choice("he_normal", "it feeds a relu").scheme, Choice(KEEP, "loaded").scheme
    (he_normal(), 'keep')
    """

    scheme: Given | str
    reason: str
    source: str = ""
    target: float | None = None  # RMS that the measured correction gives the output of this weight
    relative: bool = False  # the target is that of the whole branch, in units of the stream it is added to
    learning_rate: float = 1.0  # multiplier of the learning rate
    multiplier: float = 1.0  # of the parameter, in the forward pass

    def __post_init__(self) -> None:
        if self.scheme != KEEP:
            object.__setattr__(self, "scheme", scheme_of(self.scheme, "Choice"))
        positive("Choice", self, ("learning_rate", "multiplier"))
        if self.target is not None:
            real("Choice", "target", self.target, minimum=0.0, exclusive=True)


S = TypeVar("S")
Refine = Callable[[S, Plan], Plan]
"""From a session of the model, which is filled as planned, and the plan: the plan that suits this batch.

The session is a `wellbegun.backend.Session`, which a row above defines. The plan that comes back is carried out
afterwards, so what is done to the model through the session and does not stand in it is lost. If a refinement fails,
the model is filled by the plan before it."""


@runtime_checkable
class Method(Protocol):
    """What `wellbegun.plan` and `wellbegun.initialize` take as `recipe`. Named recipes are methods too.

    A choice may state a target for the size of a weight's output: `wellbegun.initialize` then measures and corrects. A
    method with an attribute `refine` (a `Refine`) is refined by that instead.
    """

    @property
    def full_name(self) -> str:
        """name@version, which plans record."""

    def choose(self, graph: ModelGraph, roles: Mapping[str, Role], decided: frozenset[str]) -> Mapping[str, Choice]:
        """A choice for each parameter, by name. One that is left out is kept, and said.

        Args:
            graph: The model.
            roles: What each parameter does.
            decided: Parameters that rules and options of the user's decide about.
        """

    def notes(self, roles: Mapping[str, Role]) -> tuple[str, ...]:
        """Sentences about what the method expects and this model lacks."""
