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
    targets, shares = torch.from_numpy(loss.targets).to(output.device), None
    logits = output.float()
    if loss.shares:
        shares = logits.clamp(LEAST_SHARE, 1 - LEAST_SHARE)
        logits = shares.logit()
    value = float(functional.binary_cross_entropy_with_logits(logits, targets))
    sent = logits.sigmoid().sub_(targets).div_(max(output.numel(), 1))
    return value, sent if shares is None else sent.div_(shares * (1 - shares))


def _distant(loss: SquaredError, output: torch.Tensor) -> tuple[float, torch.Tensor]:
    targets = torch.from_numpy(loss.targets).to(output.device)
    apart = output.float() - targets.float()
    return float(apart.square().mean()), apart.mul_(2 / max(output.numel(), 1))


def _classified(loss: CrossEntropy, output: torch.Tensor) -> tuple[float, torch.Tensor]:
    """(probabilities - one-hot) / rows, where autograd takes four copies of what may be the largest value of all."""
    moved = output.movedim(loss.axis, -1)
    rows = moved.reshape(-1, output.shape[loss.axis]).float()
    shares = rows.clamp(min=LEAST_SHARE) if loss.shares else None
    rows = rows if shares is None else shares.log()
    labels = torch.from_numpy(loss.labels).to(output.device)[:, None]
    counted, labels = labels != loss.LEFT_OUT, labels.clamp(min=0)
    logarithms = torch.log_softmax(rows, dim=-1)
    right, count = logarithms.gather(1, labels), counted.sum().clamp(min=1)
    sent = logarithms.exp_().scatter_(1, labels, right.exp() - 1).mul_(counted / count)
    sent = sent if shares is None else sent.div_(shares)
    value = float(-(right * counted).sum() / count) if len(rows) else math.nan
    return value, sent.reshape(moved.shape).movedim(-1, loss.axis)
