"""The same facts as JSON. Numbers JSON does not know become the texts "nan", "inf" and "-inf"."""

import json
import math
from typing import Any


def to_json(data: Any) -> str:
    """Indented JSON that every reader accepts."""
    return json.dumps(plain(data), indent=2, allow_nan=False, ensure_ascii=False)


def plain(value: Any) -> Any:
    """The same data with texts for the numbers JSON does not know."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value
