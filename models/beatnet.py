"""BeatNet: how likely each moment is a beat or a downbeat.

M. Heydari, F. Cwitkowitz and Z. Duan, "BeatNet: CRNN and particle filtering for online joint
beat, downbeat and meter tracking", ISMIR 2021. The weights are those of the package BeatNet, which
is read and not imported: three networks, each trained without one of three corpora (GTZAN,
Ballroom, Rock Corpus), whose probabilities are averaged. On 110 synthesised songs of five kinds the
average has the best downbeats in four; of one network alone, the third comes nearest.
"""

import pickle
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from models.beatnet_features import HOP_SAMPLES, RATE_HZ, band_centres_hz, frames
from models.beatnet_network import BeatNetwork, State, from_published
from models.protocols import BeatFrames
from models.registry import ModelCard

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]

_UNREADABLE = (
    *(pickle.UnpicklingError, EOFError, AttributeError, LookupError),
    *(AssertionError, TypeError, ValueError, RuntimeError),
)


def load(card: ModelCard, device: str, folder: Path) -> "BeatNetAdapter":
    """Load the networks.

    Parameters
    ----------
    card
        Its files are those of the networks.
    device
        ``"cpu"`` or ``"cuda"``; the networks compute frame after frame, which a processor
        does as fast.
    folder
        Where the files lie.

    Raises
    ------
    ValueError
        If a file holds something else.
    """
    return BeatNetAdapter([read_network(folder / file.name) for file in card.files])


def read_network(path: Path) -> BeatNetwork:
    """Read a network from a file of the package, without running any code that it brings.

    Raises
    ------
    ValueError
        If the file holds something else.
    """
    try:
        state: Any = torch.load(path, map_location="cpu", weights_only=True)
        if not isinstance(state, Mapping):
            raise TypeError("no arrays by name")
        return from_published(state)
    except _UNREADABLE as error:
        raise ValueError(f"{path.name} holds no network of BeatNet: {error}") from error


class BeatNetAdapter:
    """Activations of beats by the mean of some networks.

    Parameters
    ----------
    networks
        At least one.

    Attributes
    ----------
    sample_rate_hz
        Rate of the audio that it takes.
    frame_rate_hz
        Frames per second.
    band_hz
        Centres of the bands of its levels, shape ``(bands,)``.
    """

    sample_rate_hz = RATE_HZ
    frame_rate_hz = RATE_HZ / HOP_SAMPLES

    def __init__(self, networks: Sequence[BeatNetwork]) -> None:
        self._networks = networks
        self.band_hz: Float64 = band_centres_hz()

    def hear(self, blocks: Iterable[Float32]) -> Iterator[BeatFrames]:
        """Hear a mono signal, in frames centred at multiples of a 50th of a second.

        Parameters
        ----------
        blocks
            Shape ``(n,)`` each, however the signal is cut.

        Yields
        ------
        BeatFrames
            In order of time; of 512 frames but for the last. What a network
            remembers of a track goes from one to the next.
        """
        states: list[State | None] = [None] * len(self._networks)
        for heard in frames(blocks):
            given = torch.from_numpy(heard)
            total = torch.zeros(len(heard), 2)
            with torch.inference_mode():
                for index, network in enumerate(self._networks):
                    probabilities, states[index] = network(given, states[index])
                    total += probabilities[:, :2]
            yield BeatFrames((total / len(self._networks)).numpy(), heard[:, : heard.shape[1] // 2])
