"""The one place that knows the names of wellbegun: what is called, and how what it answers is read as plain data."""

from dataclasses import asdict
from typing import Any

import wellbegun as wb

SEED = 0
BOTH = ("auto", "classic")
PUBLISHED = ("gpt2", "deepnorm", "fixup", "mae", "resnet")
OTHERS = (
    "torch", "megatron", "llama", "olmo", "bert", "t5", "vit", "vit_nlhb", "convnext", "dcgan", "skipinit", "rezero",
    "tfixup", "siren", "ppo",
)  # fmt: skip


# ---------------------------------------------------------------------- calls
def plan(model: Any, batch: Any, recipe: str) -> Any:
    return wb.plan(model, batch, recipe=recipe, seed=SEED)


def apply(model: Any, decided: Any) -> Any:
    """The ledger."""
    return wb.apply(model, decided, threads=1).ledger


def initialize(model: Any, batch: Any, recipe: str) -> tuple[Any, Any, Any]:
    """Plan, ledger and health."""
    result = wb.initialize(model, batch, recipe=recipe, seed=SEED, threads=1)
    return result.plan, result.ledger, result.health


def check(model: Any, batch: Any) -> Any:
    return wb.check(model, batch)


# ---------------------------------------------------------------------- answers
def law(found: Any) -> Any:
    """The name of a law and its numbers; a law of laws has theirs inside."""
    return None if found is None else found.to_dict()


def layout(found: Any) -> Any:
    return None if found is None else asdict(found)


def decisions(decided: Any) -> dict[str, dict[str, Any]]:
    """Category -> parameter -> what a plan says of it."""
    return {
        "laws": {entry.name: law(entry.law) for entry in decided.entries},
        "roles": {entry.name: entry.role for entry in decided.entries},
        "layouts": {entry.name: [list(entry.shape), layout(entry.layout)] for entry in decided.entries},
        "actions": {entry.name: [entry.action, entry.tied_to] for entry in decided.entries},
        "streams": {entry.name: entry.stream for entry in decided.entries},
        "targets": {entry.name: [entry.target, entry.relative] for entry in decided.entries},
    }


def corrections(decided: Any) -> dict[str, Any]:
    """Parameter -> the law and the factor that the measurement left."""
    return {entry.name: [law(entry.law), entry.factor] for entry in decided.entries}


def outcomes(ledger: Any) -> dict[str, str]:
    """Parameter -> what became of it."""
    return {record.name: record.outcome for record in ledger.records}


def codes(health: Any) -> list[list[str]]:
    """Every finding, notes too, as its code and place, sorted."""
    return sorted([finding.code, finding.place] for finding in health.findings)
