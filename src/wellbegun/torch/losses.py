"""Losses of the user's, checked; gradients of made-up ones at a model's output, in the memory of one copy."""

import math

import torch
from torch.nn import functional

from wellbegun.backend import LEAST_SHARE, BinaryCrossEntropy, CrossEntropy, MadeUpLoss, SquaredError, no_scalar


def scalar(owner: str, value: object, arguments: str) -> torch.Tensor:
    """What a loss of the user's gave, if it is a scalar; `arguments`: what it is a function of."""
    if isinstance(value, torch.Tensor) and value.numel() == 1 and value.is_floating_point():
        return value
    raise no_scalar(owner, value, arguments, "tensor")


def gradient_of(loss: MadeUpLoss, output: torch.Tensor) -> tuple[float, torch.Tensor]:
    """The loss of an output, and its gradient there."""
    with torch.no_grad():
        real = output.abs() if output.is_complex() else output.detach()
        value, sent = _sent(loss, real)
        sent = sent * output.sgn() if output.is_complex() else sent  # the gradient of a magnitude
        return value, sent.to(output.dtype)


def _sent(loss: MadeUpLoss, output: torch.Tensor) -> tuple[float, torch.Tensor]:
    if isinstance(loss, BinaryCrossEntropy):
        return _binary(loss, output)
    return _classified(loss, output) if isinstance(loss, CrossEntropy) else _distant(loss, output)


def _binary(loss: BinaryCrossEntropy, output: torch.Tensor) -> tuple[float, torch.Tensor]:
    targets, weights = (torch.from_numpy(one).to(output.device) for one in (loss.known, loss.weights))
    logits, shares = output.float(), None
    if loss.shares:
        shares = logits.clamp(LEAST_SHARE, 1 - LEAST_SHARE)
        logits = shares.logit()
    value = float(functional.binary_cross_entropy_with_logits(logits, targets, weights, reduction="sum"))
    sent = logits.sigmoid().sub_(targets).mul_(weights)
    return value, sent if shares is None else sent.div_(shares * (1 - shares))


def _distant(loss: SquaredError, output: torch.Tensor) -> tuple[float, torch.Tensor]:
    targets = torch.from_numpy(loss.targets).to(output.device)
    apart = output.float() - targets.float()
    return float(apart.square().mean()), apart.mul_(2 / max(output.numel(), 1))


def _classified(loss: CrossEntropy, output: torch.Tensor) -> tuple[float, torch.Tensor]:
    """(probabilities - targets) / rows, where autograd takes four copies of what may be the largest value of all."""
    moved = output.movedim(loss.axis, -1)
    rows = moved.reshape(-1, output.shape[loss.axis]).float()
    shares = rows.clamp(min=LEAST_SHARE) if loss.shares else None
    logarithms = torch.log_softmax(rows if shares is None else shares.log(), dim=-1)
    weights = torch.from_numpy(loss.weights).to(output.device)[:, None]
    if loss.soft:
        targets = torch.from_numpy(loss.labels).to(output.device)
        value, sent = -(targets * logarithms).sum(1, keepdim=True), logarithms.exp_()
        sent = sent.mul_(targets.sum(1, keepdim=True)).sub_(targets)
    else:
        labels = torch.from_numpy(loss.classes).to(output.device)[:, None]
        right = logarithms.gather(1, labels)
        value, sent = -right, logarithms.exp_().scatter_(1, labels, right.exp() - 1)
    sent = sent.mul_(weights) if shares is None else sent.mul_(weights).div_(shares)
    number = float((value * weights).sum()) if len(rows) else math.nan
    return number, sent.reshape(moved.shape).movedim(-1, loss.axis)
