"""MERT, a self-supervised encoder of music: convolutions over the waveform and a transformer.

Y. Li et al., "MERT: acoustic music understanding model with large-scale self-supervised
training", ICLR 2024. The published models were trained on 5 s at 24 kHz and give 75
frames a second, of 768 numbers (95M) or 1024 (330M).

The repositories bring code of their own, which :mod:`models.trust` keeps from running
until the user names the model. That code, written for transformers 4, loads and computes
the right last hidden state with transformers 5, but its ``hidden_states`` are None there;
:class:`~models.music_encoder.MusicEncoder` takes them from the encoder.
"""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch

from models import trust
from models.music_encoder import MusicEncoder, Samples
from models.registry import ModelCard

GPU_WINDOWS = 32
"""Windows of 5 s per call: the first convolution gives 1.6 GB in float32."""

_FFT_KERNELS = 2
# Frames of a transform, in lengths of the kernel: more are no faster for windows of 5 s, and the
# spectrum of the kernels takes 38 MB so (95M).


def load(card: ModelCard, device: str, folder: Path) -> "MertAdapter":
    """Load MERT by its own code, from a folder that holds it and the weights.

    Parameters
    ----------
    card
        Its row in the registry.
    device
        ``"cpu"`` or ``"cuda"``.
    folder
        Holds the card's files. transformers runs a copy of the code that it makes below
        ``HF_MODULES_CACHE``, under the digest of its contents.

    Raises
    ------
    UntrustedCodeError
        If the user has not allowed the model's code; nothing of it has run.
    ValueError
        If ``config.json`` names code outside the model's files, or the weights are not those
        of the configuration.
    """
    trust.check(card)
    place = json.loads((folder / "config.json").read_text())["auto_map"]["AutoModel"]
    if f"{place.rpartition('.')[0]}.py" not in trust.code_files(card):
        raise ValueError(f"{card.name}: config.json names code that is none of its files: {place}")
    from transformers.dynamic_module_utils import get_class_from_dynamic_module

    # As AutoModel does, which however takes the code of another folder where one with the same
    # configuration file was loaded before.
    model_class: Any = get_class_from_dynamic_module(place, folder, local_files_only=True)
    model, found = model_class.from_pretrained(
        folder,
        local_files_only=True,
        weights_only=True,
        dtype=torch.float32,
        output_loading_info=True,
    )
    # transformers would leave random numbers where weights are missing.
    if lacking := sorted(found["missing_keys"]):
        raise ValueError(f"{card.name}: its weights lack {', '.join(lacking[:3])}")
    preprocessor = json.loads((folder / "preprocessor_config.json").read_text())
    return MertAdapter(
        model,
        device,
        sample_rate_hz=preprocessor["sampling_rate"],
        normalise=preprocessor["do_normalize"],
    )


class MertAdapter(MusicEncoder):
    """Features of windows by MERT.

    Parameters
    ----------
    model
        The model that the repository's code made; taken over and changed.
    device
        ``"cpu"`` or ``"cuda"``.
    sample_rate_hz, normalise
        From the preprocessor's configuration: the rate, and whether each window is
        brought to zero mean and unit variance.
    dtype
        See :class:`~models.music_encoder.MusicEncoder`.
    """

    def __init__(
        self,
        model: Any,
        device: str,
        *,
        sample_rate_hz: int,
        normalise: bool,
        dtype: torch.dtype | None = None,
    ) -> None:
        config = model.config
        min_samples = 1
        for kernel, stride in zip(
            reversed(config.conv_kernel), reversed(config.conv_stride), strict=True
        ):
            min_samples = (min_samples - 1) * stride + kernel
        super().__init__(
            model.encoder,
            device,
            gpu_windows=GPU_WINDOWS,
            sample_rate_hz=sample_rate_hz,
            dimensions=config.hidden_size,
            frame_rate_hz=sample_rate_hz / math.prod(config.conv_stride),
            min_samples=min_samples,
            dtype=dtype,
        )
        self._normalise = normalise
        _replace_positions(model.encoder)
        self._model = model.eval().to(self._device)

    def _prepare(self, window: Samples) -> Samples:
        if not self._normalise:
            return window
        # As Wav2Vec2FeatureExtractor does, in float32 too.
        scaled: Samples = (window - window.mean()) / np.sqrt(window.var() + 1e-7)
        return scaled

    def _last_hidden(self, waves: torch.Tensor) -> torch.Tensor:
        hidden: torch.Tensor = self._model(waves).last_hidden_state
        return hidden


def _replace_positions(encoder: Any) -> None:
    """Let the positional convolution run on spectra, if it is the library's."""
    from transformers.models.hubert.modeling_hubert import HubertPositionalConvEmbedding

    embedding = encoder.pos_conv_embed
    if isinstance(embedding, HubertPositionalConvEmbedding) and embedding.batch_norm is None:
        encoder.pos_conv_embed = _Positions(embedding)


class _Positions(torch.nn.Module):
    """HuBERT's positional convolution as products of Fourier coefficients.

    With the published kernel of 128 frames that takes a sixth of the time, and the weight is
    not composed of norm and direction again in each call.

    Parameters
    ----------
    embedding
        The library's ``HubertPositionalConvEmbedding``.
    """

    spectrum: torch.Tensor

    def __init__(self, embedding: Any) -> None:
        super().__init__()
        convolution = embedding.conv
        self.activation = embedding.activation
        self.bias = torch.nn.Parameter(convolution.bias.detach()[:, None])
        self._groups = convolution.groups
        self._kernel = convolution.kernel_size[0]
        self._n_fft = _FFT_KERNELS * self._kernel
        # (groups, channels out, channels in, taps) -> (frequencies, groups, in, out)
        taps = convolution.weight.detach().unflatten(0, (self._groups, -1))
        spectrum = torch.fft.rfft(taps.double(), self._n_fft).conj().to(torch.complex64)
        self.register_buffer("spectrum", spectrum.permute(3, 0, 2, 1).contiguous())

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """Embedding of the positions of ``(windows, frames, dimensions)``, of the same shape."""
        channels = hidden_states.float().transpose(1, 2)
        windows, _, frames = channels.shape
        step = self._n_fft - self._kernel + 1
        blocks = -(-frames // step)
        before = self._kernel // 2
        after = (blocks - 1) * step + self._n_fft - before - frames
        padded = torch.nn.functional.pad(channels, (before, after))
        # (windows, groups, in, blocks, frequencies) -> (frequencies, groups, rows, in)
        spectra = torch.fft.rfft(padded.unfold(2, self._n_fft, step)).unflatten(
            1, (self._groups, -1)
        )
        rows = spectra.permute(4, 1, 0, 3, 2).flatten(2, 3)
        products = torch.matmul(rows, self.spectrum).unflatten(2, (windows, blocks))
        # -> (windows, channels, blocks, samples)
        filtered = torch.fft.irfft(products.permute(2, 1, 4, 3, 0).flatten(1, 2), self._n_fft)
        result = filtered[..., :step].flatten(2)[..., :frames] + self.bias
        activated: torch.Tensor = self.activation(result)
        return activated.transpose(1, 2)
