"""Masks that come with the batch, as padding does, leave attentions what they are."""

from collections.abc import Callable

import pytest
import torch

import wellbegun as wb

Hides = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def softmax(logits: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return logits.softmax(-1)


class Masked(torch.nn.Module):
    def __init__(self, hide: Hides, weigh: Hides | None = None) -> None:
        super().__init__()
        self.hide, self.weigh, self.drop = hide, weigh or softmax, torch.nn.Dropout(0.1)
        self.query, self.key, self.value, self.out, self.head = (torch.nn.Linear(16, 16) for _ in range(5))

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        logits = self.hide(self.query(x) @ self.key(x).mT / 4, mask[:, None])
        weights = self.drop(self.weigh(logits, mask[:, None]).masked_fill(~mask[:, :, None], 0.0))
        return self.head(self.out(weights @ self.value(x)))


HIDDEN: dict[str, Hides] = {
    "filled": lambda a, mask: a.masked_fill(~mask, -torch.inf),
    "filled where zero": lambda a, mask: a.masked_fill(mask.long() == 0, -1e9),
    "filled in place": lambda a, mask: a.masked_fill_(~mask, -1e9),
    "where, a number": lambda a, mask: torch.where(mask, a, -torch.inf),
    "where, a tensor": lambda a, mask: torch.where(mask, a, torch.tensor(-1e9)),
    "where, many": lambda a, mask: torch.where(~mask, torch.full_like(a, -1e9), a),
    "with what is later": lambda a, mask: a.masked_fill(torch.ones(5, 5).triu(1).bool() | ~mask, -torch.inf),
    "added": lambda a, mask: a + (1 - mask.float()) * -1e4,
    "multiplied": lambda a, mask: a * mask.float() - 1e9 * (1 - mask.float()),
    "multiplied, added": lambda a, mask: (a * mask.float()) + (1 - mask.float()) * -1e4,
    "added, filled": lambda a, mask: a + torch.zeros(mask.shape).masked_fill(~mask, -torch.inf),
}


def shares(weights: torch.Tensor) -> torch.Tensor:
    return weights / weights.sum(-1, keepdim=True).clamp(min=1e-6)


def exponentials(logits: torch.Tensor) -> torch.Tensor:
    return (logits - logits.amax(-1, keepdim=True)).exp()


WEIGHED: dict[str, Hides] = {
    "masked later": lambda a, mask: a.softmax(-1) * mask,
    "masked later, and shared again": lambda a, mask: shares(a.softmax(-1) * mask.float()),
    "written out": lambda a, mask: exponentials(a) / exponentials(a).sum(-1, keepdim=True),
    "written out, and masked": lambda a, mask: shares(exponentials(a) * mask),
    "plainly": lambda a, mask: shares((a / 2).exp() * mask),
    "by logarithms": lambda a, mask: (a - a.logsumexp(-1, keepdim=True)).exp() * mask,
    "of a log-softmax": lambda a, mask: a.log_softmax(-1).exp() * mask,
}


@pytest.mark.parametrize("how", WEIGHED)
def test_attention_is_known_however_its_weights_are_made(how: str) -> None:
    mask = torch.arange(5) < torch.tensor([[5], [3], [4]])
    model, batch = Masked(lambda a, mask: a, WEIGHED[how]), (torch.randn(3, 5, 16), mask)
    roles = [entry.role for entry in wb.plan(model, batch, seed=0).entries if entry.name.endswith("weight")]
    assert roles == ["query", "key", "value", "attention_out", "readout"]
    assert not wb.check(model, batch).codes
    with torch.no_grad():
        model.query.weight.mul_(60)
    assert "W601" in wb.check(model, batch).codes


def test_weights_that_no_exponential_makes_are_no_attention() -> None:
    model, mask = Masked(lambda a, mask: a, lambda a, mask: a.relu() ** 2 * mask), torch.ones(3, 5).bool()
    assert "query" not in {entry.role for entry in wb.plan(model, (torch.randn(3, 5, 16), mask), seed=0).entries}


@pytest.mark.parametrize("how", HIDDEN)
def test_masks_of_the_batch_leave_attention_what_it_is(how: str) -> None:
    mask = torch.arange(5) < torch.tensor([[5], [3], [4]])
    model, batch = Masked(HIDDEN[how]), (torch.randn(3, 5, 16), mask)
    roles = [entry.role for entry in wb.plan(model, batch, seed=0).entries if entry.name.endswith("weight")]
    assert roles == ["query", "key", "value", "attention_out", "readout"]
    with torch.no_grad():
        model.query.weight.mul_(60)
    assert "W601" in wb.check(model, batch).codes


def test_one_of_two_signals_that_the_batch_chooses_is_no_mask() -> None:
    model, mask = Masked(lambda a, mask: torch.where(mask, a, a.mT.sigmoid())), torch.ones(3, 5).bool()
    assert "query" not in {entry.role for entry in wb.plan(model, (torch.randn(3, 5, 16), mask), seed=0).entries}
