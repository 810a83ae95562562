"""The stream contract again, in plain Python integers and mpmath: an independent second implementation.

Nothing here is imported from wellbegun. It follows the written contract (module docstring of `wellbegun.streams`) word
by word, with exact mathematics in place of polynomials, and is slow.
"""

import hashlib

import mpmath

MASK = 0xFFFFFFFF


def stream_key(seed: int, name: str) -> tuple[int, ...]:
    digest = hashlib.blake2b(
        name.encode("utf-8"), digest_size=16, key=seed.to_bytes(8, "little"), person=b"wellbegun.v1"
    ).digest()
    return tuple(int.from_bytes(digest[4 * k : 4 * k + 4], "little") for k in range(4))


def philox(counter: list[int], key: list[int]) -> list[int]:
    counter, key = list(counter), list(key)
    for _ in range(10):
        first, second = counter[0] * 0xD2511F53, counter[2] * 0xCD9E8D57
        counter = [
            (second >> 32) ^ counter[1] ^ key[0],
            second & MASK,
            (first >> 32) ^ counter[3] ^ key[1],
            first & MASK,
        ]
        key = [(key[0] + 0x9E3779B9) & MASK, (key[1] + 0xBB67AE85) & MASK]
    return counter


def block(seed: int, name: str, index: int) -> list[int]:
    a, b, c, d = stream_key(seed, name)
    return philox([index & MASK, index >> 32, c, d], [a, b])


def word(seed: int, name: str, element: int) -> int:
    return block(seed, name, element // 4)[element % 4]


def wide_word(seed: int, name: str, element: int) -> int:
    words = block(seed, name, element // 2)
    low = 2 * (element % 2)
    return words[low] | words[low + 1] << 32


def signed(value: int, bits: int) -> int:
    return value - (1 << bits) if value >> (bits - 1) else value


def uniform(seed: int, name: str, element: int, low: float, high: float, bits: int = 32) -> mpmath.mpf:
    drawn = word(seed, name, element) if bits == 32 else wide_word(seed, name, element)
    t = mpmath.mpf(signed(drawn, bits)) / 2 ** (bits - 1)
    return (mpmath.mpf(low) + high) / 2 + (mpmath.mpf(high) - low) / 2 * t


def _radius(drawn: int, bits: int) -> mpmath.mpf:
    value = signed(drawn, bits)
    y = (mpmath.mpf(value if value >= 0 else ~value) + 0.5) / 2**bits
    u = y if value >= 0 else 1 - y
    return mpmath.sqrt(-2 * mpmath.log(u))


def normal(seed: int, name: str, element: int, bits: int = 32) -> mpmath.mpf:
    if bits == 32:
        words = block(seed, name, element // 4)
        pair = words[element % 4 // 2 * 2], words[element % 4 // 2 * 2 + 1]
    else:
        pair = wide_word(seed, name, element // 2 * 2), wide_word(seed, name, element // 2 * 2 + 1)
    radius, angle = _radius(pair[0], bits), 2 * mpmath.pi * mpmath.mpf(pair[1]) / 2**bits
    return radius * (mpmath.cos(angle) if element % 2 == 0 else mpmath.sin(angle))


def truncated_normal(seed: int, name: str, element: int, low: float, high: float, bits: int = 32) -> mpmath.mpf:
    """Inverse CDF on [low, high], in units of the uncut std."""
    drawn = word(seed, name, element) if bits == 32 else wide_word(seed, name, element)
    share = (mpmath.mpf(signed(drawn, bits)) / 2 ** (bits - 1) + 1) / 2
    bottom, top = mpmath.ncdf(low), mpmath.ncdf(high)
    p = bottom + share * (top - bottom)
    if p in (0, 1):
        return mpmath.mpf(low if p == 0 else high)
    return -mpmath.sqrt(2) * mpmath.erfinv(1 - 2 * p)


def log_uniform(seed: int, name: str, element: int, low: float, high: float, bits: int = 32) -> mpmath.mpf:
    return mpmath.exp(uniform(seed, name, element, mpmath.log(low), mpmath.log(high), bits))


def rademacher(seed: int, name: str, element: int, bits: int = 32) -> int:
    drawn = word(seed, name, element) if bits == 32 else wide_word(seed, name, element)
    return -1 if drawn >> (bits - 1) else 1


def sparse_places(seed: int, name: str, unit: int, places: int, nonzeros: int) -> set[int]:
    """Places of a unit that are not zero: those with the smallest words of the mask's own stream."""
    words = [(word(seed, f"{name}#mask", unit * places + place), place) for place in range(places)]
    return {place for _, place in sorted(words)[:nonzeros]}
