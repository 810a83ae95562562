"""What is known of tensors while a model runs, also after writes into memory that they share with others."""

import weakref
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Generic, TypeVar

from wellbegun.graph.axes import Derived, merge
from wellbegun.graph.function import Scalar
from wellbegun.graph.provenance import Fixed, Known, Signal

T = TypeVar("T")  # the framework's tensors


class Knowledge(Generic[T]):
    """Tensor -> `Signal`, `Derived` or `Fixed`, by identity."""

    def __init__(
        self,
        given: Mapping[int, Derived],
        alias: Callable[[T, list[Signal], list[Derived]], None],
        memory: Callable[[T], int],
        number: Callable[[T], Scalar | None],
    ) -> None:
        """
        Args:
            given: What is known of the model's own tensors, by id.
            alias: Is told of a tensor that holds several values which depend on the batch, and gives it a new one.
            memory: A number for the memory that a tensor shares with its views.
            number: The value of a tensor of one entry, if it has one.
        """
        self.given, self.alias, self.memory, self.number = given, alias, memory, number
        self._found: dict[int, Known] = {}
        self._alive: dict[int, Any] = {}  # a reference to each, so that no other one gets its id: weak to signals
        self._writes: dict[int, list[Signal | Derived]] = {}  # storage -> what was written into parts of it
        self._rewritten: dict[int, int] = {}  # storage of a constant -> the tensor it was written through, 0: several
        self._seen: dict[int, int] = {}  # tensor -> how many of these writes it takes into account

    def of(self, tensor: T) -> Known:
        """What is known of a tensor: a constant, if nothing was said."""
        found = self._found.get(id(tensor))
        if found is not None:
            return self._fresh(tensor, found) if self._writes else found
        own = self.given.get(id(tensor))
        found = own if own is not None else Fixed(self.number(tensor))
        self.remember(tensor, found)
        return found

    def remember(self, tensor: T, found: Known) -> None:
        """Say what a tensor is from now on."""
        key = id(tensor)
        if not isinstance(found, Signal):
            self._alive[key] = tensor
        elif key not in self._alive:  # memory of what the model needs no more is free for what comes next
            self._alive[key] = weakref.ref(tensor, partial(self._forget, key))
        self._found[key] = found
        if self._writes:
            self._seen[key] = len(self._writes.get(self.memory(tensor), ()))

    def _forget(self, key: int, _: Any) -> None:
        for kept in (self._alive, self._found, self._seen):
            kept.pop(key, None)

    def wrote(self, tensor: T) -> None:
        """After a write in place, every other view of the same memory holds a new value too, once it is read."""
        found = self._found[id(tensor)]
        if isinstance(found, Fixed):
            writer = self._rewritten.get(self.memory(tensor), id(tensor))
            self._rewritten[self.memory(tensor)] = id(tensor) if writer == id(tensor) else 0
        else:
            writes = self._writes.setdefault(self.memory(tensor), [])
            writes.append(found)
            self._seen[id(tensor)] = len(writes)

    def _fresh(self, tensor: T, found: Known) -> Known:
        """What a tensor holds after the writes into its memory that it has not seen."""
        writes = self._writes.get(self.memory(tensor), [])
        unseen = writes[self._seen.get(id(tensor), 0) :]
        if not unseen:
            return found
        both = [found, *unseen]
        signals = [known for known in both if isinstance(known, Signal)]
        derived = [known for known in both if isinstance(known, Derived)]
        if signals:
            self.alias(tensor, signals, derived)
        else:
            self.remember(tensor, merge(derived))
        return self._found[id(tensor)]

    def constant(self, tensor: T) -> Known:
        """What is known of a tensor, if no other view of the same constant was written to."""
        writer = self._rewritten.get(self.memory(tensor), id(tensor))
        return self.of(tensor) if writer == id(tensor) else Fixed(lost=True)

    def close(self) -> None:
        """Let go of everything at once, and of whoever it tells of aliases, who holds this."""
        del self.alias
        for kept in (self._alive, self._found, self._seen, self._writes, self._rewritten):
            kept.clear()
