"""A small map of what each scheme draws, as an image inside the page."""

import base64
import struct
import zlib

import numpy as np

from wellbegun.schemes import Card, parse_scheme

MOST = 48  # rows, and columns, that are shown
ENDS = np.array([[33, 102, 172], [247, 247, 247], [178, 24, 43]])  # the most negative, 0, the most positive


def picture(card: Card) -> str:
    """The example's values: blue below 0, white at 0, red above, as strong as the largest of them."""
    drawn = parse_scheme(card.example)(card.shape, seed=0, layout=card.layout, dtype="float64")
    table = drawn.transpose(card.layout.canonical)
    table = table.reshape(len(table), -1) if table.ndim > 1 else table[None]
    shown = table[:MOST, :MOST] / max(np.abs(table).max(), 1e-300)
    said = f"Map of {card.example} with {table.shape[0]} × {table.shape[1]} values"
    source = f"data:image/png;base64,{base64.b64encode(_png(np.rint(31 + 31 * shown).astype(np.uint8))).decode()}"
    width, height = 2 * shown.shape[1], max(2 * shown.shape[0], 8)
    style = f"width: {width}px; height: {height}px; max-width: none; image-rendering: pixelated"
    return f'<img alt="{said}" src="{source}" style="{style}">'


def _png(indices: np.ndarray) -> bytes:
    """Of indices into 63 colours."""
    steps = np.linspace(0, 2, 63)
    palette = np.stack([np.interp(steps, [0, 1, 2], ENDS[:, channel]) for channel in range(3)], axis=1)
    rows = b"".join(b"\0" + row.tobytes() for row in indices)
    head = struct.pack(">IIBBBBB", indices.shape[1], indices.shape[0], 8, 3, 0, 0, 0)
    chunks = (b"IHDR", head), (b"PLTE", palette.astype(np.uint8).tobytes()), (b"IDAT", zlib.compress(rows, 9))
    parts = (
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in (*chunks, (b"IEND", b""))
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)
