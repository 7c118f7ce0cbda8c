"""The network of BeatNet: from frames of a spectrogram to activations of beat and downbeat.

M. Heydari, F. Cwitkowitz and Z. Duan, "BeatNet: CRNN and particle filtering for online joint
beat, downbeat and meter tracking", ISMIR 2021. Equal by test to the network of the package
BeatNet on the same weights.
"""

from collections.abc import Mapping

import torch
from torch import nn
from torch.nn import functional

FEATURES = 272
"""Of a frame: what :mod:`models.beatnet_features` computes."""

CLASSES = 3
"""Beat, downbeat, neither."""

_TAPS, _CHANNELS, _LAYERS = 10, 2, 2

State = tuple[torch.Tensor, torch.Tensor]
"""Of the recurrent layers after a frame: hidden and cell, shape ``(2, 1, width)`` each."""


class BeatNetwork(nn.Module):
    """A convolution over the bands of a frame, and two recurrent layers over the frames.

    Parameters
    ----------
    width
        Of the recurrent layers.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(1, _CHANNELS, _TAPS)
        self.linear0 = nn.Linear(_CHANNELS * ((FEATURES - _TAPS + 1) // 2), width)
        self.lstm = nn.LSTM(width, width, _LAYERS, batch_first=True)
        self.linear = nn.Linear(width, CLASSES)

    def forward(self, frames: torch.Tensor, state: State | None) -> tuple[torch.Tensor, State]:
        """Return probabilities of the classes, shape ``(n, 3)``, and the state after the frames.

        Parameters
        ----------
        frames
            Shape ``(n, FEATURES)``, in order of time.
        state
            After the frames before these; None before the first.
        """
        hidden = functional.max_pool1d(functional.relu(self.conv1(frames[:, None])), 2)
        hidden, state = self.lstm(self.linear0(hidden.flatten(1))[None], state)
        return torch.softmax(self.linear(hidden[0]), 1), state


def from_published(state: Mapping[str, torch.Tensor]) -> BeatNetwork:
    """Return the network of published weights, ready for inference.

    Raises
    ------
    ValueError
        If the weights are of another network.
    """
    try:
        network = BeatNetwork(len(state["linear0.bias"]))
        network.load_state_dict(state)
    except (KeyError, TypeError, RuntimeError) as error:
        raise ValueError(f"weights of another network: {error}") from error
    return network.eval().requires_grad_(False)
