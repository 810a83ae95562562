"""Renderers over plain data: text tables and JSON."""

from wellbegun.reports.coordinates import coordinate_rows, coordinate_table
from wellbegun.reports.data import to_csv, to_json, to_markdown
from wellbegun.reports.health import health_table
from wellbegun.reports.junit import junit
from wellbegun.reports.plans import diff_rows, diff_table, explained
from wellbegun.reports.races import race_table
from wellbegun.reports.shown import print_tables, tables
from wellbegun.reports.text import (
    codes_table,
    gain_table,
    ledger_line,
    plan_rows,
    plan_table,
    recipes_table,
    schemes_table,
)

__all__ = [
    "codes_table",
    "coordinate_rows",
    "coordinate_table",
    "diff_rows",
    "diff_table",
    "explained",
    "gain_table",
    "health_table",
    "junit",
    "ledger_line",
    "plan_rows",
    "plan_table",
    "print_tables",
    "race_table",
    "recipes_table",
    "schemes_table",
    "tables",
    "to_csv",
    "to_json",
    "to_markdown",
]
