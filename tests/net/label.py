"""Count what `check` says of starts that are known to be good or bad: the confusion matrix, and what it is wrong about.

    python tests/net/label.py [--only GLOB] [--train] [--remedies]

--train trains each instead (Adam and SGD at the best of three rates, 60 steps on its batch): the last loss in units of
the first. --remedies pastes what is proposed first into a copy, and checks it again.
"""

import argparse
import copy
import fnmatch
import math
import time
import warnings
from typing import Any

import labelled_more
import torch
from labelled_bad import BAD, EXPECTED
from labelled_good import GOOD, Case, build

import wellbegun as wb

assert labelled_more.GOOD is GOOD


def judged(case: Case) -> wb.Health:
    return wb.check(case.model, case.batch, loss=case.loss)


def trained(case: Case, steps: int = 60) -> float:
    """The least share of the first loss that is left."""

    def output(model: Any) -> Any:
        batch = case.batch
        return (
            model(**batch) if isinstance(batch, dict) else model(*batch) if isinstance(batch, tuple) else model(batch)
        )

    def loss_of(model: Any) -> torch.Tensor:
        found = output(model)
        if case.loss is not None:
            return case.loss(found)
        main = getattr(found, "logits", None)
        main = (
            main
            if main is not None
            else found
            if isinstance(found, torch.Tensor)
            else next(iter(getattr(found, "values", lambda: found)()))
        )
        target = torch.randn(main.shape, generator=torch.Generator().manual_seed(3))
        return (main - target).square().mean()

    best = math.inf
    for kind, rates in ((torch.optim.Adam, (1e-2, 3e-3, 1e-3)), (torch.optim.SGD, (0.1, 0.03, 0.01))):
        for rate in rates:
            model = copy.deepcopy(case.model)
            optimizer, losses = kind(model.parameters(), lr=rate), []
            for _ in range(steps):
                optimizer.zero_grad()
                losses.append(loss_of(model))
                if not torch.isfinite(losses[-1]) or not losses[-1].requires_grad:
                    break
                losses[-1].backward()
                torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
            last = float(losses[-1].detach()) / float(losses[0].detach())
            best = min(best, last if math.isfinite(last) else math.inf)
    return best


def mended(case: Case, health: wb.Health) -> str:
    """Whether what is proposed first, pasted, removes the finding and brings no other."""
    first, model = health.findings[0], case.model
    if first.remedy.startswith("#"):
        return "mended"  # words: nothing to paste
    exec(
        first.remedy,
        {"wb": wb, "torch": torch, "model": model, "batch": case.batch, "loss": case.loss, "print": lambda *_: None},
    )
    after = judged(case)
    gone = (first.code, first.place) not in {(f.code, f.place) for f in after.findings}
    return ("mended" if gone else "stays") if set(after.codes) <= set(health.codes) else f"harmed: {after.codes}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="*")
    parser.add_argument("--train", action="store_true")
    parser.add_argument("--remedies", action="store_true")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    right = dict.fromkeys(("good", "bad", "named"), 0)
    counts, start = dict.fromkeys(("good", "bad"), 0), time.perf_counter()
    for label, cases in (("good", GOOD), ("bad", BAD)):
        for name in fnmatch.filter(cases, options.only):
            counts[label] += 1
            try:
                case = build(name, cases)
                if options.train:
                    print(f"{label}: {name}: {trained(case):.3f}", flush=True)
                    continue
                health = judged(case)
            except Exception as error:  # an error is no verdict
                print(f"{label}: {name}: {type(error).__name__}: {str(error)[:150]}", flush=True)
                continue
            wanted = EXPECTED.get(name, frozenset())
            found = wanted & {*health.codes, *health.remarks}
            right[label] += health.healthy == (label == "good")
            right["named"] += bool(found)
            said = " ".join(f"{f.code} {f.place} {f.value:.2g}" for f in health.findings if f.severity == "unhealthy")
            if (label == "good" and not health.healthy) or (label == "bad" and not found):
                print(f"{label}: {name}: {said or 'healthy'} {sorted(wanted)}", flush=True)
            if options.remedies and label == "bad" and health.findings:
                try:
                    result = mended(case, health)
                except Exception as error:  # what people would see
                    result = f"{type(error).__name__}: {str(error)[:100]}"
                if result != "mended":
                    print(f"   {name}: {health.findings[0].remedy!r}: {result}", flush=True)
    seconds = f"{time.perf_counter() - start:.0f} s"
    print(f"good called healthy: {right['good']} of {counts['good']}; bad called unhealthy: {right['bad']} of", end=" ")
    print(f"{counts['bad']}, with a fitting code {right['named']}; {seconds}")


if __name__ == "__main__":
    main()
