"""Voice embeddings by Resemblyzer's network (generalised end-to-end loss, Wan et al. 2018).

The weights are those of the installed package; its module is not imported, since
that imports librosa and starts several seconds later. What surrounds the network
(loudness, voice activity detection, mel bands, partial utterances) is equal to the
package's own by test.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import webrtcvad
from scipy import fft
from torchaudio.functional import melscale_fbanks

from models.protocols import VoicedSignal
from models.registry import ModelCard
from models.stretches import Stretches

Samples = npt.NDArray[np.float32]
Float32 = npt.NDArray[np.float32]

RATE_HZ = 16_000
PARTIAL_SECONDS = 1.6
"""What the network hears at once."""

MIN_COVERAGE = 0.75
"""Share of the last partial utterance that the signal must fill, or it is dropped."""

_TARGET_DBFS = -30.0
_INT16_MAX = 32_767

_VAD_SAMPLES = 480  # 30 ms
_VAD_MODE = 3  # the strictest
_VAD_SMOOTHING = 8  # windows
_VAD_DILATION = 7  # windows

_FFT_SAMPLES = 400
_HOP_SAMPLES = 160
_MELS = 40
_PARTIAL_FRAMES = 160

_CHUNK_FRAMES = 4096
_CHUNK_SAMPLES = 10 * 60 * RATE_HZ
_CHUNK_WINDOWS = 2_000  # a minute
# Fixed, not a tool's batch size: the last digits depend on it.
_BATCH_PARTIALS = 32


class _Network(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = torch.nn.LSTM(_MELS, 256, 3, batch_first=True)
        self.linear = torch.nn.Linear(256, 256)

    def forward(self, mels: torch.Tensor) -> torch.Tensor:
        """Embed mel frames ``(partials, frames, mels)`` as unit vectors ``(partials, 256)``."""
        _, (hidden, _) = self.lstm(mels)
        return torch.nn.functional.normalize(torch.relu(self.linear(hidden[-1])), dim=1)


@dataclass(frozen=True)
class Voiced:
    """What is voice in a signal; iterated over, in blocks of shape ``(n,)``.

    Attributes
    ----------
    blocks
        The signal.
    gain
        What its samples are multiplied by.
    windows
        Which whole windows of 30 ms are voice, shape ``(windows,)``.
    """

    blocks: Iterable[Samples]
    gain: np.float32
    windows: npt.NDArray[np.bool_]

    @property
    def samples(self) -> int:
        """How many samples are voice."""
        return int(self.windows.sum()) * _VAD_SAMPLES

    def __iter__(self) -> Iterator[Samples]:
        signal = Stretches(self.blocks)
        for first in range(0, len(self.windows), _CHUNK_WINDOWS):
            keep = self.windows[first : first + _CHUNK_WINDOWS]
            start = first * _VAD_SAMPLES
            chunk = signal.read(start, start + len(keep) * _VAD_SAMPLES)
            yield chunk.reshape(-1, _VAD_SAMPLES)[keep].reshape(-1) * self.gain


@dataclass(frozen=True)
class ResemblyzerAdapter:
    """The loaded network; every signal is mono at ``RATE_HZ``."""

    network: _Network
    device: str

    def voiced(self, blocks: Iterable[Samples]) -> Voiced:
        """Find what voice activity detection keeps of a signal, at -30 dBFS if it is quieter.

        Equal to ``resemblyzer.preprocess_wav``; empty if there is no voice.

        Parameters
        ----------
        blocks
            Shape ``(n,)`` each; gone over twice, and by the result.
        """
        gain = _gain(blocks)
        return Voiced(blocks, gain, _smooth(_voice_flags(blocks, gain)))

    def embed(self, voiced: VoicedSignal, partials_per_second: float) -> Float32:
        """Embedding of a voice, shape ``(256,)``, unit norm, no component negative.

        Equal to ``resemblyzer.VoiceEncoder.embed_utterance(voiced, rate=partials_per_second)``.

        Parameters
        ----------
        voiced
            What :meth:`voiced` returns.
        partials_per_second
            Density of the partial utterances of 1.6 s whose embeddings are averaged;
            at least 0.625, so that they leave no gaps.

        Raises
        ------
        ValueError
            If `voiced` is empty, or the partial utterances would leave gaps.
        """
        if voiced.samples == 0:
            raise ValueError("no voice to embed")
        starts = _partial_starts(voiced.samples, partials_per_second)
        total = np.zeros(256, np.float64)
        for batch in _batches(_mel_frames(voiced, starts[-1] + _PARTIAL_FRAMES), starts):
            with torch.inference_mode():
                embeddings = self.network(torch.from_numpy(batch).to(self.device))
            total += embeddings.cpu().numpy().sum(axis=0, dtype=np.float64)
        return (total / np.linalg.norm(total)).astype(np.float32)


def load(card: ModelCard, device: str) -> ResemblyzerAdapter:
    """Load the network with the weights of the installed package `resemblyzer`.

    Raises
    ------
    FileNotFoundError
        If the package is not installed or lacks its weights.
    """
    spec = find_spec(card.library)
    if spec is None or spec.origin is None:
        raise FileNotFoundError(f"the package {card.library} is not installed")
    weights = Path(spec.origin).with_name("pretrained.pt")
    state = torch.load(weights, map_location="cpu", weights_only=True)["model_state"]
    # The two other entries belong to the training loss.
    state = {name: value for name, value in state.items() if not name.startswith("similarity_")}
    network = _Network()
    network.load_state_dict(state)
    return ResemblyzerAdapter(network.to(device).eval(), device)


def _gain(blocks: Iterable[Samples]) -> np.float32:
    """Factor that raises a signal to the target level; 1 for louder ones and silence."""
    power, samples = 0.0, 0
    signal = Stretches(blocks)
    while (stop := signal.length(samples + _CHUNK_SAMPLES)) > samples:
        chunk = signal.read(samples, stop)
        power += float(np.dot(chunk, chunk))
        samples = stop
    if power == 0.0:
        return np.float32(1.0)
    level_db = 10 * np.log10(power / samples)
    return np.float32(max(1.0, 10 ** ((_TARGET_DBFS - level_db) / 20)))


def _voice_flags(blocks: Iterable[Samples], gain: np.float32) -> npt.NDArray[np.bool_]:
    """Return whether each whole window of 30 ms is voice, shape ``(windows,)``."""
    flags: list[bool] = []
    detector = webrtcvad.Vad(_VAD_MODE)
    signal = Stretches(blocks)
    size = 2 * _VAD_SAMPLES
    windows = _CHUNK_WINDOWS
    while windows == _CHUNK_WINDOWS:
        start = len(flags) * _VAD_SAMPLES
        stop = signal.length(start + _CHUNK_WINDOWS * _VAD_SAMPLES)
        windows = (stop - start) // _VAD_SAMPLES
        chunk = signal.read(start, start + windows * _VAD_SAMPLES) * gain * np.float32(_INT16_MAX)
        pcm = np.clip(np.round(chunk), -_INT16_MAX - 1, _INT16_MAX).astype("<i2").tobytes()
        for offset in range(0, len(pcm), size):
            flags.append(detector.is_speech(pcm[offset : offset + size], RATE_HZ))
    return np.array(flags, bool)


def _smooth(flags: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Majority of eight windows, three before to four after, then widened by three each way."""
    if len(flags) == 0:
        return flags
    votes = np.convolve(flags, np.ones(_VAD_SMOOTHING, int))[4 : 4 + len(flags)]
    majority = votes > _VAD_SMOOTHING // 2
    reach = _VAD_DILATION // 2
    near = np.convolve(majority, np.ones(_VAD_DILATION, int))[reach : reach + len(flags)]
    return near > 0


def _partial_starts(samples: int, partials_per_second: float) -> range:
    """First frames of the partial utterances of a signal."""
    step = round(RATE_HZ / partials_per_second / _HOP_SAMPLES)
    if not 0 < step <= _PARTIAL_FRAMES:
        raise ValueError(f"{partials_per_second} partial utterances a second leave gaps")
    frames = -(-(samples + 1) // _HOP_SAMPLES)
    starts = range(0, max(1, frames - _PARTIAL_FRAMES + step + 1), step)
    coverage = (samples / _HOP_SAMPLES - starts[-1]) / _PARTIAL_FRAMES
    return starts[:-1] if coverage < MIN_COVERAGE and len(starts) > 1 else starts


def _batches(mels: Iterable[Float32], starts: range) -> Iterator[Float32]:
    """Yield partial utterances, shape ``(partials, frames, mels)``, of chunks of mel frames."""
    held, at = np.empty((0, _MELS), np.float32), 0
    waiting = deque(starts)
    batch = []
    for chunk in mels:
        held = np.concatenate([held, chunk])
        while waiting and waiting[0] + _PARTIAL_FRAMES <= at + len(held):
            first = waiting.popleft() - at
            batch.append(held[first : first + _PARTIAL_FRAMES])
            if len(batch) == _BATCH_PARTIALS or not waiting:
                yield np.stack(batch)
                batch = []
        gone = waiting[0] - at if waiting else 0
        held, at = held[gone:], at + gone


def _mel_frames(blocks: Iterable[Samples], frames: int) -> Iterator[Float32]:
    """Power in mel bands, not logarithmic, of frames centred every 10 ms, ``(frames, mels)``."""
    half = _FFT_SAMPLES // 2
    window = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(_FFT_SAMPLES) / _FFT_SAMPLES)).astype(
        np.float32
    )
    filters = melscale_fbanks(
        half + 1, 0.0, RATE_HZ / 2, _MELS, RATE_HZ, norm="slaney", mel_scale="slaney"
    ).numpy()
    signal = Stretches(blocks)
    for first in range(0, frames, _CHUNK_FRAMES):
        last = min(first + _CHUNK_FRAMES, frames)
        samples = signal.read(first * _HOP_SAMPLES - half, (last - 1) * _HOP_SAMPLES + half)
        views = np.lib.stride_tricks.sliding_window_view(samples, _FFT_SAMPLES)[::_HOP_SAMPLES]
        spectra = fft.rfft(views * window, axis=1)
        yield (spectra.real**2 + spectra.imag**2) @ filters
