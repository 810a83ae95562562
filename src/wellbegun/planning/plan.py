"""A plan: every parameter with what will be done to it and why. Plain data, made before anything is written."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from types import MappingProxyType
from typing import Any, SupportsFloat

import numpy as np

from wellbegun._arguments import (
    choice,
    message,
    nearest,
    positive,
    real,
    seed_of,
    shape_of,
    shown,
    text_of,
    told,
    truth,
)
from wellbegun._display import Displayed
from wellbegun._typing import Array
from wellbegun.errors import ArgumentError, ArgumentTypeError, RuleError, WellbegunError
from wellbegun.laws import Dependent, Given, Law, Moments, law_from_dict, scaled_rows
from wellbegun.layout import Layout
from wellbegun.planning.groups import grouped
from wellbegun.planning.multipliers import Rates, Training
from wellbegun.streams import STREAM_VERSION

FORMAT = 1
ACTIONS = ("fill", "keep", "tie")
_TUPLES = ("shape", "meets", "overruled")
_NAMES = ("name", "dtype", "role", "scheme", "stream", "reason", "source", "owner", "place", "decided_by")
_KINDS: Mapping[str, type] = {"law": Law, "layout": Layout, "training": Training}


@dataclass(frozen=True)
class Entry:
    """One parameter. `law` speaks of the canonical axis order of `layout`; None unless the action is "fill"."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    action: str  # fill, keep, tie
    role: str
    layout: Layout | None
    scheme: str
    law: Law | None
    stream: str  # name of the random stream: the parameter's own
    reason: str
    source: str = ""
    tied_to: str | None = None
    owner: str = ""  # class name of the module that holds it
    place: str = ""  # where in the model it is used
    meets: tuple[str, ...] = ()  # what its output meets first, then other activations
    decided_by: str = ""  # recipe, rule or option
    overruled: tuple[str, ...] = ()  # rules that match too, and lost
    target: float | None = None  # RMS that the measured correction gives the weight's output
    relative: bool = False  # the target is that of the whole branch, in units of the stream it is added to
    factor: float = 1.0  # what was multiplied with the recipe's law by measurement; of units, the geometric mean
    learning_rate: float = 1.0  # multiplier of the learning rate that the initialization asks for, as in muP
    multiplier: float = 1.0  # what the forward pass has to multiply this parameter with: the model's author sees to it
    training: Training | None = None  # what each kind of optimizer multiplies, where a parametrization says so

    def __post_init__(self) -> None:
        positive("plan", self, ("learning_rate", "multiplier"))

    def rates(self, optimizer: str) -> Rates:
        """What a kind of optimizer multiplies for it: "sgd", "adamw" or "muon"."""
        found: Rates = Rates(self.learning_rate) if self.training is None else getattr(self.training, optimizer)
        return found

    def moments(self) -> Moments | None:
        """Exact moments of one value; None for parameters that are not filled or have no values."""
        if self.law is None or self.layout is None or 0 in self.shape:
            return None
        return self.law.moments(self.layout.canonical_shape(self.shape))

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready data."""
        found = {field.name: getattr(self, field.name) for field in fields(self)}
        found.update({key: list(getattr(self, key)) for key in _TUPLES})
        found["layout"] = None if self.layout is None else asdict(self.layout)
        found["law"] = None if self.law is None else self.law.to_dict()
        del found["training"]
        return found if self.training is None else found | {"training": self.training.to_dict()}

    def check(self) -> None:
        """Raise ArgumentError where a field says what it cannot."""
        owner = f"plan: {shown(str(self.name))[:80]}"
        for name in _NAMES:
            text_of(owner, name, getattr(self, name))
        if self.tied_to is not None:
            text_of(owner, "tied_to", self.tied_to)
        choice(owner, "action", self.action, ACTIONS)
        shape_of(owner, self.shape if isinstance(self.shape, tuple) else str(self.shape))
        if self.action == "fill" and self.law is None:
            raise ArgumentError(message(owner, "law", "there, to fill it", self.law))
        for name in _TUPLES[1:]:
            _texts(owner, name, getattr(self, name))
        truth(owner, "relative", self.relative)
        for name in ("factor", *(("target",) if self.target is not None else ())):
            real(owner, name, getattr(self, name))
        for name, kind in _KINDS.items():
            if not isinstance(getattr(self, name), kind | None):
                raise ArgumentTypeError(
                    message(owner, name, f"a {kind.__name__.lower()}, or None", getattr(self, name))
                )

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> "Entry":
        """Read back what `to_dict` gave."""
        stored: dict[str, Any] | None = data["layout"]
        layout = None
        if stored is not None:
            arguments: Any = {key: tuple(v) if isinstance(v, list) else v for key, v in stored.items()}
            layout = Layout(**arguments)
        law = None if data["law"] is None else law_from_dict(data["law"])
        tuples = {key: _tuple(data[key]) for key in _TUPLES if key in data}
        training = Training.from_dict(data["training"]) if data.get("training") else None
        return Entry(**{**data, **tuples, "layout": layout, "law": law, "training": training})


@dataclass(frozen=True, repr=False)
class Plan(Displayed):
    """What will be done, for every parameter of a model, from one seed. `wellbegun.show(plan)` prints it."""

    entries: tuple[Entry, ...]
    recipe: str  # name@version
    seed: int
    notes: tuple[str, ...] = ()
    format: int = FORMAT
    stream_version: int = STREAM_VERSION

    def __getitem__(self, name: str) -> Entry:
        if not isinstance(name, str):
            raise ArgumentTypeError(
                message("plan", "parameter", "the name of one", name, "To go through all of them, take plan.entries.")
            )
        for entry in self.entries:
            if entry.name == name:
                return entry
        raise RuleError(
            message(
                "plan", "parameter", "one of the model's", name, nearest(name, [entry.name for entry in self.entries])
            )
        )

    def __len__(self) -> int:
        return len(self.entries)

    def __repr__(self) -> str:
        counts = ", ".join(f"{sum(e.action == action for e in self.entries)} to {action}" for action in ACTIONS)
        return f"<Plan {self.recipe}, seed {self.seed}: {counts}>"

    def scaled(self, factors: Mapping[str, float | Array], why: Mapping[str, str] = MappingProxyType({})) -> "Plan":
        """The plan with the laws of these parameters multiplied, and those that follow from them with them.

        Args:
            factors: Above 0, by names of parameters; only those that are filled change. An array has a factor for each
                output unit.
            why: What else the reasons say of a factor.
        Raises:
            RuleError: the plan has no such parameter. ArgumentError: a factor that is not finite and above 0, or not
                one for each unit.
        """
        for name in factors:
            for factor in np.ravel(factors[name]).tolist():
                real("plan.scaled", f"the factor of {self[name].name}", factor, minimum=0.0, exclusive=True)
        entries = (_times(entry, np.ravel(factors.get(entry.name, 1.0)), why) for entry in self.entries)
        return replace(self, entries=tuple(entries)).consistent()

    def holding(self, values: Mapping[str, Array], why: Mapping[str, str]) -> "Plan":
        """The plan in which these parameters are filled with given numbers, which it keeps.

        Args:
            values: Arrays in the shapes of the parameters, by their names.
            why: The reasons.
        Raises:
            RuleError: the plan has no such parameter. ArgumentError: another size, or numbers that are not finite.
        """
        given = {name: (self[name], np.asarray(array)) for name, array in values.items()}
        entries = {name: _holding(entry, array, why[name]) for name, (entry, array) in given.items()}
        return replace(self, entries=tuple(entries.get(entry.name, entry) for entry in self.entries)).consistent()

    def consistent(self) -> "Plan":
        """The same plan, with every law that depends on another entry computed from the law which that one has now.

        A bias that cancels a mean becomes zeros where its weight is not filled.

        Raises:
            RuleError: a parameter copies another one, which is not filled.
        """
        laws = {entry.stream: entry.law for entry in self.entries if entry.action == "fill"}
        entries = (
            _dependent(entry, entry.law, laws.get(entry.law.stream)) if isinstance(entry.law, Dependent) else entry
            for entry in self.entries
        )
        return replace(self, entries=tuple(entries))

    def param_groups(
        self,
        parameters: Any = None,
        *,
        lr: SupportsFloat,
        weight_decay: SupportsFloat = 0.0,
        eps: SupportsFloat = 1e-8,
        optimizer: str = "adamw",
        no_decay: Iterable[str] = (),
    ) -> list[dict[str, Any]]:
        """Groups of parameters with the settings that the plan's multipliers give them, for an optimizer.

        Args:
            parameters: Pairs of names and parameters, or a mapping: `model.named_parameters()`. What is not trained is
                left out, and what has several names comes once. None: groups hold names.
            lr: Learning rate at the base model's sizes, above 0.
            weight_decay, eps: Settings there: the decay of torch's optimizers, and the ε of Adam.
            optimizer: "sgd", "adamw" (Adam too) or "muon": then "use_muon" of a group tells whether it holds matrices
                for `torch.optim.Muon`, or what AdamW is to train.
            no_decay: Globs over roles, such as "bias" and "norm_*", that are not decayed.
        Returns:
            Dicts with "params", "lr", "weight_decay", for AdamW "eps", and "name", one for each. `wellbegun.jax.labels`
            puts these names into the tree of a JAX model, as optax asks for them.
        Raises:
            ArgumentError, ArgumentTypeError: a bad setting. RuleError: parameters the plan does not have, or none that
                is trained.

        >>> from wellbegun.planning import Entry, Rates, Training
        >>> rates = Training(adamw=Rates(learning_rate=0.25, weight_decay=4.0))
        >>> entry = Entry("w", (4, 4), "float32", "keep", "hidden", None, "keep", None, "", "", training=rates)
        >>> Plan((entry,), "mup@1", 0).param_groups(lr=0.1, weight_decay=0.01)[0]["lr"]
        0.025
        """
        asked = {"lr": lr, "weight_decay": weight_decay, "eps": eps}
        return grouped(self.entries, parameters, asked, optimizer, no_decay)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready data; the same seed, recipe and laws replay bit for bit."""
        return {
            "format": self.format,
            "stream_version": self.stream_version,
            "recipe": self.recipe,
            "seed": self.seed,
            "notes": list(self.notes),
            "entries": [entry.to_dict() for entry in self.entries],
        }

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> "Plan":
        """Read back what `to_dict` gave; ArgumentError if the format is another one."""
        if not isinstance(data, Mapping) or data.get("format") != FORMAT:
            got = data.get("format") if isinstance(data, Mapping) else type(data).__name__
            raise ArgumentError(message("plan", "format", f"{FORMAT}", got))
        if data.get("stream_version") != STREAM_VERSION:
            raise ArgumentError(message("plan", "stream_version", f"{STREAM_VERSION}", data.get("stream_version")))
        try:
            entries = tuple(Entry.from_dict(entry) for entry in data["entries"])
            plan = Plan(entries, data["recipe"], seed_of("plan", data["seed"]), _tuple(data["notes"]))
        except WellbegunError:
            raise
        except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
            text = f"plan: an entry is incomplete, has an unknown field or a value of a wrong type ({told(error)})"
            raise ArgumentError(text) from error
        plan.check()
        return plan

    def check(self) -> None:
        """Raise ArgumentError where an entry says what no entry can: a plan may come from a file or be made by hand."""
        text_of("plan", "recipe", self.recipe)
        _texts("plan", "notes", self.notes)
        seen = set[str]()
        for entry in self.entries:
            entry.check()
            if entry.name in seen:
                raise ArgumentError(f"plan: {shown(entry.name)[:80]} has two entries. Keep one of them.")
            seen.add(entry.name)


def _tuple(value: Any) -> Any:
    """What JSON holds as a list; anything else stays what it is, to be told."""
    return tuple(value) if isinstance(value, list) else value


def _texts(owner: str, argument: str, value: object) -> None:
    if not isinstance(value, tuple) or not all(isinstance(item, str) for item in value):
        raise ArgumentTypeError(message(owner, argument, "a list of texts", value))


def _times(entry: Entry, factors: Array, why: Mapping[str, str]) -> Entry:
    """An entry with its law multiplied, by one number or one for each output unit."""
    if entry.law is None or (factors == 1.0).all():
        return entry
    low, high, more = factors.min(), factors.max(), f", {why[entry.name]}" if entry.name in why else ""
    if len(factors) == 1:
        law, times = entry.law.scaled(float(low)), f"x {low:.4g}"
    else:
        axes = entry.layout.axes.count("o") if entry.layout is not None else 1
        law, times = scaled_rows(entry.law, factors, axes), f"each unit x {low:.4g} to {high:.4g}"
        law.fits(entry.shape if entry.layout is None else entry.layout.canonical_shape(entry.shape))
    factor = float(low) if len(factors) == 1 else float(np.exp(np.log(factors).mean()))
    return replace(entry, law=law, factor=entry.factor * factor, reason=f"{entry.reason}; {times} measured{more}")


def _holding(entry: Entry, values: Array, reason: str) -> Entry:
    layout = entry.layout or Layout("o" * len(entry.shape))
    law = Given.of(values.reshape(entry.shape).transpose(layout.canonical))
    return replace(entry, action="fill", layout=layout, law=law, scheme="given", reason=reason)


def _dependent(entry: Entry, own: Dependent, law: Law | None) -> Entry:
    """An entry whose law follows from another one's, which is `law` now; None: that one is not filled."""
    if law is None and own.alone is None:
        raise RuleError(f"plan: {entry.name} holds {own.describe()}, which is not filled. Give it another rule.")
    if law is None:
        reason = f"bias starts at 0: {own.stream} is kept, so the mean of its inputs cannot be cancelled"
        return replace(entry, law=own.alone, scheme="zeros()", reason=reason, source="")
    return replace(entry, law=replace(own, law=law)) if law != own.law else entry
