"""What is known of tensors while a model runs, also after writes into memory that they share with others."""

import weakref
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch

from wellbegun.graph.axes import Derived, merge
from wellbegun.graph.provenance import Fixed, Known, Signal
from wellbegun.torch.trace.tensors import number_of, storage_of

Alias = Callable[[torch.Tensor, list[Signal], list[Derived]], None]


class Knowledge:
    """Tensor -> `Signal`, `Derived` or `Fixed`, by identity."""

    def __init__(self, given: Mapping[int, Derived], alias: Alias) -> None:
        """`given`: what is known of the model's own tensors, by id. `alias`: is told of a tensor that holds several
        values which depend on the batch, and gives it a new one."""
        self.given, self.alias = given, alias
        self._found: dict[int, Known] = {}
        self._alive: dict[int, Any] = {}  # a reference to each, so that no other one gets its id: weak to signals
        self._writes: dict[int, list[Signal | Derived]] = {}  # storage -> what was written into parts of it
        self._rewritten: dict[int, int] = {}  # storage of a constant -> the tensor it was written through, 0: several
        self._seen: dict[int, int] = {}  # tensor -> how many of these writes it takes into account

    def of(self, tensor: torch.Tensor) -> Known:
        """What is known of a tensor: a constant, if nothing was said."""
        found = self._found.get(id(tensor))
        if found is not None:
            return self._fresh(tensor, found) if self._writes else found
        own = self.given.get(id(tensor))
        found = own if own is not None else Fixed(number_of(tensor))
        self.remember(tensor, found)
        return found

    def remember(self, tensor: torch.Tensor, found: Known) -> None:
        """Say what a tensor is from now on."""
        key = id(tensor)
        if not isinstance(found, Signal):
            self._alive[key] = tensor
        elif key not in self._alive:  # memory of what the model needs no more is free for what comes next
            self._alive[key] = weakref.ref(tensor, partial(self._forget, key))
        self._found[key] = found
        if self._writes:
            self._seen[key] = len(self._writes.get(storage_of(tensor), ()))

    def _forget(self, key: int, _: Any) -> None:
        for kept in (self._alive, self._found, self._seen):
            kept.pop(key, None)

    def wrote(self, tensor: torch.Tensor) -> None:
        """After a write in place, every other view of the same memory holds a new value too, once it is read."""
        found = self._found[id(tensor)]
        if isinstance(found, Fixed):
            writer = self._rewritten.get(storage_of(tensor), id(tensor))
            self._rewritten[storage_of(tensor)] = id(tensor) if writer == id(tensor) else 0
        else:
            writes = self._writes.setdefault(storage_of(tensor), [])
            writes.append(found)
            self._seen[id(tensor)] = len(writes)

    def _fresh(self, tensor: torch.Tensor, found: Known) -> Known:
        """What a tensor holds after the writes into its memory that it has not seen."""
        writes = self._writes.get(storage_of(tensor), [])
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

    def constant(self, tensor: torch.Tensor) -> Known:
        """What is known of a tensor, if no other view of the same constant was written to."""
        writer = self._rewritten.get(storage_of(tensor), id(tensor))
        return self.of(tensor) if writer == id(tensor) else Fixed(lost=True)

    def close(self) -> None:
        """Let go of everything at once, and of whoever it tells of aliases, who holds this."""
        del self.alias
        for kept in (self._alive, self._found, self._seen, self._writes, self._rewritten):
            kept.clear()
