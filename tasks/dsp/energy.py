"""Energy of a signal from hop to hop."""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from tasks.audio.windows import cut
from tasks.track import Samples

HOPS_AT_ONCE = 8192
"""Numpy adds up numbers of another precision in pieces of so many samples: a multiple of it cuts
none of them where a signal in one block would not."""


def hop_energies(
    blocks: Iterable[Samples], hop_samples: int, precision: type[np.floating]
) -> tuple[npt.NDArray[np.float64], int]:
    """Return the sums of squares of hops, and the number of samples of the signal.

    Parameters
    ----------
    blocks
        The signal, shape ``(n,)`` each, however it is cut.
    hop_samples
        Samples of a hop.
    precision
        In which is added up.

    Returns
    -------
    ndarray, int
        The former of shape ``(1 + samples // hop_samples,)``, the last being that of what is left
        after the whole hops.
    """
    energies, samples = [], 0
    rest = np.zeros(0, precision)
    for piece in cut(blocks, HOPS_AT_ONCE * hop_samples):
        samples += len(piece)
        whole = len(piece) - len(piece) % hop_samples
        hops = piece[:whole].reshape(-1, hop_samples)
        energies.append(np.einsum("ij,ij->i", hops, hops, dtype=precision).astype(np.float64))
        rest = piece[whole:].astype(precision)
    energies.append(np.array([rest @ rest], np.float64))
    return np.concatenate(energies), samples
