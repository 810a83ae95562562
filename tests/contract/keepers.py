"""Places in another file than the model's where code keeps what it has computed once, each as people write it."""

import contextvars
import functools
import itertools
import threading
import weakref
from collections import ChainMap, UserDict, deque, namedtuple
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import nn

Make = Callable[[], torch.Tensor]
Find = Callable[[Any, Make], torch.Tensor]
TABLE: Any = None
PAIR: Any = None
PARTIAL: Any = None
LATER: Any = None
RUNNING: Any = None
TURNS: Any = None
DICT: dict[str, Any] = {}
KEYS: dict[torch.Tensor, int] = {}
LIST: list[torch.Tensor] = []
SET: set[torch.Tensor] = set()
LAST: deque[torch.Tensor] = deque(maxlen=2)
OF_MODEL: Any = weakref.WeakKeyDictionary()
OF_LATER: Any = weakref.WeakValueDictionary()
CHAIN: Any = ChainMap({}, {})
USER: Any = UserDict()
SPACE = SimpleNamespace(table=None)
ARRAY = np.empty(1, dtype=object)
CONTEXT: contextvars.ContextVar[Any] = contextvars.ContextVar("table", default=None)
LOCAL = threading.local()
Pair = namedtuple("Pair", "table size")


@functools.lru_cache(maxsize=4)
def _cached(make: Make) -> torch.Tensor:
    return make()


def in_cache(_: Any, make: Make) -> torch.Tensor:
    return _cached(make)


def in_name(_: Any, make: Make) -> torch.Tensor:
    global TABLE  # noqa: PLW0603 - what a file keeps
    if TABLE is None:
        TABLE = make()
    return TABLE


def in_dict(_: Any, make: Make) -> torch.Tensor:
    if "table" not in DICT:
        DICT["table"] = make()
    return DICT["table"]


def deep_in_dict(_: Any, make: Make) -> torch.Tensor:
    DICT.setdefault("deep", {})
    if 4 not in DICT["deep"]:
        DICT["deep"][4] = ([(make(), 4)],)
    return DICT["deep"][4][0][0][0]


def as_key(_: Any, make: Make) -> torch.Tensor:
    if not KEYS:
        KEYS[make()] = 4
    return next(iter(KEYS))


def in_list(_: Any, make: Make) -> torch.Tensor:
    if not LIST:
        LIST.extend([make(), make()])
    return LIST[1]


def in_set(_: Any, make: Make) -> torch.Tensor:
    if not SET:
        SET.add(make())
    return next(iter(SET))


def in_deque(_: Any, make: Make) -> torch.Tensor:
    if not LAST:
        LAST.append(make())
    return LAST[-1]


def by_model(model: Any, make: Make) -> torch.Tensor:
    if model not in OF_MODEL:
        OF_MODEL[model] = make()
    return OF_MODEL[model]


def weakly(_: Any, make: Make) -> torch.Tensor:
    if "table" not in OF_LATER:
        LIST.append(make())
        OF_LATER["table"] = LIST[-1]
    return OF_LATER["table"]


def in_chain(_: Any, make: Make) -> torch.Tensor:
    if "table" not in CHAIN:
        CHAIN["table"] = make()
    return CHAIN["table"]


def in_user_dict(_: Any, make: Make) -> torch.Tensor:
    if "table" not in USER:
        USER["table"] = make()
    return USER["table"]


def in_namespace(_: Any, make: Make) -> torch.Tensor:
    if SPACE.table is None:
        SPACE.table = make()
    return SPACE.table


def in_array(_: Any, make: Make) -> torch.Tensor:
    if ARRAY[0] is None:
        ARRAY[0] = make()
    return ARRAY[0]


def in_context(_: Any, make: Make) -> torch.Tensor:
    if CONTEXT.get() is None:
        CONTEXT.set(make())
    return CONTEXT.get()


def in_thread(_: Any, make: Make) -> torch.Tensor:
    if not hasattr(LOCAL, "table"):
        LOCAL.table = make()
    return LOCAL.table


def on_function(_: Any, make: Make) -> torch.Tensor:
    if not hasattr(on_function, "table"):
        on_function.table = make()  # type: ignore[attr-defined]
    return on_function.table  # type: ignore[attr-defined]


def in_default(_: Any, make: Make, kept: Any = {}) -> torch.Tensor:  # noqa: B006 - as people have it
    if not kept:
        kept["table"] = make()
    return kept["table"]


def in_defaults(_: Any, make: Make) -> torch.Tensor:
    if in_defaults.__kwdefaults__ is None:
        in_defaults.__kwdefaults__ = {"table": make()}  # type: ignore[attr-defined]
    return in_defaults.__kwdefaults__["table"]  # type: ignore[attr-defined]


def _closed() -> Find:
    table = None

    def find(_: Any, make: Make) -> torch.Tensor:
        nonlocal table
        if table is None:
            table = make()
        return table

    return find


def _closed_later() -> Find:
    def find(_: Any, make: Make) -> torch.Tensor:
        nonlocal table, done
        if not done:
            table, done = make(), True
        return table

    done = False
    table: Any
    return find


def in_pair(_: Any, make: Make) -> torch.Tensor:
    global PAIR  # noqa: PLW0603
    if PAIR is None:
        PAIR = Pair(make(), 4)
    return PAIR.table


def in_partial(_: Any, make: Make) -> torch.Tensor:
    global PARTIAL  # noqa: PLW0603
    if PARTIAL is None:
        PARTIAL = functools.partial(torch.mul, make())
    return PARTIAL(1.0)


def in_lambda(_: Any, make: Make) -> torch.Tensor:
    global LATER  # noqa: PLW0603
    if LATER is None:
        table = make()
        LATER = lambda: table  # noqa: E731
    return LATER()


def _running(table: torch.Tensor) -> Iterator[torch.Tensor]:
    while True:
        yield table


def in_generator(_: Any, make: Make) -> torch.Tensor:
    global RUNNING  # noqa: PLW0603
    if RUNNING is None:
        RUNNING = _running(make())
    return next(RUNNING)


def in_iterator(_: Any, make: Make) -> torch.Tensor:
    global TURNS  # noqa: PLW0603
    if TURNS is None:
        TURNS = itertools.cycle([make(), make()])
    return next(TURNS)


class Holder:
    """Attributes of an object, of its class, of slots, computed once."""

    table: Any = None

    def __init__(self) -> None:
        self.own: Any = None
        self.make: Any = None

    @functools.cached_property
    def once(self) -> torch.Tensor:
        return self.make()

    @functools.lru_cache  # noqa: B019 - as libraries have it
    def method(self, make: Make) -> torch.Tensor:
        return make()


class Slots:
    __slots__ = ("table",)


@dataclass(frozen=True)
class Frozen:
    table: torch.Tensor


class Kinds(Enum):
    ONE = 1


HOLDER, SLOTS, ASIDE = Holder(), Slots(), nn.Module()


def on_object(_: Any, make: Make) -> torch.Tensor:
    if HOLDER.own is None:
        HOLDER.own = make()
    return HOLDER.own


def on_class(_: Any, make: Make) -> torch.Tensor:
    if Holder.table is None:
        Holder.table = make()
    return Holder.table


def once(_: Any, make: Make) -> torch.Tensor:
    HOLDER.make = make
    return HOLDER.once


def by_method(_: Any, make: Make) -> torch.Tensor:
    return HOLDER.method(make)


def in_slot(_: Any, make: Make) -> torch.Tensor:
    if not hasattr(SLOTS, "table"):
        SLOTS.table = make()
    return SLOTS.table


def in_frozen(_: Any, make: Make) -> torch.Tensor:
    if "frozen" not in DICT:
        DICT["frozen"] = Frozen(make())
    return DICT["frozen"].table


def on_enum(_: Any, make: Make) -> torch.Tensor:
    if not hasattr(Kinds.ONE, "table"):
        Kinds.ONE.table = make()  # type: ignore[attr-defined]
    return Kinds.ONE.table  # type: ignore[attr-defined]


def in_buffer(_: Any, make: Make) -> torch.Tensor:
    if not hasattr(ASIDE, "table"):
        ASIDE.register_buffer("table", make())
    return ASIDE.table


def in_parameter(_: Any, make: Make) -> torch.Tensor:
    if not hasattr(ASIDE, "weight"):
        ASIDE.weight = nn.Parameter(make())
    return ASIDE.weight


def as_attribute(_: Any, make: Make) -> torch.Tensor:
    if not hasattr(ASIDE, "sizes"):
        ASIDE.sizes = torch.arange(3)
        ASIDE.sizes.table = make()
    return ASIDE.sizes.table


def written(_: Any, make: Make) -> torch.Tensor:
    """Memory that is written after it was made, and of which a view is kept."""
    if "written" not in DICT:
        whole = torch.zeros(2, 4)
        DICT["written"] = whole[1]
        whole[1].copy_(make()).mul_(2)
        whole.div_(2)
    return DICT["written"]


def clear() -> None:
    """As if nothing had run."""
    global TABLE, PAIR, PARTIAL, LATER, RUNNING, TURNS  # noqa: PLW0603
    TABLE = PAIR = PARTIAL = LATER = RUNNING = TURNS = None
    for kept in (DICT, KEYS, LIST, SET, LAST, OF_MODEL, OF_LATER, CHAIN, USER, in_default.__defaults__[0]):
        kept.clear()
    SPACE.table = Holder.table = HOLDER.own = ARRAY[0] = None
    CONTEXT.set(None)
    in_defaults.__kwdefaults__ = None  # type: ignore[attr-defined]
    for place in (LOCAL, on_function, Kinds.ONE, ASIDE, SLOTS):
        for name in ("table", "weight", "sizes"):
            if hasattr(place, name):
                delattr(place, name)
    vars(HOLDER).pop("once", None)
    _cached.cache_clear()
    Holder.method.cache_clear()
    PLACES["closure"], PLACES["closure that is unset"] = _closed(), _closed_later()


PLACES: dict[str, Find] = {
    "cache": in_cache,
    "name of a file": in_name,
    "dict": in_dict,
    "deep in a dict": deep_in_dict,
    "key of a dict": as_key,
    "list": in_list,
    "set": in_set,
    "deque": in_deque,
    "weak keys": by_model,
    "weak values": weakly,
    "chain": in_chain,
    "user dict": in_user_dict,
    "namespace": in_namespace,
    "array": in_array,
    "context": in_context,
    "thread": in_thread,
    "function": on_function,
    "default": in_default,
    "defaults": in_defaults,
    "closure": _closed(),
    "closure that is unset": _closed_later(),
    "pair": in_pair,
    "partial": in_partial,
    "lambda": in_lambda,
    "generator": in_generator,
    "iterator": in_iterator,
    "object": on_object,
    "class": on_class,
    "property": once,
    "method": by_method,
    "slot": in_slot,
    "frozen record": in_frozen,
    "enumeration": on_enum,
    "buffer aside": in_buffer,
    "parameter aside": in_parameter,
    "attribute of a tensor": as_attribute,
    "memory written later": written,
}
