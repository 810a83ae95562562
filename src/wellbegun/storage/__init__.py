"""Plans, graphs, rules and weights on disk."""

from wellbegun.storage.files import read_bytes, read_text, replacing, write_text
from wellbegun.storage.graphs import load_graph, save_graph
from wellbegun.storage.plans import load_plan, plan_from_json, plan_to_json, save_plan
from wellbegun.storage.rules import load_rules
from wellbegun.storage.weights import fill_file, metadata_of, save_arrays, saving

__all__ = [
    "fill_file",
    "load_graph",
    "load_plan",
    "load_rules",
    "metadata_of",
    "plan_from_json",
    "plan_to_json",
    "read_bytes",
    "read_text",
    "replacing",
    "save_arrays",
    "save_graph",
    "save_plan",
    "saving",
    "write_text",
]
