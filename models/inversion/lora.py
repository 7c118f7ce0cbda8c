"""Low-rank weights of a decoder: what users of dreamboothing MusicGen train.

E. J. Hu et al., "LoRA: low-rank adaptation of large language models", ICLR 2022, by PEFT, in whose
layout they are written: ``peft.PeftModel.from_pretrained`` loads them. Rank, scale, dropout and
the kinds of layers are those of the repository musicgen-dreamboothing, which also adapts the
tables and heads of the codes; here only the layers between them are.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from models.inversion.lora_weights import ADAPTER, CONFIG, PREFIX, WEIGHTS, layers
from models.inversion.network import Learner
from models.musicgen import MusicGenAdapter

TARGETS = (
    r"decoder\.model\.decoder\.layers\.\d+\."
    r"(?:(?:self_attn|encoder_attn)\.(?:q_proj|k_proj|v_proj|out_proj)|fc1|fc2)"
)
"""Names of the adapted layers: all linear ones of the decoder's blocks."""


@dataclass(frozen=True)
class Rank:
    """How many weights there are, and how much they count.

    Attributes
    ----------
    rank
        Of what is added to a layer.
    alpha
        It is scaled by `alpha` over `rank`.
    dropout
        Share of a layer's inputs that it does not see, in training.
    """

    rank: int = 16
    alpha: int = 16
    dropout: float = 0.05


class LowRank(Learner):
    """Low-rank weights of the generator's decoder, which are learnt; its vectors are not.

    A concept's vectors are those of the words of its name: ``in the style of <lo-fi>`` is to the
    decoder what ``in the style of lo fi`` is. So prompts, files and generation are the same as of
    vectors that are learnt, and what differs is the method. The layers lie in the generator until
    :meth:`release`.

    Parameters
    ----------
    generator
        Of music; its decoder carries the gradients.
    concepts
        Their names.
    rank
        How many weights there are.
    seed
        Of what the weights begin with; what they add to a layer is zero at first.
    checkpointing
        As :class:`models.inversion.network.Learner` has it.
    """

    _layers: tuple[nn.Module, ...] = ()

    def __init__(
        self,
        generator: MusicGenAdapter,
        concepts: Sequence[str],
        *,
        rank: Rank | None = None,
        seed: int = 0,
        checkpointing: bool = False,
    ) -> None:
        import peft

        rank, network = rank or Rank(), generator.network
        words = {name: _words(generator, name) for name in concepts}
        counts = {name: len(ids) for name, ids in words.items()}
        super().__init__(generator, counts, checkpointing=checkpointing)
        rows = [generator.embedded(ids).float() for ids in words.values()]
        self.register_buffer("vectors", torch.cat(rows), persistent=False)
        self.config = peft.LoraConfig(
            r=rank.rank,
            lora_alpha=rank.alpha,
            lora_dropout=rank.dropout,
            target_modules=TARGETS,
            bias="none",
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            # In a tuple, where torch does not look for modules.
            self._tuner = (peft.LoraModel(network, self.config, ADAPTER),)
        self._layers = layers(network)
        # In 32 bits, whatever those of the network are: steps of an optimizer are small.
        for parameter in filter(lambda each: each.requires_grad, network.parameters()):
            parameter.data = parameter.data.float()
        # The layers' own parameters under names that torch takes.
        self.weights = nn.ParameterDict(
            {
                name.replace(".", "/"): parameter
                for name, parameter in network.named_parameters()
                if parameter.requires_grad
            }
        )

    def train(self, mode: bool = True) -> Self:
        """Let inputs be dropped, or not."""
        super().train(mode)
        for layer in self._layers:
            layer.train(mode)
        return self

    def release(self) -> None:
        """Leave the generator as it was."""
        self._tuner[0].unload()
        super().release()

    def write(self, folder: Path, model: str) -> None:
        """Write the weights in PEFT's layout.

        Parameters
        ----------
        folder
            Where to; it need not exist.
        model
            Name of the generator, for the file.
        """
        from safetensors.torch import save_file

        folder.mkdir(exist_ok=True)
        weights = {
            PREFIX + name.replace("/", ".").replace(f".{ADAPTER}.", "."): value.detach().cpu()
            for name, value in self.weights.items()
        }
        save_file(weights, folder / WEIGHTS, {"format": "pt"})
        about = {**self.config.to_dict(), "base_model_name_or_path": model, "inference_mode": True}
        text = json.dumps(about, indent=2, sort_keys=True, default=_plain)
        (folder / CONFIG).write_text(text, encoding="utf-8")


def _words(generator: MusicGenAdapter, name: str) -> Tensor:
    """Return the numbers of the words of a concept's name."""
    ids, _ = generator.tokens([name.replace("_", " ").replace("-", " ")])
    # The last one ends a text.
    return ids[0, :-1]


def _plain(value: Any) -> Any:
    return sorted(value) if isinstance(value, set) else str(value)
