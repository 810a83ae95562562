"""Renderers over plain data: text tables and JSON."""

from wellbegun.reports.data import to_json
from wellbegun.reports.health import health_table
from wellbegun.reports.junit import junit
from wellbegun.reports.plans import diff_table
from wellbegun.reports.races import race_table
from wellbegun.reports.shown import print_tables, tables
from wellbegun.reports.text import gain_table, ledger_line, plan_table, schemes_table

__all__ = [
    "diff_table",
    "gain_table",
    "health_table",
    "junit",
    "ledger_line",
    "plan_table",
    "print_tables",
    "race_table",
    "schemes_table",
    "tables",
    "to_json",
]
