"""musicnn: which tags listeners would give music, of MagnaTagATune or of the Million Song Dataset.

J. Pons and X. Serra, "musicnn: pre-trained convolutional neural networks for music audio tagging",
LBD of ISMIR 2019, arXiv:1909.06654; package musicnn 0.1.0. The checkpoints are read, and neither
the package nor TensorFlow is imported. Equal by test to what the package's own graph gives, run by
TensorFlow.

Energies of mel bands are float32 here. The package rounds them to 16 bits before it multiplies by
10,000, where those of loud music overflow: of a patch with such a band every feature is void, and
the tags are always the same.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torchaudio.functional import melscale_fbanks

from models.musicnn_network import BANDS, FRAMES, TaggerNetwork
from models.musicnn_tags import VOCABULARIES
from models.precision import native_precision
from models.registry import ModelCard
from models.tf_checkpoint import read_arrays

Float32 = npt.NDArray[np.float32]

RATE_HZ = 16_000
FFT_SAMPLES, HOP_SAMPLES = 512, 256
WINDOW_SAMPLES = (FRAMES - 1) * HOP_SAMPLES + FFT_SAMPLES
ENERGY_FACTOR = 10_000.0

WINDOWS_PER_CALL = {"cpu": 1, "cuda": 32}
"""On a CPU, more take as long each."""


def load(card: ModelCard, device: str, folder: Path) -> "MusicnnAdapter":
    """Load a tagger.

    Raises
    ------
    ValueError
        If its files hold something else.
    """
    index, data = (folder / file.name for file in card.files)
    where = torch.device(device)
    try:
        network = TaggerNetwork(read_arrays(index, data), where, native_precision(device))
        return MusicnnAdapter(VOCABULARIES[card.name], network, device)
    except (KeyError, IndexError, ValueError, RuntimeError) as error:
        raise ValueError(f"{index} and {data.name} hold no network of musicnn: {error}") from error


class MusicnnAdapter:
    """A loaded tagger. All of them hear the same bands.

    Parameters
    ----------
    tags
        In the order of the network's outputs.
    network
        The network.
    device
        ``"cpu"`` or ``"cuda"``.

    Attributes
    ----------
    tags
        What it knows.
    sample_rate_hz
        Rate of the audio that it hears.
    window_samples
        What it hears at once.

    Raises
    ------
    ValueError
        If the network has another number of tags.
    """

    sample_rate_hz = RATE_HZ
    window_samples = WINDOW_SAMPLES

    def __init__(self, tags: tuple[str, ...], network: TaggerNetwork, device: str) -> None:
        self.tags = tags
        self._network = network
        self._device = torch.device(device)
        self._window = torch.hann_window(FFT_SAMPLES, device=self._device)
        self._mel = melscale_fbanks(
            FFT_SAMPLES // 2 + 1,
            0.0,
            RATE_HZ / 2,
            BANDS,
            RATE_HZ,
            norm="slaney",
            mel_scale="slaney",
        ).to(self._device)
        # One that does not fit together is told by its first window.
        if self.scores(self.bands(np.zeros((1, WINDOW_SAMPLES), np.float32))).shape[1] != len(tags):
            raise ValueError("it has another number of tags")

    def bands(self, windows: Float32) -> Float32:
        """Return what the networks hear of mono windows.

        Parameters
        ----------
        windows, shape (n, window_samples)
            At `sample_rate_hz`.

        Returns
        -------
        ndarray, shape (n, frames, bands)
            Logarithms of the energies of mel bands.
        """
        with torch.inference_mode():
            given = torch.from_numpy(windows).to(self._device)
            frames = given.unfold(1, FFT_SAMPLES, HOP_SAMPLES) * self._window
            energies = torch.view_as_real(torch.fft.rfft(frames)).square().sum(dim=-1) @ self._mel
            return energies.mul_(ENERGY_FACTOR).add_(1.0).log10_().cpu().numpy()

    def scores(self, bands: Float32) -> Float32:
        """Return how likely each tag is in each window, from 0 to 1, shape ``(n, tags)``."""
        with torch.inference_mode():
            calls = torch.from_numpy(bands).split(WINDOWS_PER_CALL[self._device.type])
            return torch.cat([self._network(each) for each in calls]).cpu().numpy()
