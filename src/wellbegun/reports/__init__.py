"""Renderers over plain data: text tables and JSON."""

from wellbegun.reports.data import to_json
from wellbegun.reports.text import gain_table, health_table, ledger_line, plan_table, print_tables, schemes_table

__all__ = ["gain_table", "health_table", "ledger_line", "plan_table", "print_tables", "schemes_table", "to_json"]
