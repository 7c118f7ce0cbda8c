"""What is learnt of concepts, with the frozen generator that it is learnt with."""

from collections.abc import Mapping
from typing import Self

import torch
from torch import Tensor, nn

from models.inversion.tokens import entropy
from models.musicgen import MusicGenAdapter
from models.musicgen_codes import IGNORED, delayed

NOISE = 0.1
"""Deviation of what is added to the mean word, so that no two vectors begin alike."""


class Learner(nn.Module):
    """What is learnt of concepts; its state is all that a training changes, saves and restores.

    The generator is no part of the module: its weights are in no state, and have no gradients.

    Parameters
    ----------
    generator
        Of music; its networks carry the gradients.
    counts
        Vectors of each concept, by its name.
    checkpointing
        Whether layers are computed a second time for their gradients instead of being kept: a
        third slower, in a fraction of the memory.

    Attributes
    ----------
    vectors
        Of all concepts, in the order of `counts`, shape ``(all vectors, dimensions)``.
    """

    vectors: Tensor

    def __init__(
        self,
        generator: MusicGenAdapter,
        counts: Mapping[str, int],
        *,
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        # In a tuple, where torch does not look for modules.
        self._generator = (generator,)
        self._checkpointing = checkpointing
        self.counts = dict(counts)
        if checkpointing:
            generator.network.activation_checkpointing_enable()
            self.train()

    @property
    def generator(self) -> MusicGenAdapter:
        """The frozen generator."""
        return self._generator[0]

    def train(self, mode: bool = True) -> Self:
        """Say whether it is in training: only then are layers computed twice.

        Without dropout it is the same; but music cannot be generated meanwhile.
        """
        super().train(mode)
        if self._checkpointing:
            self.generator.network.text_encoder.train(mode)
            self.generator.network.decoder.train(mode)
        return self

    def forward(self, ids: Tensor, mask: Tensor, codes: Tensor) -> Tensor:
        """Return the mean cross-entropy of each item's codes, in nats, shape ``(items,)``.

        Parameters
        ----------
        ids, mask
            Words of the prompts, as ``MusicGenAdapter.tokens`` returns them for `counts`.
        codes
            Of the music, shape ``(items, codebooks, frames)``.
        """
        network = self.generator.network
        config = network.config.decoder
        given, told = delayed(codes.long(), config.pad_token_id, config.audio_channels)
        logits = network(
            inputs_embeds=self.generator.embedded(ids, self.vectors),
            attention_mask=mask,
            decoder_input_ids=given.flatten(0, 1),
            use_cache=False,
        ).logits
        losses = nn.functional.cross_entropy(
            logits[:, -given.shape[-1] :].float().transpose(1, 2),
            told.flatten(0, 1),
            ignore_index=IGNORED,
            reduction="none",
        )
        return losses.view(len(codes), -1).sum(1) / codes[0].numel()

    def by_concept(self) -> dict[str, Tensor]:
        """Return the vectors of each concept, shape ``(vectors, dimensions)``."""
        parts = self.vectors.split(list(self.counts.values()))
        return dict(zip(self.counts, parts, strict=True))

    def release(self) -> None:
        """Leave the generator as it was."""
        network = self.generator.network
        network.activation_checkpointing_disable()
        network.eval()


class Inversion(Learner):
    """Vectors of concepts, which are learnt.

    Parameters
    ----------
    generator
        Of music; its text encoder and decoder carry the gradients.
    counts
        Vectors of each concept, by its name.
    amplify
        What the gradients of the vectors are multiplied by.
    seed
        Of what the vectors begin with: those of a concept are a function of it, of its name and
        of their number, whatever else is learnt with it.
    checkpointing
        As :class:`Learner` has it.

    Attributes
    ----------
    vectors
        Of all concepts, in the order of `counts`, shape ``(all vectors, dimensions)``: the mean
        of the text encoder's words and some noise, before they are learnt.
    """

    def __init__(
        self,
        generator: MusicGenAdapter,
        counts: Mapping[str, int],
        *,
        amplify: float = 1.0,
        seed: int = 0,
        checkpointing: bool = False,
    ) -> None:
        super().__init__(generator, counts, checkpointing=checkpointing)
        table = generator.network.get_input_embeddings().weight.detach().float()
        noise = [_noise(seed, name, count, table.shape[1]) for name, count in counts.items()]
        self.vectors = nn.Parameter(table.mean(0).cpu() + torch.cat(noise))
        self.vectors.register_hook(lambda gradient: amplify * gradient)


def _noise(seed: int, concept: str, count: int, dimensions: int) -> Tensor:
    """Return what is added to the mean word for each vector of a concept."""
    # Of two numbers of 32 bits, since a generator takes one of 64.
    generator = torch.Generator().manual_seed((seed % 2**31 << 32) + entropy(concept))
    return NOISE * torch.randn(count, dimensions, generator=generator)
