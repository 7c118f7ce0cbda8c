"""The memory that a training of concepts takes, from the configuration of a model alone.

A step is run on tensors without content (torch's device ``meta``), and every storage that comes
and goes is counted. So the sizes are those of the network itself, and no formula has to follow it.
What only a device knows is not counted: its libraries' own memory (some 0.5 GB of a CUDA process),
gaps between tensors, and kernels that take less than their definitions say, as attention does.
"""

from dataclasses import dataclass
from typing import Any
from weakref import finalize

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only

from models.inversion.adapter import Method
from models.inversion.lora import LowRank, Rank
from models.inversion.network import Learner
from models.musicgen import PIECES_PER_CALL, MusicGenAdapter

NAME_WORDS = 5
"""Words that a concept's name is taken to have."""

ADAM = 4
"""Numbers of 32 bits per one that is learnt: itself, its gradient and Adam's two moments."""


@dataclass(frozen=True)
class Step:
    """What a step of a training consists of.

    Attributes
    ----------
    method
        ``inversion`` or ``lora``.
    batch
        Examples that are taken at once.
    seconds
        Length of an example.
    concepts, vectors
        How many there are, and of each.
    words
        Of a prompt, with those of a concept's vectors.
    checkpointing
        Whether layers are computed a second time for their gradients instead of being kept.
    """

    method: Method = "inversion"
    batch: int = 10
    seconds: float = 5.0
    concepts: int = 2
    vectors: int = 20
    words: int = 48
    checkpointing: bool = True


@dataclass(frozen=True)
class Memory:
    """Bytes that a training takes.

    Attributes
    ----------
    weights
        Of the generator, the codec in 32 bits.
    learnt
        What is learnt, with its gradients and the optimizer's state.
    kept
        Results of layers that are kept for the gradients, when the loss is there.
    passing
        The most that a step has beside the weights and what is learnt, with what is kept.
    cache
        Keys and values of the pieces that an evaluation generates at once.
    """

    weights: int
    learnt: int
    kept: int
    passing: int
    cache: int

    @property
    def training(self) -> int:
        """The most at any moment of a step."""
        return self.weights + self.learnt + self.passing

    @property
    def total(self) -> int:
        """The most at any moment of a training with evaluations, but for what evaluates."""
        return self.weights + self.learnt + max(self.passing, self.cache)


def needed(config: Any, step: Step, dtype: torch.dtype) -> Memory:
    """Return what a training takes.

    Parameters
    ----------
    config
        Of the generator: a ``transformers.MusicgenConfig``, or that of a model with melodies.
    step
        What a step consists of.
    dtype
        Of the generator's weights and results. In mixed precision a part of the results has 32
        bits: what ``torch.float32`` takes is more than that.
    """
    network = _network(config, dtype)
    weights = sum(each.nbytes for each in (*network.parameters(), *network.buffers()))
    learner = _learner(network, step)
    codes = torch.zeros(
        (step.batch, config.decoder.num_codebooks, _frames(config, step.seconds)),
        dtype=torch.long,
        device="meta",
    )
    ids = torch.zeros((step.batch, step.words), dtype=torch.long, device="meta")
    mask = torch.ones_like(ids)
    counting = Counting(*network.parameters(), *network.buffers(), *learner.parameters())
    with counting:
        loss = learner.train()(ids, mask, codes).mean()
        kept = counting.bytes
        loss.backward()
    return Memory(
        weights=weights,
        learnt=ADAM * sum(each.nbytes for each in learner.parameters()),
        kept=kept,
        passing=counting.peak_bytes,
        cache=_cache(config, step, dtype),
    )


class Counting(TorchDispatchMode):
    """Counts the bytes of all tensors that are made within the block and are still there.

    Parameters
    ----------
    known
        Tensors that are there before, and are not counted.

    Attributes
    ----------
    bytes, peak_bytes
        Of the present moment, and the most so far.
    """

    def __init__(self, *known: Tensor) -> None:
        super().__init__()
        self.bytes = self.peak_bytes = 0
        self._known = known
        self._sizes = {each.untyped_storage()._cdata: 0 for each in known}

    def __torch_dispatch__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Let a function do its work, and count what it makes."""
        if function is torch.ops.aten._local_scalar_dense.default and args[0].is_meta:
            # The library asks whether a mask can be left out; what is not known is no.
            return False
        made = function(*args, **(kwargs or {}))
        tree_map_only(Tensor, self._count, made)
        return made

    def _count(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self._sizes:
            return
        self._sizes[key] = storage.nbytes()
        self.bytes += storage.nbytes()
        self.peak_bytes = max(self.peak_bytes, self.bytes)
        finalize(storage, self._drop, key)

    def _drop(self, key: int) -> None:
        self.bytes -= self._sizes.pop(key)


def _network(config: Any, dtype: torch.dtype) -> Any:
    """Return a generator without content, as the adapter of MusicGen holds one."""
    import transformers

    name = "MusicgenMelody" if config.model_type == "musicgen_melody" else "Musicgen"
    with torch.device("meta"):
        network: Any = getattr(transformers, f"{name}ForConditionalGeneration")(config)
    network = network.eval().requires_grad_(False).to(dtype)
    network.audio_encoder.float()
    return network


class _Generator:
    """What learners ask of a generator, without content."""

    embedded = MusicGenAdapter.embedded

    def __init__(self, network: Any) -> None:
        self.network = network
        # Every word is one of a concept: they take as much memory as the others.
        self.words = 0

    def tokens(self, prompts: list[str]) -> tuple[Tensor, Tensor]:
        shape = (len(prompts), NAME_WORDS + 1)
        ids = torch.zeros(shape, dtype=torch.long, device="meta")
        return ids, torch.ones_like(ids)


class _Vectors(Learner):
    """Vectors without content."""

    def __init__(self, generator: Any, step: Step) -> None:
        counts = {str(at): step.vectors for at in range(step.concepts)}
        super().__init__(generator, counts, checkpointing=step.checkpointing)
        size = generator.network.config.text_encoder.hidden_size
        rows = torch.empty((step.concepts * step.vectors, size), device="meta")
        self.vectors = nn.Parameter(rows)


def _learner(network: Any, step: Step) -> Learner:
    generator: Any = _Generator(network)
    if step.method == "lora":
        names = [str(at) for at in range(step.concepts)]
        return LowRank(generator, names, rank=Rank(), checkpointing=step.checkpointing)
    return _Vectors(generator, step)


def _frames(config: Any, seconds: float) -> int:
    return round(seconds * config.audio_encoder.frame_rate)


def _cache(config: Any, step: Step, dtype: torch.dtype) -> int:
    """Return the bytes of keys and values, of codes and of words, with and without the text."""
    decoder = config.decoder
    places = _frames(config, step.seconds) + decoder.num_codebooks - 1 + step.words
    rows = 2 * PIECES_PER_CALL["cuda"] * places * decoder.num_hidden_layers
    return int(2 * rows * decoder.hidden_size * dtype.itemsize)
