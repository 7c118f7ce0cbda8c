"""MusicGen: music that a text describes, as codes of EnCodec one frame after the other.

J. Copet et al., "Simple and controllable music generation", NeurIPS 2023. The networks are
``transformers.MusicgenForConditionalGeneration`` and, of the model that can also follow a
melody, ``MusicgenMelodyForConditionalGeneration``, here without a melody.

Pieces are drawn each from a generator of its own seed, so that a piece does not depend on
those that are made at the same time; the library draws a batch from one generator.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from models.batching import Batcher
from models.encodec import EncodecAdapter, Encoded
from models.inversion.tokens import check_known, expanded, vector_tokens
from models.musicgen_codes import Conditions, Sampling, decode
from models.precision import native_precision
from models.protocols.generation import LearntConcepts
from models.quiet import no_progress_bar, no_warnings
from models.registry import ModelCard

Float32 = npt.NDArray[np.float32]

MAX_SECONDS = 30.0
"""Length of the pieces that MusicGen was trained on."""

PIECES_PER_CALL = {"cpu": 1, "cuda": 8}
"""On a CPU, one: networks round otherwise for several, and now and then another code is drawn."""

DROPOUTS = {
    "decoder": ("dropout", "attention_dropout", "activation_dropout", "layerdrop"),
    "text_encoder": ("dropout_rate",),
}
"""Of the parts of the network. They are for a training of its weights, which stay as they are."""


def load(card: ModelCard, device: str, folder: Path) -> "MusicGenAdapter":
    """Load a MusicGen model: in the precision that a GPU multiplies fastest, in 32 bits on a CPU.

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
        If weights are missing, or it is no MusicGen.
    """
    import transformers

    # It warns of each MusicGen that the number of its padding is beyond its codes, as it has to be.
    with no_warnings():
        config: Any = transformers.AutoConfig.from_pretrained(folder, local_files_only=True)
    classes: dict[str, Any] = {
        "musicgen": transformers.MusicgenForConditionalGeneration,
        "musicgen_melody": transformers.MusicgenMelodyForConditionalGeneration,
    }
    if config.model_type not in classes:
        raise ValueError(f"{card.name} is a {config.model_type}, and no MusicGen")
    for part, names in DROPOUTS.items():
        for name in names:
            setattr(getattr(config, part), name, 0.0)
    with no_progress_bar(), no_warnings():
        loading: Any = classes[config.model_type].from_pretrained(
            folder,
            config=config,
            local_files_only=True,
            use_safetensors=not (folder / "pytorch_model.bin").exists(),
            weights_only=True,
            dtype=native_precision(device) if device == "cuda" else torch.float32,
            output_loading_info=True,
        )
    network, report = loading
    # What is missing would be drawn at random.
    parameters = {name for name, _ in network.named_parameters()}
    if missing := sorted(parameters & {*report["missing_keys"]}):
        raise ValueError(f"{card.name} lacks weights: {', '.join(missing[:3])}")
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
    return MusicGenAdapter(network, tokenizer, device)


class MusicGenAdapter:
    """The loaded model.

    Parameters
    ----------
    network
        Of transformers; it is moved to the device, and its weights do not change.
    tokenizer
        Its tokenizer of texts.
    device
        ``"cpu"`` or ``"cuda"``.

    Attributes
    ----------
    network
        Of transformers, for a training.
    sample_rate_hz, channels
        Of the music.
    frame_rate_hz, codebooks, codebook_size
        Of its codes.
    words
        Words that the text encoder knows; vectors of concepts have the numbers after these.
    text_dimensions
        Of a vector that stands for a word.
    max_seconds
        Of a piece.
    """

    def __init__(self, network: Any, tokenizer: Any, device: str) -> None:
        self.device = torch.device(device)
        self.network = network.eval().requires_grad_(False).to(self.device)
        # EnCodec rounds too much in half precision.
        self._codec = EncodecAdapter(network.audio_encoder.float(), device)
        self._prompts = Prompts(tokenizer)
        self.sample_rate_hz: int = self._codec.sample_rate_hz
        self.frame_rate_hz: float = self._codec.frame_rate_hz
        self.channels: int = network.config.decoder.audio_channels
        self.codebooks: int = network.config.decoder.num_codebooks
        self.codebook_size: int = network.config.decoder.vocab_size
        self.words = self._prompts.words
        self.text_dimensions: int = network.config.text_encoder.hidden_size
        self.max_seconds = MAX_SECONDS

    def tokens(
        self, prompts: Sequence[str], counts: Mapping[str, int] | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return the words of prompts, and where there are some, shape ``(prompts, words)`` each.

        Parameters
        ----------
        prompts
            In words, with concepts as ``<name>``.
        counts
            Vectors of each concept that the model is to know. The numbers of their words are
            those after the words of the tokenizer, in this order.

        Raises
        ------
        ConceptError
            If a prompt has a concept that is not among them.
        """
        ids, mask = self._prompts.tokens(prompts, dict(counts or {}))
        return ids.to(self.device), mask.to(self.device)

    def embedded(self, ids: Tensor, vectors: Tensor | None = None) -> Tensor:
        """Return what the text encoder is given for words, ``(prompts, words, text_dimensions)``.

        Parameters
        ----------
        ids
            As :meth:`tokens` returns them.
        vectors
            Of the concepts, shape ``(all vectors, text_dimensions)``: gradients reach these only.
        """
        table = self.network.get_input_embeddings().weight
        if vectors is None:
            return torch.nn.functional.embedding(ids, table)
        first = self.words
        known = torch.nn.functional.embedding(ids.clamp(max=first - 1), table)
        learnt = vectors.to(table.dtype)[(ids - first).clamp(min=0)]
        return torch.where((ids >= first)[..., None], learnt, known)

    def generate(
        self,
        prompts: Sequence[str],
        seeds: Sequence[int],
        *,
        seconds: float,
        guidance: float = 3.0,
        temperature: float = 1.0,
        top_k: int = 250,
        concepts: LearntConcepts | None = None,
        batch_size: int | None = None,
        on_frame: Callable[[int, int], None] | None = None,
    ) -> Iterator[Float32]:
        """Make music.

        Parameters
        ----------
        prompts
            In words, with concepts as ``<name>``.
        seeds
            Of each piece. On a CPU a piece depends on its prompt and seed alone; on a GPU, which
            rounds otherwise for several at once, also on how many are made together.
        seconds
            Of each piece.
        guidance
            How much more the text counts than it does by itself (classifier-free guidance); 1 for
            no more.
        temperature
            Of the distribution that codes are drawn from.
        top_k
            Codes to draw from, the most probable ones; 0 for all.
        concepts
            What the model was taught.
        batch_size
            Pieces at once on a GPU; None for 8. A CPU takes one.
        on_frame
            Called with the number of frames that are there and of all, of the present pieces;
            what it raises ends the generation.

        Yields
        ------
        ndarray, shape (channels, samples)
            In the order of the prompts.

        Raises
        ------
        ValueError
            If a length or another number is not possible, or a concept is not known.
        """
        if not 0 < seconds <= self.max_seconds:
            raise ValueError(f"pieces of {seconds:g} s; up to {self.max_seconds:g} s can be made")
        vectors = dict(concepts.vectors) if concepts else {}
        check_known(prompts, list(vectors))
        sampling = Sampling(guidance, temperature, top_k)
        frames = max(1, round(seconds * self.frame_rate_hz))

        def batch(items: list[tuple[str, int]]) -> list[Float32]:
            conditions = self.conditions([prompt for prompt, _ in items], vectors, guidance)
            codes = decode(conditions, frames, [seed for _, seed in items], sampling, on_frame)
            return [self._audio(each) for each in codes]

        default = PIECES_PER_CALL[self.device.type]
        size = (batch_size or default) if self.device.type == "cuda" else default
        with self._taught(concepts):
            yield from Batcher(size).map(batch, zip(prompts, seeds, strict=True))

    @torch.inference_mode()
    def conditions(
        self, prompts: Sequence[str], vectors: Mapping[str, Float32], guidance: float
    ) -> Conditions:
        """Return what the decoder is told of texts, with those of no text for a guidance over 1."""
        ids, mask = self.tokens(prompts, {name: len(each) for name, each in vectors.items()})
        learnt = None
        if vectors:
            learnt = torch.from_numpy(np.concatenate(list(vectors.values()))).to(self.device)
        hidden = self.network.text_encoder(
            inputs_embeds=self.embedded(ids, learnt), attention_mask=mask
        ).last_hidden_state
        if guidance > 1:
            hidden = torch.cat([hidden, torch.zeros_like(hidden)])
            mask = torch.cat([mask, torch.zeros_like(mask)])
        return Conditions(self.network, hidden, mask, count=len(prompts))

    def _audio(self, codes: npt.NDArray[np.uint16]) -> Float32:
        """Return the music of codes ``(codebooks, frames)``; those of two channels take turns."""
        hop = round(self.sample_rate_hz / self.frame_rate_hz)
        sides = [codes[side :: self.channels] for side in range(self.channels)]
        samples = codes.shape[1] * hop
        return np.concatenate([self._codec.decode(Encoded(side, None, samples)) for side in sides])

    def _taught(self, concepts: LearntConcepts | None) -> Any:
        """Return a context in which the decoder has the low-rank weights of what was learnt."""
        if concepts is None or concepts.decoder is None:
            return nullcontext()
        from models.inversion.lora_weights import applied

        return applied(self.network, concepts.decoder)


class Prompts:
    """A tokenizer, and what it becomes when it knows concepts.

    Parameters
    ----------
    tokenizer
        Of the text encoder.

    Attributes
    ----------
    words
        Words that it knows without any concept.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self.words = len(tokenizer)
        self._knowing = lru_cache(maxsize=8)(self._with_concepts)

    def tokens(self, prompts: Sequence[str], counts: Mapping[str, int]) -> tuple[Tensor, Tensor]:
        """Return the numbers of words, and a mask of where there are some."""
        check_known(prompts, list(counts))
        tokenizer = self._knowing(tuple(counts.items()))
        texts = [expanded(prompt, counts) for prompt in prompts]
        encoded = tokenizer(texts, padding=True, return_tensors="pt")
        return encoded.input_ids, encoded.attention_mask

    def _with_concepts(self, counts: tuple[tuple[str, int], ...]) -> Any:
        from copy import deepcopy

        from tokenizers import AddedToken

        if not counts:
            return self._tokenizer
        tokenizer = deepcopy(self._tokenizer)
        words = [word for name, count in counts for word in vector_tokens(name, count)]
        # Without the spaces around: a vector more or less is the only difference.
        tokenizer.add_tokens(
            [AddedToken(word, lstrip=True, rstrip=True, normalized=False) for word in words]
        )
        return tokenizer
