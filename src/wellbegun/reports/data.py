"""The same facts as JSON. Numbers JSON does not know become the texts "nan", "inf" and "-inf"."""

import json
import math
from typing import Any


def to_json(data: Any) -> str:
    """Indented JSON that every reader accepts."""
    return json.dumps(_plain(data), indent=2, allow_nan=False, ensure_ascii=False)


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value
