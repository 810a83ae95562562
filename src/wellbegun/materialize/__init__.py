"""Plan -> targets -> ledger: every planned value written once, into whatever memory somebody names. Framework-free."""

from wellbegun.materialize.filling import fill_targets
from wellbegun.materialize.ledger import Ledger, Record
from wellbegun.materialize.target import Sink, Target, change, draw, draw_region

__all__ = ["Ledger", "Record", "Sink", "Target", "change", "draw", "draw_region", "fill_targets"]
