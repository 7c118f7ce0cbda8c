"""MuQ, a self-supervised encoder of music: mel bands, convolutions and a conformer.

H. Zhu et al., "MuQ: self-supervised music representation learning with mel residual
vector quantization", 2025. The published model was trained on windows of 30 s at 24 kHz and
gives 25 frames of 1024 numbers a second.

``import muq`` brings the text side of MuQ-MuLan too (x_clip, torchvision, nnAudio): some
2 s a process that its ``__init__`` leaves no way around. The forward pass of muq 0.1.0
does not run with transformers 5, which wants an attention implementation named in the
configuration and no longer returns the hidden states that the package reads. The modules
are the package's and the library's own; only the call of them is done here.
"""

from pathlib import Path
from typing import Any

import torch
from torch.nn.utils.fusion import fuse_conv_bn_eval

from models.music_encoder import MusicEncoder
from models.registry import ModelCard

GPU_WINDOWS = 8
"""Windows of 30 s per call: the largest activation takes 0.1 GB of bfloat16 for each."""

FEATURE = "melspec_2048"
"""Name of the mel bands in the package's configuration, the only features that it has."""


def load(card: ModelCard, device: str, folder: Path) -> "MuqAdapter":
    """Load MuQ as its package does, from a folder that holds its files.

    Parameters
    ----------
    card
        Its row in the registry.
    device
        ``"cpu"`` or ``"cuda"``.
    folder
        Holds ``config.json`` and ``model.safetensors``.

    Raises
    ------
    RuntimeError
        If the weights are not those of the configuration.
    """
    from muq import MuQ

    # Strictly: else it would leave random numbers where weights are missing.
    return MuqAdapter(MuQ.from_pretrained(folder, local_files_only=True, strict=True), device)


class MuqAdapter(MusicEncoder):
    """Features of windows by MuQ.

    On a GPU in bfloat16: in float16 MuQ gives NaN, as its authors warn. The mel bands stay in
    float32 everywhere.

    Parameters
    ----------
    model
        The package's ``MuQ``; taken over and changed.
    device
        ``"cpu"`` or ``"cuda"``.
    dtype
        See :class:`~models.music_encoder.MusicEncoder`.
    """

    def __init__(self, model: Any, device: str, dtype: torch.dtype | None = None) -> None:
        network = model.model.eval()
        spectrogram = network.preprocessor_melspec_2048.mel_stft
        super().__init__(
            network.conformer,
            device,
            gpu_windows=GPU_WINDOWS,
            sample_rate_hz=spectrogram.sample_rate,
            dimensions=model.config.encoder_dim,
            frame_rate_hz=float(model.config.label_rate),
            # Frames reach half a window beyond the signal, which is mirrored there.
            min_samples=spectrogram.n_fft // 2 + 1,
            dtype=dtype,
        )
        network.conformer.config._attn_implementation = "sdpa"
        _fuse(network.conv)
        # Channels last: a sixth less time in the convolutions, which take nearly half of it.
        self._network = network.to(self._device, memory_format=torch.channels_last)

    def _last_hidden(self, waves: torch.Tensor) -> torch.Tensor:
        network = self._network
        with torch.autocast(self._device.type, enabled=False):
            mels = network.normalize(network.preprocessing(waves, [FEATURE]))[FEATURE]
        hidden: torch.Tensor = network.conformer(network.conv(mels)).last_hidden_state
        return hidden


def _fuse(front_end: torch.nn.Module) -> None:
    """Take the batch normalisation of the residual blocks into their convolutions."""
    blocks: Any = front_end.conv
    for block in blocks:
        for number in (1, 2, 3):
            if hasattr(block, f"bn{number}"):
                convolution = getattr(block, f"conv{number}")
                fused = fuse_conv_bn_eval(convolution, getattr(block, f"bn{number}"))
                setattr(block, f"conv{number}", fused)
                setattr(block, f"bn{number}", torch.nn.Identity())
