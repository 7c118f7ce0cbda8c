"""The contrastive loss of a projection."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def contrastive(
    audio: "Tensor",
    text: "Tensor",
    scale: "Tensor",
    *,
    owner: "Tensor",
    group: "Tensor",
    text_id: "Tensor",
) -> "Tensor":
    """InfoNCE both ways, all captions of an item being its positives.

    Of several positives each is told apart from all that is no positive and from the others,
    and their losses are averaged (``L_out`` of Khosla et al., "Supervised contrastive learning",
    NeurIPS 2020). What may be the same is neither positive nor negative: items of one
    group, and an item with a caption that equals one of its own.

    Parameters
    ----------
    audio
        Unit vectors of the items, shape ``(items, D)``.
    text
        Unit vectors of the captions, shape ``(captions, D)``.
    scale
        Factor of the similarities.
    owner
        Item of each caption, shape ``(captions,)``; every item has one.
    group
        Of each item, shape ``(items,)``.
    text_id
        Of each caption, shape ``(captions,)``: equal for equal texts.

    Returns
    -------
    Tensor
        The mean over items of audio to text, and that over captions of text to audio,
        averaged.
    """
    import torch

    items = torch.arange(len(audio), device=audio.device)
    positive = items[:, None] == owner[None, :]
    equal_text = (text_id[:, None] == text_id[None, :]).float()
    same_text = positive.float() @ equal_text > 0
    same_group = group[:, None] == group[owner][None, :]
    ignored = (same_text | same_group) & ~positive
    similarities = scale.float() * audio.float() @ text.float().T
    similarities = similarities.masked_fill(ignored, float("-inf"))
    return (_one_way(similarities, positive) + _one_way(similarities.T, positive.T)) / 2


def _one_way(similarities: "Tensor", positive: "Tensor") -> "Tensor":
    """Mean loss of the rows."""
    log_share = similarities.log_softmax(dim=1)
    of_positives = log_share.masked_fill(~positive, 0.0).sum(dim=1)
    return -(of_positives / positive.sum(dim=1)).mean()
