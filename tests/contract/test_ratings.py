"""Tables whose rows reach an output by themselves: numbers that are added to it, and products of rows."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch_models import Of

import wellbegun as wb

Forward = Callable[..., Any]
FIELDS = (0, 40, 100)  # where the rows of each of three fields begin in one table


def ids(*shape: int, below: int = 40) -> torch.Tensor:
    return torch.randint(0, below, shape, generator=torch.Generator().manual_seed(len(shape) + below))


def rows(samples: int = 4096) -> torch.Tensor:
    return ids(samples, 3) + torch.tensor(FIELDS)


def rms(found: torch.Tensor) -> float:
    return float(found.detach().square().mean().sqrt())


def squared(spelling: str) -> Forward:
    return {
        "pow": lambda x: x**2,
        "square": torch.square,
        "product": lambda x: x * x,
        "mul": lambda x: torch.mul(x, x),
    }[spelling]


@pytest.mark.parametrize("spelling", ["pow", "square", "product", "mul"])
def test_a_factorization_machine_starts_with_small_scores(spelling: str) -> None:
    square = squared(spelling)

    def forward(m: Any, x: torch.Tensor) -> torch.Tensor:
        e = m.factors(x)
        return 0.5 * (square(e.sum(1)) - square(e).sum(1)).sum(-1)

    model = Of(forward, factors=nn.Embedding(140, 16))
    unit = rms(model(rows()))
    wb.initialize(model, rows(), seed=0)
    assert unit > 5
    assert 0.005 < rms(model(rows())) < 0.02


def test_pairs_of_fields_by_a_product_of_matrices_start_with_small_scores() -> None:
    def forward(m: Any, x: torch.Tensor) -> torch.Tensor:
        e = m.factors(x)
        return (e @ e.mT).sum((1, 2)).sigmoid()

    model = Of(forward, factors=nn.Embedding(140, 16))
    wb.initialize(model, rows(), seed=0)
    with torch.no_grad():
        scores = model(rows()).logit()
    assert rms(scores) < 0.05  # a constant, of rows with themselves, is in it


@pytest.mark.parametrize("ending", ["logit", "probability", "two classes"])
def test_single_numbers_that_are_added_to_an_output_start_small_beside_whatever_else_gives_it(ending: str) -> None:
    ends: dict[str, Forward] = {
        "logit": lambda y: y,
        "probability": torch.sigmoid,
        "two classes": lambda y: torch.stack([y, -y], 1),
    }

    def forward(m: Any, x: torch.Tensor) -> torch.Tensor:
        deep = m.deep(m.table(x).flatten(1)).squeeze(-1)
        return ends[ending](m.wide(x).sum((1, 2)) + m.bag(x).squeeze(-1) + deep)

    model = Of(
        forward,
        wide=nn.Embedding(140, 1),
        bag=nn.EmbeddingBag(140, 1, mode="sum"),
        table=nn.Embedding(140, 8),
        deep=nn.Sequential(nn.Linear(24, 32), nn.ReLU(), nn.Linear(32, 1)),
    )
    plan = wb.plan(model, rows(64), seed=0)
    for name in ("wide.weight", "bag.weight"):
        assert plan[name].law.std == pytest.approx(0.1 / 6**0.5)  # type: ignore[union-attr]  # six are added up
    assert plan["table.weight"].law.std == 1.0  # type: ignore[union-attr]


def test_ratings_of_factors_and_biases_start_near_their_mean() -> None:
    def forward(m: Any, user: torch.Tensor, item: torch.Tensor) -> torch.Tensor:
        product = (m.users(user) * m.items(item)).sum(-1)
        return 3 + product + m.user_bias(user).squeeze(-1) + m.item_bias(item)[:, 0]

    wide, single = (lambda: nn.Embedding(40, 16)), (lambda: nn.Embedding(40, 1))
    model = Of(forward, users=wide(), items=wide(), user_bias=single(), item_bias=single())
    batch = (ids(4096), ids(4096, below=39))
    assert rms(model(*batch) - 3) > 3
    wb.initialize(model, batch, seed=0)
    assert rms(model(*batch) - 3) < 0.25


def test_factors_that_a_deep_part_reads_too_are_small() -> None:
    def forward(m: Any, x: torch.Tensor) -> torch.Tensor:
        e = m.factors(x)
        return 0.5 * (e.sum(1).square() - e.square().sum(1)).sum(-1) + m.deep(e.flatten(1)).squeeze(-1)

    model = Of(
        forward,
        factors=nn.Embedding(140, 16),
        deep=nn.Sequential(nn.Linear(48, 32), nn.ReLU(), nn.Linear(32, 1)),
    )
    assert wb.plan(model, rows(64), seed=0)["factors.weight"].law.std < 0.1  # type: ignore[union-attr]


KEPT_UNIT: dict[str, tuple[Forward, dict[str, nn.Module]]] = {
    "rows that are returned": (lambda m, x: m.table(x).sum(1), {"table": nn.Embedding(140, 8)}),
    "a number that multiplies what a layer gives": (
        lambda m, x: m.head(m.other(x).mean(1)) * m.table(x[:, 0]),
        {"table": nn.Embedding(140, 1), "other": nn.Embedding(140, 8), "head": nn.Linear(8, 1)},
    ),
    "numbers that a layer reads": (
        lambda m, x: m.head(m.table(x).flatten(1)),
        {"table": nn.Embedding(140, 1), "head": nn.Linear(3, 4)},
    ),
    "squares that a layer reads": (
        lambda m, x: m.head(m.table(x).square().sum(1)),
        {"table": nn.Embedding(140, 8), "head": nn.Linear(8, 4)},
    ),
}


@pytest.mark.parametrize("what", KEPT_UNIT)
def test_other_tables_are_not_small(what: str) -> None:
    forward, parts = KEPT_UNIT[what]
    plan = wb.plan(Of(forward, **parts), rows(64), seed=0)
    assert plan["table.weight"].law.std > 0.4  # type: ignore[union-attr]


def test_numbers_that_were_set_to_zero_stay() -> None:
    model = Of(lambda m, x: m.wide(x).sum((1, 2)) + m.deep(m.table(x).mean(1)).squeeze(-1),
               wide=nn.Embedding(140, 1), table=nn.Embedding(140, 8), deep=nn.Linear(8, 1))  # fmt: skip
    nn.init.zeros_(model.wide.weight)
    assert wb.plan(model, rows(64), seed=0)["wide.weight"].action == "keep"


PAIR = (ids(256), ids(256, below=39))


def rating(end: Forward) -> Of:
    def forward(m: Any, user: torch.Tensor, item: torch.Tensor) -> torch.Tensor:
        return end((m.users(user) * m.items(item)).sum(-1) + m.biases(item)[:, 0])

    return Of(forward, users=nn.Embedding(40, 16), items=nn.Embedding(40, 16), biases=nn.Embedding(40, 1))


@pytest.mark.parametrize(
    "end", [lambda y: 2 * y + 3, lambda y: 5 * y.sigmoid(), lambda y: 1 + 4 * y.sigmoid(), lambda y: y.tanh() * 5]
)
def test_what_bends_a_score_to_its_range_changes_nothing(end: Forward) -> None:
    plan = wb.plan(rating(end), PAIR, seed=0)
    assert max(plan[f"{name}.weight"].law.std for name in ("users", "items", "biases")) < 0.11  # type: ignore[union-attr]


@pytest.mark.parametrize("samples", [16, 4096])
def test_a_loss_that_is_returned_makes_tables_no_larger_for_a_large_batch(samples: int) -> None:
    def forward(m: Any, user: torch.Tensor, item: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        score = lambda each: (m.users(user) * m.items(each)).sum(-1) + m.biases(each)[:, 0]  # noqa: E731
        return -nn.functional.logsigmoid(score(item) - score(other)).mean()

    model = Of(forward, users=nn.Embedding(40, 16), items=nn.Embedding(40, 16), biases=nn.Embedding(40, 1))
    plan = wb.plan(model, (ids(samples), ids(samples, below=39), ids(samples, below=38)), seed=0)
    assert plan["biases.weight"].law.std == pytest.approx(0.1 / 2**0.5)  # type: ignore[union-attr]
    assert plan["users.weight"].law.std < 0.06  # type: ignore[union-attr]


@pytest.mark.parametrize("price", [1.0, 1e-2, 1e-6])
def test_a_penalty_on_rows_beside_the_output_is_no_score(price: float) -> None:
    def forward(m: Any, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        e = m.table(x)
        return m.head(torch.relu(m.hidden(e))), price * e.pow(2).mean()

    model = Of(forward, table=nn.Embedding(140, 16), hidden=nn.Linear(16, 32), head=nn.Linear(32, 4))
    assert wb.plan(model, rows(64), seed=0)["table.weight"].law.std == 1.0  # type: ignore[union-attr]


def test_no_table_is_larger_than_unit_where_its_rows_are_divided() -> None:
    model = Of(lambda m, i, j: (m.skill(i) - m.skill(j))[:, 0] / 400, skill=nn.Embedding(40, 1))
    assert wb.plan(model, PAIR, seed=0)["skill.weight"].law.std <= 1  # type: ignore[union-attr]


def test_a_codebook_of_numbers_is_none_of_offsets() -> None:
    def forward(m: Any, x: torch.Tensor) -> torch.Tensor:
        return m.codes((x[:, None] - m.codes.weight[:, 0]).abs().argmin(1))

    model = Of(forward, codes=nn.Embedding(16, 1))
    plan = wb.plan(model, torch.randn(64, generator=torch.Generator().manual_seed(0)), seed=0)
    assert plan["codes.weight"].law.std == 1.0  # type: ignore[union-attr]


def test_a_table_that_this_batch_does_not_use_is_none_of_them() -> None:
    model = Of(
        lambda m, x: m.head(m.table(x).mean(1)).log_softmax(-1),
        table=nn.Embedding(140, 8),
        types=nn.Embedding(2, 8),
        head=nn.Linear(8, 4),
    )
    plan = wb.plan(model, rows(64), seed=0)
    assert plan["types.weight"].law.std == 1.0  # type: ignore[union-attr]
    assert not any("fault" in note for note in plan.notes)
