"""The hybrid transformer of Demucs for a GPU: the same values with less work.

The package's network copies constants to the GPU and waits for it in every call, which a CUDA
graph does not allow; it casts its weights to half precision each time; and PyTorch's group
norm uses one block of a GPU per row, of which a batch of the time branch has eight.
"""

import copy
from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeGuard

import torch
from demucs.htdemucs import HTDemucs
from demucs.transformer import CrossTransformerEncoder, MyGroupNorm, create_2d_sin_embedding
from torch import nn

from models.demucs_files import Network
from models.replay import CudaGraph, Recording, Replayed

FILLING_ROWS = 256
"""Rows that fill a GPU, when each is reduced by a block of its own: two per multiprocessor."""


class HalfPrecision:
    """A network by autocast: in half precision where that is precise enough.

    A hybrid transformer has its weights in half precision once and for all, and is made ready
    for CUDA graphs; other networks are left as they are.

    Parameters
    ----------
    network
        It stays as it is; weights are copied.
    dtype
        ``torch.float16`` or ``torch.bfloat16``.
    record
        Records what a batch launches; None to launch it as ever.
    """

    def __init__(
        self,
        network: Network,
        dtype: torch.dtype,
        record: Callable[[Callable[[], torch.Tensor]], Recording] | None = CudaGraph,
    ) -> None:
        self._dtype = dtype
        self._network: Network = network
        self._replayed: Replayed | None = None
        if is_hastened(network):
            self._network = hasten(copy.deepcopy(network))
            for module in self._network.modules():
                if isinstance(module, _IN_HALF):
                    module.to(dtype)
            if record is not None:
                self._replayed = Replayed(self._forward, record)

    def __call__(self, mixes: torch.Tensor, full: int) -> torch.Tensor:
        """Return the sources of mixes, shape ``(mixes, sources, 2, n)``, in single precision.

        Not all values are finite where the range of half precision does not suffice.

        Parameters
        ----------
        mixes
            Shape ``(mixes, 2, n)``.
        full
            Mixes of a full batch.
        """
        return self._forward(mixes) if self._replayed is None else self._replayed(mixes, full)

    def give_memory_back(self) -> None:
        """Launch batches as ever from now on; what a recording reserves is needed elsewhere."""
        if self._replayed is not None:
            self._replayed.give_up()

    def _forward(self, mixes: torch.Tensor) -> torch.Tensor:
        # What the cache would keep, casts of weights, is used once.
        with torch.autocast(mixes.device.type, self._dtype, cache_enabled=False):
            sources: torch.Tensor = self._network(mixes)
        return sources.float()


def is_hastened(network: Network) -> TypeGuard[HTDemucs]:
    """Return whether :func:`hasten` is for a network.

    Not if it is of an older kind, or shifts its positions at random.
    """
    if not isinstance(network, HTDemucs):
        return False
    transformer: Any = network.crosstransformer
    return transformer is None or transformer.sin_random_shift == 0


def hasten(network: HTDemucs) -> HTDemucs:
    """Make a network launch less, copy nothing to the GPU and never wait for it.

    Parameters
    ----------
    network
        For inference; it is changed. Its values stay the same within rounding.
    """
    network.__class__ = _Hastened
    network.register_buffer("window", torch.hann_window(network.nfft), persistent=False)
    network.window = network.window.to(next(network.parameters()).device)
    if network.crosstransformer is not None:
        network.crosstransformer.__class__ = _Transformer
        network.crosstransformer.positions = {}
    _exchange_norms(network)
    return network


class RowNorm(nn.Module):
    """``nn.GroupNorm`` whose rows, the values of a group, are shared out over the whole GPU.

    Mean and variance are those of equal parts of a row, put together by the formula of T. F.
    Chan, G. H. Golub and R. J. LeVeque, "Updating formulae and a pairwise algorithm for
    computing sample variances", COMPSTAT 1982: no sums of squares, which cancel where the mean
    is large. Statistics are in single precision, results in that of the input. For inference.

    Parameters
    ----------
    norm
        Its parameters are used.
    channels_last
        Whether the input has the shape ``(items, ..., channels)``, instead of ``(items,
        channels, ...)``; then for one group only.
    """

    def __init__(self, norm: nn.GroupNorm, *, channels_last: bool = False) -> None:
        super().__init__()
        self.weight, self.bias = norm.weight, norm.bias
        self._groups, self._epsilon = norm.num_groups, norm.eps
        self._channels_last = channels_last

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Return the values of each row with zero mean and unit variance, scaled by channel."""
        values = values.contiguous()
        items = len(values)
        rows = items * self._groups
        if rows >= FILLING_ROWS and not self._channels_last:
            # PyTorch's own kernel, past autocast, which would have it read single precision.
            size = values.shape[1], values[0, 0].numel()
            result: torch.Tensor = torch.native_group_norm(
                values, self.weight, self.bias, items, *size, self._groups, self._epsilon
            )[0]
            return result
        variance, mean = _moments(values.view(rows, -1))
        deviation = variance.add_(self._epsilon).rsqrt_()
        # (items, groups, channels of a group)
        weight, bias = (each.view(self._groups, -1) for each in (self.weight, self.bias))
        scale = deviation.view(items, self._groups, 1) * weight
        # Single precision; with `out`, autocast casts nothing in kernels of its own.
        shift = torch.addcmul(
            bias,
            mean.view(items, self._groups, 1),
            scale,
            value=-1,
            out=torch.empty_like(scale),
        )
        ones = [1] * (values.ndim - 2)
        shape = (items, *ones, -1) if self._channels_last else (items, -1, *ones)
        return torch.addcmul(
            shift.view(shape), values, scale.view(shape), out=torch.empty_like(values)
        )


def _moments(rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Variance and mean of each row in single precision, shape ``(rows,)`` each."""
    count, length = rows.shape
    parts = rows.unflatten(1, (_parts(count, length), -1))
    if rows.dtype == torch.float32:
        variance, mean = torch.var_mean(parts, -1, correction=0)
    else:
        # In half precision, `var_mean` rounds its results to it; these two do not, and cast
        # what they read on the way.
        mean = torch.mean(parts, -1, dtype=torch.float32)
        variance = torch.var(parts, -1, correction=0, out=torch.empty_like(mean))
    if parts.shape[1] == 1:
        return variance[:, 0], mean[:, 0]
    between, mean = torch.var_mean(mean, 1, correction=0)
    return variance.mean(1).add_(between), mean


@lru_cache(maxsize=1024)
def _parts(rows: int, length: int) -> int:
    """Into how many equal parts rows are cut, so that they fill a GPU."""
    wanted = min(max(FILLING_ROWS // rows, 1), length)
    return next(parts for parts in range(wanted, 0, -1) if length % parts == 0)


def _exchange_norms(module: nn.Module) -> None:
    for name, child in module.named_children():
        if isinstance(child, MyGroupNorm):
            if child.num_groups == 1:
                setattr(module, name, RowNorm(child, channels_last=True))
        elif isinstance(child, nn.GroupNorm):
            setattr(module, name, RowNorm(child))
        else:
            _exchange_norms(child)


_IN_HALF = (
    *(nn.Conv1d, nn.Conv2d, nn.ConvTranspose1d, nn.ConvTranspose2d),
    *(nn.Linear, nn.MultiheadAttention, RowNorm),
)
"""Whose weights are needed in half precision only."""


class _Hastened(HTDemucs):
    """The network with spectra by a window that is there, without checks that wait for them."""

    window: torch.Tensor

    def _spec(self, x: torch.Tensor) -> torch.Tensor:
        hop, length = self.hop_length, x.shape[-1]
        beside = hop // 2 * 3
        # The package pads once more, and drops the frames that are due to it.
        padded = nn.functional.pad(x, (beside, beside + -length % hop), mode="reflect")
        spectrum = torch.stft(
            padded.flatten(0, 1),
            self.nfft,
            hop,
            window=self.window,
            center=False,
            normalized=True,
            return_complex=True,
        )
        return spectrum.unflatten(0, x.shape[:2])[..., :-1, :]

    def _ispec(self, z: torch.Tensor, length: Any = None, scale: Any = 0) -> torch.Tensor:
        hop = self.hop_length // 4**scale
        beside = hop // 2 * 3
        # (..., bins, frames) -> (signals, samples of a frame, frames)
        frames = torch.fft.irfft(z, self.nfft, dim=-2, norm="ortho").flatten(0, -3)
        # Squares of a Hann window every quarter of its length sum to 1.5.
        frames = frames * (self.window / 1.5)[:, None]
        samples = self.nfft + hop * (frames.shape[-1] - 1)
        signals = nn.functional.fold(frames, (1, samples), (1, self.nfft), stride=(1, hop))
        signals = signals[..., beside : beside + length]
        return signals.view(*z.shape[:-2], length)


class _Transformer(CrossTransformerEncoder):
    """The transformer with positions that are computed once for each shape.

    Attributes
    ----------
    positions
        By shape, of both branches.
    """

    positions: dict[tuple[int, ...], tuple[torch.Tensor, torch.Tensor]]

    def forward(self, x: torch.Tensor, xt: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return spectral and temporal features, as the package's network does.

        Parameters
        ----------
        x
            Spectral features, shape ``(items, channels, bins, frames)``.
        xt
            Temporal features, shape ``(items, channels, samples)``.
        """
        frames = x.shape[3]
        of_x, of_xt = self._positions(x, xt)
        x = self.norm_in(x.permute(0, 3, 2, 1).flatten(1, 2)) + of_x
        xt = self.norm_in_t(xt.transpose(1, 2)) + of_xt
        for index, (layer, layer_t) in enumerate(zip(self.layers, self.layers_t, strict=True)):
            if index % 2 == self.classic_parity:
                x, xt = layer(x), layer_t(xt)
            else:
                x, xt = layer(x, xt), layer_t(xt, x)
        return x.unflatten(1, (frames, -1)).permute(0, 3, 2, 1), xt.transpose(1, 2)

    def _positions(self, x: torch.Tensor, xt: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        _, channels, bins, frames = x.shape
        shape = (bins, frames, xt.shape[2])
        if shape not in self.positions:
            of_x: torch.Tensor = create_2d_sin_embedding(
                channels, bins, frames, x.device, self.max_period
            )
            of_xt: torch.Tensor = self._get_pos_embedding(xt.shape[2], 1, channels, x.device)
            self.positions[shape] = (
                self.weight_pos_embed * of_x.permute(0, 3, 2, 1).flatten(1, 2),
                self.weight_pos_embed * of_xt.transpose(0, 1),
            )
        return self.positions[shape]
