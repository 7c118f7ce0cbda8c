"""Codes of MusicGen, one frame after the other.

A codebook is one frame behind the one before it (the delay pattern of the paper): at each
step the network tells the next code of every codebook, each of another frame.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

IGNORED = -100
"""What stands for a code that is none where a loss is computed."""


def delays(codebooks: int, channels: int) -> Tensor:
    """Return how many frames each codebook is late; those of two channels take turns."""
    return torch.arange(codebooks) // channels


def delayed(codes: Tensor, padding: int, channels: int = 1) -> tuple[Tensor, Tensor]:
    """Return what the network is given and what it is to tell, of codes that are known.

    Parameters
    ----------
    codes
        Shape ``(items, codebooks, frames)``.
    padding
        Number that stands for no code.
    channels
        Of the music.

    Returns
    -------
    tuple of Tensor
        Given and told, shape ``(items, codebooks, frames + the longest delay)`` each; what is
        not to be told is ``IGNORED``.
    """
    items, codebooks, frames = codes.shape
    late = delays(codebooks, channels)
    steps = frames + int(late.max())
    told = codes.new_full((items, codebooks, steps), IGNORED)
    for codebook, delay in enumerate(late.tolist()):
        told[:, codebook, delay : delay + frames] = codes[:, codebook]
    given = told.roll(1, dims=-1)
    given[..., 0] = IGNORED
    return given.masked_fill(given == IGNORED, padding), told


@dataclass(frozen=True)
class Sampling:
    """How a code is drawn.

    Attributes
    ----------
    guidance
        How much more the text counts than it does by itself; 1 for no more.
    temperature
        Of the distribution.
    top_k
        Codes to draw from, the most probable ones; 0 for all.
    """

    guidance: float
    temperature: float
    top_k: int

    def __post_init__(self) -> None:
        if self.guidance < 1 or self.temperature <= 0 or self.top_k < 0:
            raise ValueError(
                "guidance is 1 or more, temperature more than 0, and top_k 0 or more; not "
                f"{self.guidance:g}, {self.temperature:g} and {self.top_k}"
            )

    def draw(self, logits: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
        """Return a code of each codebook, ``(items, codebooks)``.

        Parameters
        ----------
        logits
            Shape ``(items, codebooks, codes)``; for a guidance over 1 twice as many items, those
            with a text before those without.
        generators
            Of each item.
        """
        items = len(generators)
        if self.guidance > 1:
            with_text, without = logits[:items], logits[items:]
            logits = without + self.guidance * (with_text - without)
        logits = logits / self.temperature
        if 0 < self.top_k < logits.shape[-1]:
            least = logits.topk(self.top_k).values[..., -1:]
            logits = logits.masked_fill(logits < least, -torch.inf)
        # Adding noise of Gumbel's distribution and taking the largest draws from the softmax.
        # The noise is drawn on the CPU, where a seed gives the same numbers on any machine.
        noise = torch.stack(
            [torch.empty(logits.shape[1:]).exponential_(generator=each) for each in generators]
        )
        return (logits - noise.log().to(logits.device)).argmax(-1)


class Conditions:
    """What the decoder is told of texts.

    Parameters
    ----------
    network
        Of transformers.
    hidden, mask
        Of the text encoder, shape ``(n, words, dimensions)`` and ``(n, words)``.
    count
        Items: half of `n` with guidance, since each is computed without a text as well.
    """

    def __init__(self, network: Any, hidden: Tensor, mask: Tensor, count: int) -> None:
        self.network, self.count = network, count
        self._mask = mask
        self._is_melody = network.config.model_type == "musicgen_melody"
        self._hidden = self._with_melody(hidden) if self._is_melody else hidden
        self._cache: Any = None

    @property
    def items(self) -> int:
        """How many there are, with those without a text."""
        return len(self._mask)

    def logits(self, codes: Tensor) -> Tensor:
        """Return those of the next step, ``(items, codebooks, codes)``.

        Parameters
        ----------
        codes
            What was drawn last, shape ``(items, codebooks)``.
        """
        told: dict[str, Any]
        if self._is_melody:
            # Before the codes, and so once.
            told = {"encoder_hidden_states": self._hidden if self._cache is None else None}
        else:
            told = {"encoder_outputs": (self._hidden,), "attention_mask": self._mask}
        result = self.network(
            decoder_input_ids=codes.reshape(-1, 1),
            past_key_values=self._cache,
            use_cache=True,
            return_dict=True,
            **told,
        )
        self._cache = result.past_key_values
        return result.logits[:, -1].float().view(*codes.shape, -1)

    def _with_melody(self, hidden: Tensor) -> Tensor:
        """Put no melody before texts, as the library does where none is given."""
        config, network = self.network.config, self.network
        if config.text_encoder.hidden_size != config.decoder.hidden_size:
            hidden = network.enc_to_dec_proj(hidden)
        hidden = hidden * self._mask[..., None]
        melody = hidden.new_zeros((len(hidden), config.chroma_length, config.num_chroma))
        melody[..., 0] = 1
        if config.num_chroma != config.decoder.hidden_size:
            melody = network.audio_enc_to_dec_proj(melody)
        return torch.cat([melody, hidden], dim=1)


@torch.inference_mode()
def decode(
    conditions: Conditions,
    frames: int,
    seeds: Sequence[int],
    sampling: Sampling,
    on_frame: Callable[[int, int], None] | None = None,
) -> npt.NDArray[np.uint16]:
    """Draw codes.

    Parameters
    ----------
    conditions
        Of the items.
    frames
        To draw.
    seeds
        Of each item.
    sampling
        How a code is drawn.
    on_frame
        Called with the number of steps that are done, and of all.

    Returns
    -------
    ndarray, shape (items, codebooks, frames)
    """
    config = conditions.network.config.decoder
    device = conditions.network.device
    late = delays(config.num_codebooks, config.audio_channels).to(device)
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    steps = frames + int(late.max())
    last = torch.full((conditions.count, len(late)), config.pad_token_id, device=device)
    drawn = torch.empty((conditions.count, len(late), steps), dtype=torch.long, device=device)
    times = conditions.items // conditions.count
    for step in range(steps):
        codes = sampling.draw(conditions.logits(last.repeat(times, 1)), generators)
        is_code = (late <= step) & (step < late + frames)
        last = torch.where(is_code, codes, config.pad_token_id)
        drawn[:, :, step] = last
        if on_frame is not None:
            on_frame(step + 1, steps)
    places = late[:, None] + torch.arange(frames, device=device)
    return drawn.gather(2, places.expand(conditions.count, -1, -1)).cpu().numpy().astype(np.uint16)
