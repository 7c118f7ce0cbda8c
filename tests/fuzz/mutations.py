"""Damage as it is met: files cut, joined, with bits flipped, and with headers that lie."""

import random
from collections.abc import Callable, Sequence

HEAD_BYTES = 256
"""Where headers lie, mostly."""

EXTREMES = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)

Mutation = Callable[[bytes, Sequence[bytes], random.Random], bytes]


def mutated(samples: Sequence[bytes], rng: random.Random) -> bytes:
    """Return one of some valid files, damaged in one to three ways."""
    data = rng.choice(samples)
    for _ in range(rng.choice((1, 1, 2, 3))):
        data = rng.choice(MUTATIONS)(data, samples, rng)
    return data


def cut(data: bytes, samples: Sequence[bytes], rng: random.Random) -> bytes:
    """End early, or begin late."""
    at = rng.randrange(len(data) + 1)
    return data[:at] if rng.random() < 0.7 else data[at:]


def lacking(data: bytes, samples: Sequence[bytes], rng: random.Random) -> bytes:
    """Lose a piece out of the middle."""
    first, last = sorted(rng.randrange(len(data) + 1) for _ in range(2))
    return data[:first] + data[last:]


def spliced(data: bytes, samples: Sequence[bytes], rng: random.Random) -> bytes:
    """Go on as another file, or as itself, from its beginning or from within."""
    other = rng.choice((data, rng.choice(samples)))
    at = rng.choice((0, rng.randrange(len(other) + 1)))
    return data[: rng.choice((len(data), rng.randrange(len(data) + 1)))] + other[at:]


def flipped(data: bytes, samples: Sequence[bytes], rng: random.Random) -> bytes:
    """Flip some bits, in the header or anywhere."""
    changed = bytearray(data)
    end = min(len(data), HEAD_BYTES) if rng.random() < 0.5 else len(data)
    for _ in range(rng.choice((1, 4, 64)) if end else 0):
        changed[rng.randrange(end)] ^= 1 << rng.randrange(8)
    return bytes(changed)


def lying(data: bytes, samples: Sequence[bytes], rng: random.Random) -> bytes:
    """State the least or the most in a field of the header: rates, channels, sizes."""
    width = rng.choice((1, 2, 4))
    at = rng.randrange(min(len(data), HEAD_BYTES) + 1)
    value = rng.choice(EXTREMES) & (1 << 8 * width) - 1
    return data[:at] + value.to_bytes(width, rng.choice(("little", "big"))) + data[at + width :]


def headed(data: bytes, samples: Sequence[bytes], rng: random.Random) -> bytes:
    """Begin as another file does."""
    head = rng.choice(samples)[: rng.choice((4, 12, 64, HEAD_BYTES))]
    return head + data[rng.choice((0, len(head))) :]


def padded(data: bytes, samples: Sequence[bytes], rng: random.Random) -> bytes:
    """Hold zeros or noise that do not belong there."""
    count = rng.choice((1, 3, 1024, 70_000))
    filling = bytes(count) if rng.random() < 0.5 else rng.randbytes(count)
    at = rng.choice((0, len(data), rng.randrange(len(data) + 1)))
    return data[:at] + filling + data[at:]


MUTATIONS: tuple[Mutation, ...] = (cut, lacking, spliced, flipped, lying, headed, padded)
