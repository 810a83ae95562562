"""A table whose rows are all the same tells nothing apart: found, unless something else of the batch is."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

import wellbegun as wb


def ids(*shape: int) -> torch.Tensor:
    return torch.randint(1, 40, shape, generator=torch.Generator().manual_seed(1))


class Reader(nn.Module):
    """Ids, and what `beside` makes of them or of anything else that is given, through two layers."""

    def __init__(self, table: nn.Module, beside: Callable[[Any, Any], torch.Tensor] = lambda _, h: h) -> None:
        super().__init__()
        self.table, self.beside = table, beside
        self.other, self.places = nn.Embedding(40, 16), nn.Parameter(torch.randn(6, 16))
        self.inside, self.out = nn.Linear(16, 16), nn.Linear(16, 5)

    def forward(self, t: torch.Tensor, *given: torch.Tensor) -> torch.Tensor:
        bag = isinstance(self.table, nn.EmbeddingBag)
        read = self.table(t, *given) if bag else (self.table(t), *given) if given else self.table(t)
        h = self.beside(self, read)
        return self.out(torch.relu(self.inside(h)))


def table(value: Any, kind: type[nn.Module] = nn.Embedding, **options: Any) -> nn.Module:
    made = kind(40, 16, **options)
    rows = made.weight.detach()[1:2].clone() if isinstance(value, str) else torch.tensor(value)
    with torch.no_grad():
        made.weight.copy_(rows.expand(40, 16))
        if "padding_idx" in options or value == "one zero":
            made.weight[0] = 0
        if value == "half":
            made.weight[20:] = torch.randn(20, 16)
    return made


def attended(model: Any, given: Any) -> torch.Tensor:
    """One head whose mask hides what pads."""
    h, mask = given
    h = h + model.places
    return (h @ h.mT / 16 + (1 - mask[:, None].float()) * -1e4).softmax(-1) @ h


MASK = torch.ones(8, 6, dtype=torch.long).index_fill(1, torch.tensor([5]), 0)
MASK[0] = 1
BAD: dict[str, tuple[nn.Module, Callable[..., Any], tuple[Any, ...]]] = {
    "zeros": (table(0.0), lambda _, h: h, (ids(8, 6),)),
    "the same row, one of which pads": (table("same", padding_idx=0), lambda _, h: h, (ids(8, 6),)),
    "beside places": (table(0.5), lambda m, h: h + m.places, (ids(8, 6),)),
    "with dropout": (table(0.5), lambda _, h: functional.dropout(h, 0.2), (ids(8, 6),)),
    "a bag": (table("same", nn.EmbeddingBag), lambda _, h: h, (ids(8, 6),)),
    "under a mask": (table("same"), attended, (ids(8, 6), MASK)),
    "beside places that the batch holds": (
        table(0.0), lambda m, g: g[0] + m.other(g[1]), (ids(8, 6), torch.arange(6).expand(8, 6).clone())
    ),
    "in one sample": (table("same"), lambda _, h: h, (ids(1, 6),)),
}  # fmt: skip
GOOD: dict[str, tuple[nn.Module, Callable[..., Any], tuple[Any, ...]]] = {
    "beside another table": (table(0.0), lambda m, g: g[0] + m.other(g[1]), (ids(8, 6), ids(8, 6).flip(0))),
    "added to a signal": (table(0.0), lambda _, g: g[0] + g[1], (ids(64), torch.randn(64, 16))),
    "of one id": (table(0.0), lambda m, g: g[1] + g[0], (torch.zeros(64, dtype=torch.long), torch.randn(64, 16))),
    "in one sample of one id": (table("same"), lambda _, h: h, (ids(1),)),
    "of which one row is zero and pads nothing": (table("one zero"), lambda _, h: h.mean(1), (ids(64, 6) % 3,)),
    "whose rows differ": (nn.Embedding(40, 16), lambda m, h: h + m.places, (ids(8, 6),)),
    "whose samples are equal": (nn.Embedding(40, 16), lambda _, h: h, (ids(6)[None].repeat(8, 1),)),
}

PADDED = (ids(8, 6) * (torch.arange(6) < torch.arange(8)[:, None] % 5 + 1),)
GOOD |= {
    "beside noise": (table(0.0), lambda _, h: h + torch.randn(8, 16), (ids(8),)),
    "beside noise that a layer reads": (table("same"), lambda m, h: h + m.inside(torch.randn(8, 16)), (ids(8),)),
    "that scales and shifts what noise becomes": (
        table(0.0), lambda m, h: torch.relu(m.inside(torch.randn(8, 16))) * (1 + h) + h, (ids(8),)
    ),
    "whose rows are summed up to where they pad": (table("same", padding_idx=0), lambda _, h: h.sum(1), PADDED),
    "in sums of bags of different lengths": (
        table(0.5, nn.EmbeddingBag, mode="sum"), lambda _, h: h, (ids(20), torch.tensor([0, 3, 9, 11, 18]))
    ),
    "of which rows that differ are read": (table("half"), lambda _, h: h, (torch.arange(20, 40),)),
}  # fmt: skip
BAD |= {
    "in means over what does not pad": (
        table("same", padding_idx=0),
        lambda _, g: (g[0] * g[1][..., None]).sum(1) / g[1].sum(1, keepdim=True),
        (*PADDED, (PADDED[0] > 0).long()),
    ),
    "beside places, and with rows that pad": (table("same", padding_idx=0), lambda m, h: h + m.places, PADDED),
    "of which equal rows are read": (table("half"), lambda _, h: h, (torch.arange(20),)),
}
READS: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "an index": lambda w, t: w[t],
    "gather": lambda w, t: w.gather(0, t[:, None].expand(-1, 16)),
    "gather, along the other axis": lambda w, t: w.T.gather(1, t[None].expand(16, -1)).T,
    "take": lambda w, t: w.take(t[:, None] * 16 + torch.arange(16)),
    "index_select": lambda w, t: w.index_select(0, t),
    "rows one by one": lambda w, t: torch.stack([w[int(k)] for k in t]),
    "a choice": lambda w, t: torch.where(t[:, None] % 2 == 0, w[0], w[1]),
    "a product with 0 and 1": lambda w, t: functional.one_hot(t, 40).float() @ w,
    "einsum": lambda w, t: torch.einsum("nk,kd->nd", (t[:, None] == torch.arange(40)).float(), w),
    "a masked sum": lambda w, t: (functional.one_hot(t, 40)[..., None] * w).sum(1),
}


@pytest.mark.parametrize("trained", [True, False])
@pytest.mark.parametrize("name", READS)
def test_by_whatever_a_table_is_read(name: str, trained: bool) -> None:
    class Picks(nn.Module):
        def __init__(self, rows: torch.Tensor) -> None:
            super().__init__()
            self.rows = nn.Parameter(rows) if trained else nn.Buffer(rows)
            self.net = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 5))

        def forward(self, t: torch.Tensor) -> torch.Tensor:
            return self.net(READS[name](self.rows, t))

    t, rows = torch.arange(24), torch.randn(40, 16, generator=torch.Generator().manual_seed(1))
    assert wb.check(Picks(rows), t).healthy
    for equal in (rows[:1].repeat(40, 1), torch.zeros(40, 16)):
        found = [one for one in wb.check(Picks(equal), t).findings if one.code == "W103"]
        assert [one.parameter for one in found] == ["rows" if trained else ""]
        assert "scales" not in found[0].remedy
        assert trained or "no parameter" in found[0].remedy


@pytest.mark.parametrize("name", BAD)
def test_a_table_of_equal_rows_is_found(name: str) -> None:
    torch.manual_seed(0)
    made, beside, batch = BAD[name]
    found = [one for one in wb.check(Reader(made, beside), batch).findings if one.code == "W103"]
    assert [one.parameter for one in found] == ["table.weight"]
    assert "only=['table.weight']" in found[0].remedy


@pytest.mark.parametrize("name", GOOD)
def test_a_table_beside_what_tells_samples_apart_is_healthy(name: str) -> None:
    torch.manual_seed(0)
    made, beside, batch = GOOD[name]
    assert "W103" not in wb.check(Reader(made, beside), batch).codes


def test_a_table_that_nothing_reads_but_the_loss_may_be_zero() -> None:
    assert wb.check(table(0.0), ids(8, 6)).healthy


@pytest.mark.parametrize(("columns", "ones"), [(100_000, 1), (100_000, 8), (1_000, 8)])
def test_a_product_that_picks_a_few_rows_is_no_growth_of_the_signal(columns: int, ones: int) -> None:
    torch.manual_seed(0)
    batch = torch.zeros(32, columns)
    for row in batch:
        row[torch.randperm(columns)[:ones]] = 1.0
    model = nn.Sequential(nn.Linear(columns, 32), nn.ReLU(), nn.Linear(32, 10))
    for std, codes in ((1.0, set()), (0.02, set()), (300.0, {"W102"})):
        nn.init.normal_(model[0].weight, std=std)
        assert {*wb.check(model, batch).codes} & {"W101", "W102"} == codes
    dense = nn.Sequential(nn.Linear(1000, 32), nn.ReLU(), nn.Linear(32, 10))
    nn.init.normal_(dense[0].weight, std=10.0)
    assert "W102" in wb.check(dense, torch.randn(32, 1000)).codes  # the control: nothing is picked here


# ---------------------------------------------------------------------- rows that Python's own numbers pick
BY_HAND: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "lists": lambda w, t: torch.stack([torch.stack([w[k] for k in row]) for row in t.tolist()]),
    "a list of places": lambda w, t: torch.stack([w[row] for row in t.tolist()]),
    "a tensor of lists": lambda w, t: w[torch.tensor(t.tolist())],
    "a dictionary": lambda w, t: torch.stack([torch.stack([dict(enumerate(w))[k] for k in row]) for row in t.tolist()]),
}


@pytest.mark.parametrize("places", [False, True])
@pytest.mark.parametrize("way", BY_HAND)
def test_rows_that_numbers_of_python_pick(way: str, places: bool) -> None:
    class ByHand(nn.Module):
        def __init__(self, rows: torch.Tensor) -> None:
            super().__init__()
            self.rows, self.places = nn.Buffer(rows), nn.Parameter(torch.randn(6, 16))
            self.net = nn.Sequential(nn.Flatten(), nn.Linear(96, 32), nn.ReLU(), nn.Linear(32, 5))

        def forward(self, t: torch.Tensor) -> torch.Tensor:
            read = BY_HAND[way](self.rows, t)
            return self.net(read + self.places if places else read)

    assert wb.check(ByHand(torch.randn(40, 16)), ids(8, 6)).codes == ()
    assert "W103" in wb.check(ByHand(torch.zeros(40, 16) + 0.5), ids(8, 6)).codes


# ---------------------------------------------------------------------- rows that are next to nothing
class Held(nn.Module):
    """A table that nothing trains, beside or instead of one that is trained."""

    def __init__(self, size: float, *between: nn.Module, beside: bool = False) -> None:
        super().__init__()
        self.rows, self.other, self.beside = nn.Buffer(size * torch.randn(40, 16)), nn.Embedding(40, 16), beside
        self.net = nn.Sequential(*between, nn.Linear(16, 32, bias=False), nn.ReLU(), nn.Linear(32, 5, bias=False))

    def forward(self, t: torch.Tensor) -> torch.Tensor:
        return self.net(self.rows[t] + self.other(t) if self.beside else self.rows[t])


@pytest.mark.parametrize("size", [1e-8, 1e-6])
def test_a_table_that_nothing_trains_must_not_be_next_to_nothing(size: float) -> None:
    torch.manual_seed(0)
    assert "W101" in wb.check(Held(size), ids(32)).codes
    assert "W101" in wb.check(nn.Linear(16, 5, bias=False), size * torch.randn(32, 16)).codes
    assert wb.check(Held(size, beside=True), ids(32)).codes == ()
    assert wb.check(Held(size, nn.RMSNorm(16, eps=0.0)), ids(32)).codes == ()
    assert wb.check(Held(0.01), ids(32)).codes == ()
