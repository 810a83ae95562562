"""Private names of torch, all in one place."""

from typing import Any


def metadata_of(edge: Any) -> Any:
    """Shape, dtype and device of the value at a gradient edge: no public name tells them without the value."""
    return edge.node._input_metadata[edge.output_nr]
