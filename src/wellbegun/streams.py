"""Random streams, version 1: the bits of a tensor are a function of (seed, name) and of nothing else.

The promise. `value = f(seed, name, law, global shape, element index)`. It does not depend on framework, device,
thread count, construction order, sharding or the presence of other tensors.

- Key: ``blake2b(name, digest_size=16, key=seed as 8 bytes little-endian, person=b"wellbegun.v1")`` read as four
  little-endian uint32 ``(a, b, c, d)``.
- Bits: Philox4x32-10 (Salmon et al. 2011, doi:10.1145/2063384.2063405) with key ``(a, b)`` and counter
  ``(block & 0xffffffff, block >> 32, c, d)``; each block gives four 32-bit words.
- 32-bit and smaller dtypes: element ``e`` (row-major index in canonical axis order) takes word ``e % 4`` of block
  ``e // 4``. float64: element ``e`` takes words ``2 (e % 2)`` (low) and ``2 (e % 2) + 1`` (high) of block ``e // 2``.
- A law that needs several draws, or a tensor made of parts with different laws, uses `substream(name, part)`.

A change to a line above, or to a transform in `wellbegun.engine.reference`, is a new version; version 1 stays
available.
"""

import hashlib
import secrets
import struct
from typing import SupportsIndex

from wellbegun._arguments import message, seed_of
from wellbegun.errors import ArgumentTypeError

STREAM_VERSION = 1
PERSON = b"wellbegun.v1"


def stream_key(seed: SupportsIndex, name: str) -> tuple[int, int, int, int]:
    """Four 32-bit words that depend on `seed` and on the tensor's dotted `name`, and on nothing else.

    Args:
        seed: Integer in [0, 2**64).
        name: Any text; by convention the parameter's dotted name.
    Returns:
        Four integers in [0, 2**32): two for the Philox key, two for the upper half of its counter.
    Raises:
        ArgumentError: seed outside [0, 2**64). ArgumentTypeError: seed no integer, or name no text.

    >>> stream_key(0, "fc1.weight")
    (211828054, 3046040022, 3622697027, 3076129809)
    """
    number = seed_of("stream_key", seed)
    if not isinstance(name, str):
        raise ArgumentTypeError(message("stream_key", "name", "text", name))
    key = number.to_bytes(8, "little")
    digest = hashlib.blake2b(name.encode(errors="surrogatepass"), digest_size=16, key=key, person=PERSON).digest()
    a, b, c, d = struct.unpack("<4I", digest)
    return a, b, c, d


def substream(name: str, part: str | int) -> str:
    """Name of the stream of one part of a tensor.

    >>> substream("attn.qkv", 2)
    'attn.qkv#2'
    """
    return f"{name}#{part}"


def fresh_seed() -> int:
    """One of a million seeds, from the operating system's entropy, for callers that record it: short enough to retype.

    >>> 0 <= fresh_seed() < 10**6
    True
    """
    return secrets.randbelow(10**6)
