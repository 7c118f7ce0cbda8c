"""A tiny ECAPA-TDNN in the folder format of speechbrain's ``EncoderClassifier``."""

from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import Any

import torch

from models.ecapa import forget_redirects
from models.registry import ModelCard

SEED = 20_200_514

TINY: Mapping[str, Any] = {
    "channels": [16, 16, 16, 16, 32],
    "kernel_sizes": [5, 3, 3, 3, 1],
    "dilations": [1, 2, 3, 4, 1],
    "attention_channels": 8,
    "se_channels": 8,
    "lin_neurons": 192,
}
"""About 26,000 parameters; bands, embedding and layers are as published."""

PUBLISHED: Mapping[str, Any] = {
    "channels": [1024, 1024, 1024, 1024, 3072],
    "kernel_sizes": [5, 3, 3, 3, 1],
    "dilations": [1, 2, 3, 4, 1],
    "attention_channels": 128,
    "lin_neurons": 192,
}
"""Of ``speechbrain/spkrec-ecapa-voxceleb``: 20.8 million parameters."""

N_MELS = 80


def published(card: ModelCard) -> Mapping[str, Any]:
    """Return the dimensions of the published model."""
    return PUBLISHED


def write(card: ModelCard, folder: Path, dimensions: Mapping[str, Any] = TINY) -> None:
    """Write an ECAPA-TDNN with random weights, the same bytes every time.

    ``EncoderClassifier.from_hparams`` loads it too, given
    ``overrides={"pretrained_path": folder}``; it embeds and does not classify.

    Parameters
    ----------
    card
        The model it stands for.
    folder
        Where to; it exists.
    dimensions
        Arguments of the network.
    """
    from speechbrain.lobes.models.ECAPA_TDNN import ECAPA_TDNN

    forget_redirects()
    network = ECAPA_TDNN(N_MELS, **dimensions)
    generator = torch.Generator().manual_seed(SEED)
    state = {name: _random(name, value, generator) for name, value in network.state_dict().items()}
    torch.save(state, folder / "embedding_model.ckpt")
    embedding = torch.zeros(1, dimensions["lin_neurons"])
    torch.save(
        {"count": 1, "glob_mean": embedding, "glob_std": embedding + 1},
        folder / "mean_var_norm_emb.ckpt",
    )
    lines = [f"    {name}: {value}" for name, value in dimensions.items()]
    (folder / "hyperparams.yaml").write_text(
        _HYPERPARAMS.substitute(name=card.source, n_mels=N_MELS, dimensions="\n".join(lines))
    )


def _random(name: str, value: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Values that keep the scale of activations, so that embeddings of two sounds differ."""
    if not value.is_floating_point():
        return value
    noise = torch.empty_like(value).normal_(generator=generator)
    if value.ndim == 3:
        # The first layer takes decibels, whose deviation is about 10.
        fan_in = value[0].numel() * (100 if name.startswith("blocks.0.") else 1)
        return noise * (2 / fan_in) ** 0.5
    if name.endswith("running_var"):
        return 1 + 0.2 * noise.abs()
    return 0.1 * noise + (1 if "norm.weight" in name else 0)


_HYPERPARAMS = Template("""\
# Read as speechbrain's own: what tells how to build the network, and where its weights are.
n_mels: $n_mels
pretrained_path: $name

compute_features: !new:speechbrain.lobes.features.Fbank
    n_mels: !ref <n_mels>

mean_var_norm: !new:speechbrain.processing.features.InputNormalization
    norm_type: sentence
    std_norm: False

embedding_model: !new:speechbrain.lobes.models.ECAPA_TDNN.ECAPA_TDNN
    input_size: !ref <n_mels>
$dimensions

mean_var_norm_emb: !new:speechbrain.processing.features.InputNormalization
    norm_type: global
    std_norm: False

modules:
    compute_features: !ref <compute_features>
    mean_var_norm: !ref <mean_var_norm>
    embedding_model: !ref <embedding_model>

pretrainer: !new:speechbrain.utils.parameter_transfer.Pretrainer
    loadables:
        embedding_model: !ref <embedding_model>
        mean_var_norm_emb: !ref <mean_var_norm_emb>
    paths:
        embedding_model: !ref <pretrained_path>/embedding_model.ckpt
        mean_var_norm_emb: !ref <pretrained_path>/mean_var_norm_emb.ckpt
""")
