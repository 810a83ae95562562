"""Masks that come with the batch, as padding does, leave attentions what they are."""

from collections.abc import Callable

import pytest
import torch

import wellbegun as wb


class Masked(torch.nn.Module):
    def __init__(self, hide: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.hide, self.drop = hide, torch.nn.Dropout(0.1)
        self.query, self.key, self.value, self.out, self.head = (torch.nn.Linear(16, 16) for _ in range(5))

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        logits = self.hide(self.query(x) @ self.key(x).mT / 4, mask[:, None])
        weights = self.drop(logits.softmax(-1).masked_fill(~mask[:, :, None], 0.0))
        return self.head(self.out(weights @ self.value(x)))


HIDDEN: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "filled": lambda a, mask: a.masked_fill(~mask, -torch.inf),
    "filled where zero": lambda a, mask: a.masked_fill(mask.long() == 0, -1e9),
    "filled in place": lambda a, mask: a.masked_fill_(~mask, -1e9),
    "where, a number": lambda a, mask: torch.where(mask, a, -torch.inf),
    "where, a tensor": lambda a, mask: torch.where(mask, a, torch.tensor(-1e9)),
    "where, many": lambda a, mask: torch.where(~mask, torch.full_like(a, -1e9), a),
    "with what is later": lambda a, mask: a.masked_fill(torch.ones(5, 5).triu(1).bool() | ~mask, -torch.inf),
    "added": lambda a, mask: a + (1 - mask.float()) * -1e4,
    "added, filled": lambda a, mask: a + torch.zeros(mask.shape).masked_fill(~mask, -torch.inf),
}


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
