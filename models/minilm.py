"""MiniLM: sentences as points of a space in which those that mean the same are near.

W. Wang et al., "MiniLM: deep self-attention distillation for task-agnostic compression of
pre-trained transformers", NeurIPS 2020, tuned on pairs of sentences by the authors of
N. Reimers and I. Gurevych, "Sentence-BERT", EMNLP 2019. The network is
``transformers.BertModel``; a sentence is the mean of its tokens, brought to unit norm.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from models.batching import Batcher, gpu_turn, to_device
from models.quiet import no_progress_bar
from models.registry import ModelCard

Float32 = npt.NDArray[np.float32]

MAX_TOKENS = 256
"""Of a sentence, its two ends included: ``max_seq_length`` of the published model."""

TEXTS_PER_CALL = 256
"""On a GPU: 0.6 GB of activations, if all are as long as can be."""


def load(card: ModelCard, device: str, folder: Path) -> "MiniLmAdapter":
    """Load a model from ``config.json``, ``model.safetensors`` and its tokenizer's files.

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
        If weights are missing.
    """
    from transformers import AutoTokenizer, BertModel

    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    with no_progress_bar():
        loaded: Any = BertModel.from_pretrained(
            folder,
            local_files_only=True,
            use_safetensors=True,
            dtype=torch.float32,
            output_loading_info=True,
        )
    network, report = loaded
    # Buffers that a file lacks hold constants; parameters would be drawn at random.
    missing = sorted({name for name, _ in network.named_parameters()} & {*report["missing_keys"]})
    if missing:
        raise ValueError(f"{card.name} lacks weights: {', '.join(missing[:3])}")
    return MiniLmAdapter(network.eval(), tokenizer, device)


class MiniLmAdapter:
    """A loaded model.

    Parameters
    ----------
    network
        A ``transformers.BertModel``; it is moved to the device.
    tokenizer
        Its tokenizer.
    device
        Where to compute.

    Attributes
    ----------
    dimensions
        Of the space.
    """

    def __init__(self, network: Any, tokenizer: Any, device: str) -> None:
        self._device = torch.device(device)
        self._network = network.to(self._device)
        self._tokenizer = tokenizer
        self._max_tokens = min(MAX_TOKENS, network.config.max_position_embeddings)
        self.dimensions: int = network.config.hidden_size

    def embed_text(self, texts: Iterable[str], batch_size: int | None = None) -> Iterator[Float32]:
        """Embeddings of texts.

        Parameters
        ----------
        texts
            In words; all but the first ``MAX_TOKENS`` tokens of one are ignored.
        batch_size
            Texts that a GPU takes at once; None for ``TEXTS_PER_CALL``. A CPU takes one, whose
            embedding depends on no other.

        Yields
        ------
        ndarray, shape (dimensions,)
            Unit norm.
        """
        on_gpu = self._device.type == "cuda"
        batcher = Batcher((batch_size or TEXTS_PER_CALL) if on_gpu else 1, ahead=on_gpu)
        return batcher.map(self._infer, texts)

    def _infer(self, texts: Sequence[str]) -> list[Float32]:
        tokens = self._tokenizer(
            list(texts),
            padding=True,
            truncation=True,
            max_length=self._max_tokens,
            return_tensors="np",
        )
        mask = to_device(tokens["attention_mask"], self._device)
        with gpu_turn(), torch.inference_mode():
            hidden = self._network(
                input_ids=to_device(tokens["input_ids"], self._device), attention_mask=mask
            ).last_hidden_state
            # What pads shorter texts of a batch is no part of them.
            counted = mask[..., None].to(hidden.dtype)
            means = (hidden * counted).sum(dim=1) / counted.sum(dim=1)
            return list(torch.nn.functional.normalize(means).cpu().numpy())
