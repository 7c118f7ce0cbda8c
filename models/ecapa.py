"""ECAPA-TDNN: embeddings of a speaker's or singer's voice.

B. Desplanques, J. Thienpondt and K. Demuynck, "ECAPA-TDNN: Emphasized channel attention,
propagation and aggregation in TDNN based speaker verification", Interspeech 2020. Network
and front-end are those of the package speechbrain, its ``EncoderClassifier.encode_batch``
is equalled by test.

The published ``hyperparams.yaml`` is a program: its tags import and call whatever they
name. Here it is read as data, and only the numbers that describe the network are used. Of
the published files neither the classifier of the training speakers nor the statistics of
the embeddings (``mean_var_norm_emb``) have a part in an embedding.
"""

import pickle
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import yaml
from torch.nn import functional

from models.batching import Batcher, gpu_turn, to_device
from models.registry import ModelCard

Float32 = npt.NDArray[np.float32]

RATE_HZ = 16_000
WINDOW_SECONDS = 3.0
"""Length of the pieces that the published network was trained on: ``sentence_len`` in
speechbrain's recipe VoxCeleb/SpeakerRec."""

MIN_SAMPLES = 640
"""Five frames of 10 ms: at the edges, the widest convolution reflects four."""

WINDOWS_PER_CALL = {"cpu": 1, "cuda": 64}
"""On a CPU, two or four windows of 3 s at once take 1 % less time each than one, eight 4 %
more; of one alone, the result depends on no other."""

_FBANK = "new:speechbrain.lobes.features.Fbank"
_NORMALISATION = "new:speechbrain.processing.features.InputNormalization"
_NETWORK = "new:speechbrain.lobes.models.ECAPA_TDNN.ECAPA_TDNN"


def load(card: ModelCard, device: str, folder: Path) -> "EcapaAdapter":
    """Load a network from its ``hyperparams.yaml`` and ``embedding_model.ckpt``.

    Parameters
    ----------
    card
        The model.
    device
        ``"cpu"`` or ``"cuda"``.
    folder
        Where the files lie.

    Raises
    ------
    ValueError
        If the files describe or hold something else than an ECAPA-TDNN over mel bands
        less their mean.
    """
    bands, sizes = _read_description(folder / "hyperparams.yaml")
    # Imported late: the package takes a second.
    from speechbrain.lobes.features import Fbank
    from speechbrain.lobes.models.ECAPA_TDNN import ECAPA_TDNN

    forget_redirects()
    try:
        front_end, network = Fbank(**bands), ECAPA_TDNN(**sizes)
        state = torch.load(folder / "embedding_model.ckpt", map_location="cpu", weights_only=True)
        network.load_state_dict(state)
    except (TypeError, RuntimeError, AssertionError, pickle.UnpicklingError) as error:
        raise ValueError(f"{card.name}: its files hold no ECAPA-TDNN: {error}") from error
    return EcapaAdapter(front_end, network, device)


def forget_redirects() -> None:
    """Take out of ``sys.modules`` what speechbrain leaves there for its old names.

    Whoever looks at all modules (debuggers, test tools, picklers) would set off imports of
    packages that are not installed.
    """
    from speechbrain.utils.importutils import LazyModule

    for name, module in [*sys.modules.items()]:
        if isinstance(module, LazyModule):
            del sys.modules[name]


class EcapaAdapter:
    """The loaded network; every signal is mono at ``RATE_HZ``.

    Parameters
    ----------
    front_end
        ``speechbrain.lobes.features.Fbank``.
    network
        ``speechbrain.lobes.models.ECAPA_TDNN.ECAPA_TDNN``, with global context.
    device
        ``"cpu"`` or ``"cuda"``.
    """

    def __init__(self, front_end: torch.nn.Module, network: Any, device: str) -> None:
        self._device = torch.device(device)
        self._front_end = front_end.eval().to(self._device)
        self._network = network.eval().to(self._device)
        # The attention hears each frame beside mean and deviation of all frames, which are
        # the same for every frame: their share of the layer is computed once per item, not
        # once per frame, which spares a tenth of the time.
        layer = network.asp.tdnn.conv.conv
        channels = layer.in_channels // 3
        frame, *overall = layer.weight.detach().split(channels, dim=1)
        self._frame_weight = frame.contiguous()
        self._overall_weight = torch.cat(overall, dim=1).squeeze(2).contiguous()
        self._overall_bias = layer.bias.detach()

    def embed(self, signals: Iterable[Float32], batch_size: int | None = None) -> Iterator[Float32]:
        """Embed signals, each equal to ``EncoderClassifier.encode_batch`` of it alone.

        Nothing is padded, since padding would change the result (the convolutions hear it):
        of what is taken at once, signals of one length go through the network together.
        Windows of a fixed length are what makes full batches.

        Parameters
        ----------
        signals
            Shape ``(samples,)`` each, ``MIN_SAMPLES`` or more.
        batch_size
            Signals at once on a GPU; None for 64. Without effect on a CPU, which takes one.

        Yields
        ------
        ndarray, shape (192,)
            Of unit norm, in the order of the signals.

        Raises
        ------
        ValueError
            If a signal is too short.
        """
        on_gpu = self._device.type == "cuda"
        default = WINDOWS_PER_CALL[self._device.type]
        batcher = Batcher((batch_size or default) if on_gpu else default, ahead=on_gpu)
        return batcher.map(self._embed_batch, signals)

    def _embed_batch(self, signals: list[Float32]) -> list[Float32]:
        by_length: dict[int, list[int]] = {}
        for index, signal in enumerate(signals):
            if len(signal) < MIN_SAMPLES:
                raise ValueError(f"{len(signal)} samples are too few: at least {MIN_SAMPLES}")
            by_length.setdefault(len(signal), []).append(index)
        results: list[Float32] = [np.empty(0, np.float32)] * len(signals)
        for indices in by_length.values():
            alike = np.stack([signals[index] for index in indices])
            embeddings = self._infer(to_device(alike, self._device))
            for index, embedding in zip(indices, embeddings, strict=True):
                results[index] = embedding
        return results

    @gpu_turn()
    @torch.inference_mode()
    def _infer(self, signals: torch.Tensor) -> Float32:
        mels = self._front_end(signals)
        mels -= mels.mean(dim=1, keepdim=True)
        # Half precision with 11 bits: activations are normalised and stay far below its
        # limit of 65,504. Statistics over time are computed in single precision.
        with torch.autocast("cuda", torch.float16, enabled=self._device.type == "cuda"):
            hidden = mels.transpose(1, 2)
            outputs = []
            for block in self._network.blocks:
                hidden = block(hidden)
                outputs.append(hidden)
            pooled = self._pool(self._network.mfa(torch.cat(outputs[1:], dim=1)))
        embeddings = self._network.fc(self._network.asp_bn(pooled[:, :, None])).squeeze(2)
        result: Float32 = functional.normalize(embeddings, dim=1).cpu().numpy()
        return result

    def _pool(self, frames: torch.Tensor) -> torch.Tensor:
        """Attentive mean and deviation of ``(items, channels, frames)`` over the frames."""
        pooling = self._network.asp
        wide = frames.float()
        mean = wide.mean(dim=2)
        deviation = (wide - mean[:, :, None]).square_().mean(dim=2).clamp_(pooling.eps).sqrt_()
        overall = functional.linear(
            torch.cat((mean, deviation), dim=1), self._overall_weight, self._overall_bias
        )
        hidden = functional.conv1d(frames, self._frame_weight) + overall[:, :, None]
        hidden = pooling.tanh(pooling.tdnn.norm(pooling.tdnn.activation(hidden)))
        attention = functional.softmax(pooling.conv(hidden).float(), dim=2)
        mean = (attention * wide).sum(dim=2)
        squares = (wide - mean[:, :, None]).square_().mul_(attention)
        return torch.cat((mean, squares.sum(dim=2).clamp_(pooling.eps).sqrt_()), dim=1)


class _Description(yaml.SafeLoader):
    """YAML whose tags are kept as words instead of being obeyed."""


class _Tagged(tuple[str, Any]):
    """A tag and what it stands before."""

    __slots__ = ()


def _keep_tag(loader: _Description, tag: str, node: yaml.Node) -> _Tagged:
    if isinstance(node, yaml.MappingNode):
        return _Tagged((tag, loader.construct_mapping(node, deep=True)))
    if isinstance(node, yaml.SequenceNode):
        return _Tagged((tag, loader.construct_sequence(node, deep=True)))
    return _Tagged((tag, loader.construct_scalar(node)))


_Description.add_multi_constructor("!", _keep_tag)


def _read_description(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Arguments of the front-end and of the network.

    Raises
    ------
    ValueError
        If the file says anything else than what this module computes.
    """
    try:
        # A subclass of the safe loader, which makes plain data of everything.
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_Description)
    except yaml.YAMLError as error:
        raise ValueError(f"{path.name} cannot be read safely: {error}") from error
    bands = _arguments(content, "compute_features", _FBANK, path)
    if _arguments(content, "mean_var_norm", _NORMALISATION, path) != {
        "norm_type": "sentence",
        "std_norm": False,
    }:
        raise ValueError(f"{path.name}: mean_var_norm does not take off the mean of a signal")
    sizes = _arguments(content, "embedding_model", _NETWORK, path)
    for name, value in [*bands.items(), *sizes.items()]:
        numbers = value if isinstance(value, list) else [value]
        if not all(isinstance(number, int | float) for number in numbers):
            raise ValueError(f"{path.name}: {name} is no number")
    if not sizes.get("global_context", True):
        raise ValueError(f"{path.name}: a network without global context")
    return bands, sizes


def _arguments(content: Any, name: str, tag: str, path: Path) -> dict[str, Any]:
    """Arguments of an object that the file describes, references to plain values resolved."""
    entry = content.get(name) if isinstance(content, dict) else None
    if not isinstance(entry, _Tagged) or entry[0] != tag or not isinstance(entry[1], dict):
        raise ValueError(f"{path.name}: {name} is no {tag.rpartition('.')[2]} of speechbrain")
    return {
        key: content.get(value[1].strip("<>"))
        if isinstance(value, _Tagged) and value[0] == "ref"
        else value
        for key, value in entry[1].items()
    }
