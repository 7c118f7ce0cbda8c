"""CLAP: sounds and sentences as points of one space, by LAION's checkpoints.

Y. Wu, K. Chen, T. Zhang, Y. Hui, T. Berg-Kirkpatrick and S. Dubnov, "Large-scale
contrastive language-audio pretraining with feature fusion and keyword-to-caption
augmentation", ICASSP 2023. The network is ``transformers.ClapModel``. Its log-mel bands
are computed here, in a quarter of the time of its own front-end and equal to that by test.
"""

import platform
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from models.batching import Batcher, gpu_turn, to_device
from models.quiet import no_progress_bar
from models.registry import ModelCard

Float32 = npt.NDArray[np.float32]

WINDOWS_PER_CALL = 32
"""Of 10 s, on a GPU: 2 GB of activations in half precision."""

TEXTS_PER_CALL = 128
"""On a GPU."""

FRAMES_PER_TRANSFORM = {"cpu": 128, "cuda": 16_384}
"""On a CPU, 128 frames stay in the cache: all 1001 of a window at once take three times as long."""

MIN_POWER = 1e-10
"""Of a mel band; the floor of ``ClapFeatureExtractor``, -100 dB."""


def load(card: ModelCard, device: str, folder: Path) -> "ClapAdapter":
    """Load a CLAP model without feature fusion.

    Parameters
    ----------
    card
        The model.
    device
        ``"cpu"`` or ``"cuda"``.
    folder
        Where its files lie.

    Raises
    ------
    ValueError
        If weights are missing, or the model fuses several crops of a long sound, which
        are drawn at random.
    """
    from transformers import AutoTokenizer, ClapFeatureExtractor, ClapModel

    extractor = ClapFeatureExtractor.from_pretrained(folder, local_files_only=True)
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    with no_progress_bar():
        loaded: Any = ClapModel.from_pretrained(
            folder,
            local_files_only=True,
            weights_only=True,
            dtype=torch.float32,
            output_loading_info=True,
        )
    network, report = loaded
    if network.config.audio_config.enable_fusion or extractor.truncation == "fusion":
        raise ValueError(f"{card.name} fuses crops of long sounds, which is not supported")
    # Buffers that a file lacks hold constants; parameters would be drawn at random.
    missing = sorted({name for name, _ in network.named_parameters()} & {*report["missing_keys"]})
    if missing:
        raise ValueError(f"{card.name} lacks weights: {', '.join(missing[:3])}")
    return ClapAdapter(network.eval(), extractor, tokenizer, device)


class ClapAdapter:
    """A loaded model.

    Parameters
    ----------
    network
        A ``transformers.ClapModel``; it is moved to the device.
    extractor
        Its ``ClapFeatureExtractor``: what the log-mel bands are like.
    tokenizer
        Its tokenizer.
    device
        Where to compute.

    Attributes
    ----------
    rate_hz
        Rate of the audio that it hears.
    window_samples
        What it hears at once: 10 s.
    dimensions
        Of the space.
    max_tokens
        Of a text, its two ends included; what is beyond is cut off.
    """

    def __init__(self, network: Any, extractor: Any, tokenizer: Any, device: str) -> None:
        self._device = torch.device(device)
        self._network = network.to(self._device)
        self._tokenizer = tokenizer
        self._log_mel = _LogMel(extractor, self._device)
        self.rate_hz: int = extractor.sampling_rate
        self.window_samples: int = extractor.nb_max_samples
        self.dimensions: int = network.config.projection_dim
        text = network.config.text_config
        # RoBERTa numbers the places in a text from the padding token's number on.
        places = text.max_position_embeddings - text.pad_token_id - 1
        self.max_tokens: int = min(tokenizer.model_max_length, places)
        if self._device.type == "cpu":
            _pack_linears(self._network)

    def embed_audio(
        self, windows: Iterable[Float32], batch_size: int | None = None
    ) -> Iterator[Float32]:
        """Embeddings of windows of sound.

        Parameters
        ----------
        windows
            Shape ``(n,)`` each, mono at `rate_hz`, at most `window_samples` long. A shorter
            one is repeated and then padded with silence, as in the training.
        batch_size
            Windows that a GPU takes at once; None for ``WINDOWS_PER_CALL``. A CPU takes
            one: two or four at once cost the same, and could change the last digits.

        Yields
        ------
        ndarray, shape (dimensions,)
            Unit norm. Equal to ``ClapModel.get_audio_features``.

        Raises
        ------
        ValueError
            If a window is empty or too long.
        """
        return self._batcher(batch_size or WINDOWS_PER_CALL).map(self._audio_batch, windows)

    def embed_text(self, texts: Iterable[str], batch_size: int | None = None) -> Iterator[Float32]:
        """Embeddings of texts.

        Parameters
        ----------
        texts
            In words; all but the first `max_tokens` tokens of one are ignored.
        batch_size
            Texts that a GPU takes at once; None for ``TEXTS_PER_CALL``. A CPU takes one.

        Yields
        ------
        ndarray, shape (dimensions,)
            Unit norm. Equal to ``ClapModel.get_text_features``.
        """
        return self._batcher(batch_size or TEXTS_PER_CALL).map(self._text_batch, texts)

    def _batcher(self, gpu_size: int) -> Batcher:
        is_cpu = self._device.type == "cpu"
        return Batcher(1 if is_cpu else gpu_size, ahead=not is_cpu)

    def _audio_batch(self, windows: Sequence[Float32]) -> list[Float32]:
        signals = np.stack([self._log_mel.filled(window) for window in windows])
        given = to_device(signals, self._device)
        with gpu_turn(), torch.inference_mode():
            bands = self._log_mel(given)
            with self._half_precision():
                # (windows, one crop, frames, mels)
                found = self._network.get_audio_features(input_features=bands[:, None])
            return _unit(found.pooler_output)

    def _text_batch(self, texts: Sequence[str]) -> list[Float32]:
        tokens = self._tokenizer(
            list(texts),
            padding=True,
            truncation=True,
            max_length=self.max_tokens,
            return_tensors="np",
        )
        with gpu_turn(), torch.inference_mode(), self._half_precision():
            found = self._network.get_text_features(
                input_ids=to_device(tokens["input_ids"], self._device),
                attention_mask=to_device(tokens["attention_mask"], self._device),
            )
            return _unit(found.pooler_output)

    def _half_precision(self) -> torch.autocast:
        """Half precision on a GPU, where products run twice as fast or better.

        Of the two kinds, float16 keeps three bits more, and older GPUs have it too; its
        smaller range suffices, since autocast keeps norms, softmax and residuals in float32.
        """
        return torch.autocast(
            self._device.type, dtype=torch.float16, enabled=self._device.type == "cuda"
        )


def _unit(features: torch.Tensor) -> list[Float32]:
    """Rows of unit norm, in single precision."""
    return list(torch.nn.functional.normalize(features.float()).cpu().numpy())


class _LogMel:
    """Mel bands in decibels, as ``ClapFeatureExtractor`` makes them.

    Spectra are taken in double precision: beside a loud tone, single precision's rounding
    noise is louder than a quiet band.
    """

    def __init__(self, extractor: Any, device: torch.device) -> None:
        self._fft_samples: int = extractor.fft_window_size
        self._hop_samples: int = extractor.hop_length
        self._samples: int = extractor.nb_max_samples
        self._padding: str = extractor.padding
        self._frames_per_transform = FRAMES_PER_TRANSFORM[device.type]
        self._window = torch.hann_window(self._fft_samples, dtype=torch.float64, device=device)
        # Of its two filter banks, the one that it uses without fusion.
        filters = extractor.mel_filters_slaney
        used = np.flatnonzero(filters.any(axis=1))
        self._bins = slice(int(used[0]), int(used[-1]) + 1)
        self._filters = torch.tensor(filters[self._bins], dtype=torch.float32, device=device)

    def filled(self, window: Float32) -> Float32:
        """Return a window as long as the network hears it, shape ``(samples,)``."""
        if not 0 < len(window) <= self._samples:
            raise ValueError(f"a window of {len(window)} samples; 1 to {self._samples} are heard")
        times, rest = divmod(self._samples, len(window))
        if self._padding == "repeat" and rest:
            times += 1
        if self._padding in ("repeat", "repeatpad") and times > 1:
            window = np.tile(window, times)[: self._samples]
        if len(window) < self._samples:
            window = np.pad(window, (0, self._samples - len(window)))
        return window.astype(np.float32, copy=False)

    def __call__(self, signals: torch.Tensor) -> torch.Tensor:
        """Bands of whole windows: from ``(windows, samples)`` to ``(windows, frames, mels)``."""
        half = self._fft_samples // 2
        padded = torch.nn.functional.pad(signals, (half, half), mode="reflect")
        # A view; only as many frames are made real, in double precision, as fit.
        frames = padded.unfold(1, self._fft_samples, self._hop_samples)
        bands = []
        for some in frames.split(max(1, self._frames_per_transform // len(signals)), dim=1):
            spectra = torch.fft.rfft(some * self._window)[..., self._bins]
            power = spectra.real.square() + spectra.imag.square()
            bands.append(power.float() @ self._filters)
        return 10 * torch.cat(bands, dim=1).clamp(min=MIN_POWER).log10()


def _pack_linears(module: torch.nn.Module) -> None:
    """Give the matrix products of a network to oneDNN, with weights in its own layout.

    PyTorch leaves them to MKL, which does without AVX-512 on processors that are not
    Intel's: there oneDNN takes 40 % of the time. Packing once helps on the others too.
    """
    if not torch.backends.mkldnn.is_available() or platform.machine() not in ("x86_64", "AMD64"):
        return
    for name, child in module.named_children():
        if type(child) is torch.nn.Linear:
            setattr(module, name, _PackedLinear(child))
        else:
            _pack_linears(child)


class _PackedLinear(torch.nn.Module):
    """A linear layer by oneDNN, for inference in single precision on a CPU."""

    def __init__(self, linear: torch.nn.Linear) -> None:
        super().__init__()
        self._weight = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach())
        self._bias = None if linear.bias is None else linear.bias.detach()

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Map ``(..., in)`` to ``(..., out)``."""
        result: torch.Tensor = torch.ops.mkldnn._linear_pointwise(
            values, self._weight, self._bias, "none", [None], "none"
        )
        return result
