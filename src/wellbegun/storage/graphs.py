"""Graphs on disk: JSON, one file, written whole or not at all; read and planned without a framework."""

import json
import os
from pathlib import Path

from wellbegun.graph import ModelGraph, graph_from_dict, graph_to_dict
from wellbegun.storage.files import json_object, read_text, write_text


def save_graph(graph: ModelGraph, path: str | os.PathLike[str]) -> Path:
    """Write a graph as JSON. An existing file is replaced only once the new one is complete."""
    return write_text(path, json.dumps(graph_to_dict(graph), allow_nan=False) + "\n")


def load_graph(path: str | os.PathLike[str]) -> ModelGraph:
    """Read a graph.

    Raises:
        ModelError: no such file, or no JSON. ArgumentError: JSON that is no graph of this format.
    """
    return graph_from_dict(json_object("graph", read_text("graph", path), str(path)))
