"""swift-f0: a pitch in every frame, and how sure it is that there is one.

L. Nieradzik, "SwiftF0: fast and accurate monophonic pitch detection", arXiv:2508.18440, 2025;
package swift-f0 0.3.0. The network looks at the logarithms of 128 frequency bands of three
spectra, and gives the likelihoods of 95 pitches, 70 cents apart, and a confidence. Its file is
read, and the package is not imported. Equal by test to the package's own, in frames of its hop
of 16 ms, and in torch at 0.65 of the CPU time of ONNX Runtime.

A frame is judged with the seven before and after it. At another hop, these are frames of that
hop, as near to 16 ms apart as they are without being farther: at 10 ms, ten. So nothing is
interpolated. Mean overall accuracies of seven recordings, clean and separated: 16 ms and an
interpolation .944, two passes shifted by 8 ms and an interpolation .945, 10 ms as here .945; with
frames from 5 to 20 ms apart, .943 to .945. Two passes cost 1.15 times as much.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from models.batching import gpu_turn
from models.onnx_file import read_arrays
from models.registry import ModelCard
from models.stretches import Stretches

Float32 = npt.NDArray[np.float32]

HOP_SAMPLES = 256
"""At 16 kHz, of the frames that the network was trained on."""

FRAMES_PER_CALL = {"cpu": 256, "cuda": 8192}
"""On a CPU, what the layers hand on (2 MB) then fits the cache: 64 frames take 1.2 times as
long, 512 1.2 times, and all of a recording 1.5 times."""

REACH_FRAMES = 7
"""How far a frame's surroundings reach: a tap each of seven convolutions."""

BANDS = 128
EPSILON = 1e-8
"""Added to the magnitude of a band, before the logarithm."""

_SPECTRA = ((1024, "v123"), (2048, "v241"), (512, "v342"))
"""Samples of each spectrum, and the array of the places of its bands' weights."""

_RESIDUAL = (
    *(("v357", "v361", 1), ("v366", "v370", 17), ("v375", "v379", 27)),
    *(("v384", "v388", 40), ("v393", "v397", 48), ("v402", "v406", 2)),
)
"""The two convolutions of each block, and how many bands their taps lie apart."""

_FIRST, _HEAD, _PITCHES = "v353", "v413", "v425"
_CONFIDENCE = ("v417", "v430", "v434")
_LOG_FREQUENCIES = "v455"
"""Of the pitches."""

_HEAD_BANDS = 96


class _Spectrum(NamedTuple):
    """Window, shape ``(n,)``, and weights of the bins in the bands, ``(n // 2 + 1, bands)``."""

    window: torch.Tensor
    bands: torch.Tensor


def load(card: ModelCard, device: str, folder: Path) -> "SwiftF0Adapter":
    """Load the network.

    Raises
    ------
    ValueError
        If its file holds something else.
    """
    (file,) = card.files
    try:
        return SwiftF0Adapter(read_arrays(folder / file.name), device)
    except (KeyError, IndexError, TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{file.name} holds no network of swift-f0: {error}") from error


class SwiftF0Adapter:
    """Pitch and confidence over a signal.

    Parameters
    ----------
    arrays
        Of the package's file, by their names.
    device
        ``"cpu"`` or ``"cuda"``.
    """

    def __init__(self, arrays: Mapping[str, npt.NDArray[np.generic]], device: str) -> None:
        self._device = torch.device(device)
        self._frames_per_call = FRAMES_PER_CALL[self._device.type]
        self._spectra = [self._spectrum(arrays, *each) for each in _SPECTRA]
        convolutions = [name for first, second, _ in _RESIDUAL for name in (first, second)]
        self._layers = {
            name: (_channels_last(self._tensor(arrays[name])), self._tensor(arrays[_after(name)]))
            for name in (_FIRST, *convolutions, _HEAD, _PITCHES, *_CONFIDENCE)
        }
        self._log_frequencies = self._tensor(arrays[_LOG_FREQUENCIES])
        # One that does not fit together is told by its first frame.
        self.track([np.zeros(1, np.float32)], HOP_SAMPLES)

    def track(
        self,
        blocks: Iterable[Float32],
        hop_samples: int,
        *,
        fmax_hz: float = np.inf,
        gain: float = 1.0,
    ) -> tuple[Float32, Float32]:
        """Pitch and confidence of frames centred at multiples of the hop.

        Parameters
        ----------
        blocks
            Mono, at 16 kHz, shape ``(n,)`` each.
        hop_samples
            Samples between frames.
        fmax_hz
            Pitches that lie nearer to a higher one are left out of account.
        gain
            Factor of the samples: the network is no judge of what is very loud or soft.

        Returns
        -------
        f0_hz, shape (1 + samples // hop_samples,)
            The likeliest pitch, from 46.9 to 2093.8 Hz, whether there is one or not.
        confidence, of the same shape
            From 0 to 1; the package calls a frame voiced from 0.5 on.
        """
        per_hop = -(-hop_samples // HOP_SAMPLES)
        spacing = max(1, HOP_SAMPLES // hop_samples)
        half_step = (self._log_frequencies[1] - self._log_frequencies[0]) / 2
        n_pitches = int((self._log_frequencies <= np.log(fmax_hz) + half_step).sum())
        signal = Stretches(blocks)

        def frames_up_to(most: int) -> int:
            hops = -(-(most - 1) // per_hop)
            return min(most, 1 + signal.length(hops * hop_samples) // hop_samples * per_hop)

        found = []
        start = 0
        with torch.inference_mode():
            while (stop := frames_up_to(start + self._frames_per_call)) > start:
                first = max(0, start - REACH_FRAMES * spacing)
                last = frames_up_to(stop + REACH_FRAMES * spacing)
                centres = np.arange(first, last) * hop_samples // per_hop
                bands = self._bands(signal, centres, gain)
                with gpu_turn():
                    pitches, confidence = self._infer(bands, spacing)
                    pitch_hz = self._f0_hz(pitches, n_pitches)
                    values = torch.stack([pitch_hz, torch.sigmoid(confidence)]).cpu().numpy()
                found.append(values[:, start - first : stop - first])
                start = stop
        f0_hz, confidence = np.concatenate(found, axis=1)[:, ::per_hop]
        return f0_hz, confidence

    def _bands(
        self, signal: Stretches, centres: npt.NDArray[np.int64], gain: float
    ) -> torch.Tensor:
        """Return logarithms of bands, shape ``(1, spectra, bands, frames)``, zeros being beyond."""
        reach = max(n for n, _ in _SPECTRA) // 2
        stretch = signal.read(int(centres[0]) - reach, int(centres[-1]) + reach)
        padded = torch.from_numpy(stretch * np.float32(gain)).to(self._device)
        starts = torch.from_numpy(centres - int(centres[0])).to(self._device)
        results = []
        for window, bands in self._spectra:
            windows = padded.unfold(0, len(window), 1)[starts + reach - len(window) // 2]
            magnitudes = torch.fft.rfft(windows * window).abs()
            results.append(torch.log(magnitudes @ bands + EPSILON).T)
        return torch.stack(results)[None].contiguous(memory_format=torch.channels_last)

    def _infer(self, bands: torch.Tensor, spacing: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return logits of each pitch, ``(frames, pitches)``, and of any pitch, ``(frames,)``.

        `spacing` is that of the taps in time.
        """
        hidden = functional.relu_(self._convolved(bands, _FIRST, 1, spacing))
        for first, second, apart in _RESIDUAL:
            inner = functional.relu_(self._convolved(hidden, first, apart, spacing))
            inner = self._convolved(inner, second, apart, spacing)
            hidden = functional.relu_(inner.add_(hidden))
        weight, bias = self._layers[_HEAD]
        hidden = functional.pad(hidden[:, :, :_HEAD_BANDS], (spacing, spacing, 1, 0))
        hidden = functional.relu_(functional.conv2d(hidden, weight, bias, dilation=(1, spacing)))
        pitches = self._convolved(hidden, _PITCHES, 1, spacing)[0, 0].T
        voice, hearing, verdict = _CONFIDENCE
        heard = self._convolved(hidden, voice, 1, spacing).amax(2)
        heard = torch.cat([heard, bands.mean((1, 2))[:, None]], 1)
        weight, bias = self._layers[hearing]
        heard = functional.conv1d(heard, weight, bias, padding=spacing, dilation=spacing)
        return pitches, functional.conv1d(functional.relu_(heard), *self._layers[verdict])[0, 0]

    def _convolved(
        self, hidden: torch.Tensor, name: str, bands_apart: int, spacing: int
    ) -> torch.Tensor:
        weight, bias = self._layers[name]
        dilation = (bands_apart, spacing)
        padding = [
            (size - 1) * apart // 2 for size, apart in zip(weight.shape[2:], dilation, strict=True)
        ]
        return functional.conv2d(hidden, weight, bias, padding=padding, dilation=dilation)

    def _f0_hz(self, pitches: torch.Tensor, n_pitches: int) -> torch.Tensor:
        """Return the weighted mean of the likeliest of the first pitches and its neighbours."""
        likeliest = pitches[:, :n_pitches].argmax(1, keepdim=True)
        near = likeliest + torch.arange(3, device=self._device)
        likelihoods = functional.pad(pitches, (1, 1), value=-torch.inf).gather(1, near)
        frequencies = functional.pad(self._log_frequencies, (1, 1))[near]
        weights = torch.softmax(likelihoods.double(), 1)
        return torch.exp((weights * frequencies).sum(1)).float()

    def _spectrum(
        self, arrays: Mapping[str, npt.NDArray[np.generic]], samples: int, places: str
    ) -> _Spectrum:
        bands = np.zeros((samples // 2 + 1, BANDS), np.float32)
        bands.reshape(-1)[arrays[places]] = arrays[_after(places)]
        return _Spectrum(torch.hann_window(samples, device=self._device), self._tensor(bands))

    def _tensor(self, array: npt.NDArray[np.generic]) -> torch.Tensor:
        return torch.from_numpy(array).to(self._device)


def _channels_last(weight: torch.Tensor) -> torch.Tensor:
    is_image = weight.ndim == 4  # the others are of convolutions in time
    return weight.contiguous(memory_format=torch.channels_last) if is_image else weight


def _after(name: str) -> str:
    """Return the name of the array that follows one: its biases, or the weights of its places."""
    return f"v{int(name[1:]) + 1}"
