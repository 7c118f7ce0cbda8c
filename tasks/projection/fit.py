"""The fit of a projection: contrastive, on embeddings of audio and captions."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from blocks.storage import Storage
from models import trained as models
from models.protocols import PROJECTION
from tasks.dataset import embeddings
from tasks.dataset.embeddings import Embeddings, EmbeddingsError, Encoded
from tasks.fit import DatasetReference, Fit, FitConfig, FitError
from tasks.projection import evaluate, report
from tasks.projection.loss import contrastive
from tasks.projection.metrics import prefixed
from tasks.projection.pairs import FILE, Examples, Pairs, by_split, pairs
from tasks.step import Tools
from tasks.training.config import LoopConfig
from tasks.training.loop import train
from tasks.training.optimizers import adamw, warm_up_and_cosine
from tasks.training.session import Session
from tasks.training.training import Trained, Training

if TYPE_CHECKING:
    from torch import Tensor, nn

LAST = "last"
"""Folder of the last weights in the folder of the model."""

WAYS = ("text_to_audio/", "audio_to_text/")
"""How metrics begin that are of one way; a validation has the means."""

METRICS = "metrics.json"
REPORT = "report.html"


class ProjectionConfig(FitConfig):
    """A projection of one audio encoder and one text encoder."""

    audio_encoder: str
    text_encoder: str
    loop: LoopConfig = LoopConfig(
        epochs=20,
        batch_size=32,
        clip_norm=1.0,
        monitor="map_at_10",
        direction="max",
        patience=5,
    )
    learning_rate: float = Field(5e-4, gt=0)
    weight_decay: float = Field(0.05, ge=0)
    warm_up: float = Field(0.05, ge=0, lt=1)
    dimensions: int = Field(512, ge=1)
    blocks: int = Field(2, ge=1)
    dropout: float = Field(0.2, ge=0, lt=1)
    captions: int = Field(2, ge=1)
    start: str | None = None


def run(
    dataset: DatasetReference, config: ProjectionConfig, tools: Tools, session: Session
) -> Mapping[str, float]:
    """Train a projection on the embeddings of a folder, and measure it on the test split."""
    from models.projection.network import Projection

    content, clap = read(dataset.address, config.audio_encoder, config.text_encoder)
    splits = by_split(content, config.audio_encoder, config.text_encoder, config.loop.batch_size)
    shape = {
        "audio_dimensions": splits["train"].audio.shape[1],
        "text_dimensions": splits["train"].text.shape[1],
        "dimensions": config.dimensions,
        "blocks": config.blocks,
        "dropout": config.dropout,
    }
    network = Projection(**shape)
    if config.start is None:
        network.audio.fit_scale(splits["train"].audio)
        network.text.fit_scale(splits["train"].text)
    else:
        _load_start(network, tools.weights.folder(config.start), config.start)
    training = Training(
        module=network,
        data=(data := Examples(splits["train"], config.captions)),
        loss=loss,
        optimizer=partial(
            adamw, learning_rate=config.learning_rate, weight_decay=config.weight_decay
        ),
        scheduler=partial(warm_up_and_cosine, warm_up=config.warm_up),
        validate=partial(_validate, splits["validation"]),
        collate=data.collate,
    )
    result = train(training, config.loop, session)
    if session.rank:
        return result.metrics
    network.load_state_dict(result.best)
    projected = _projected(network.to("cpu").eval(), splits["test"])
    metrics = prefixed("validation", result.metrics) | prefixed(
        "test", evaluate.evaluate(projected, clap)
    )
    _write(_Made(content, config, shape, result, metrics, projected), session)
    return metrics


def read(address: str, audio: str, text: str) -> tuple[Embeddings, Pairs | None]:
    """Read what a training needs of a folder of embeddings.

    Returns
    -------
    tuple
        Embeddings by the two encoders; and pairs by CLAP, if the file has them.

    Raises
    ------
    FitError
        If there are no such embeddings.
    """
    try:
        with Storage(address).reading(FILE) as path:
            content = embeddings.read(path, audio=[audio], text=[text])
            audio_names, text_names = embeddings.encoders(path)
            if evaluate.CLAP not in audio_names or evaluate.CLAP not in text_names:
                return content, None
            clap = embeddings.read(path, audio=[evaluate.CLAP], text=[evaluate.CLAP])
    except FileNotFoundError as error:
        raise FitError("embeddings", f"{address} holds no {FILE}.") from error
    except EmbeddingsError as error:
        raise FitError("embeddings", str(error)) from error
    return content, pairs(clap, evaluate.CLAP, evaluate.CLAP)


def loss(module: "nn.Module", batch: Mapping[str, "Tensor"]) -> "tuple[Tensor, dict[str, Tensor]]":
    """Return the contrastive loss of a batch."""
    audio, text, scale = module(batch["audio"], batch["text"])
    labels = {name: batch[name] for name in ("owner", "group", "text_id")}
    return contrastive(audio, text, scale, **labels), {"temperature": 1 / scale.detach()}


def _load_start(network: "nn.Module", folder: Path, name: str) -> None:
    from safetensors.torch import load_file

    from models.projection.adapter import WEIGHTS

    try:
        network.load_state_dict(load_file(folder / WEIGHTS))
    except RuntimeError as error:
        raise FitError(
            "start-differs",
            f"{name} is of another network or of embeddings of other dimensions: train anew, "
            "without --resume.",
        ) from error


def _validate(split: Pairs, module: "nn.Module") -> dict[str, float]:
    found = evaluate.measured(_projected(module, split))
    return {name: value for name, value in found.items() if not name.startswith(WAYS)}


def _projected(module: Any, split: Pairs) -> Pairs:
    from models.projection.adapter import apply

    device = module.log_scale.device.type
    return evaluate.project(
        split,
        lambda values: apply(module.audio, values, device),
        lambda values: apply(module.text, values, device),
    )


@dataclass(frozen=True)
class _Made:
    """What a training made, to be written."""

    content: Embeddings
    config: ProjectionConfig
    shape: Mapping[str, Any]
    result: Trained
    metrics: Mapping[str, float]
    projected: Pairs


def _write(made: _Made, session: Session) -> None:
    """Write the model of the best weights, that of the last ones beside it, and the report."""
    folder, config = session.model_folder, made.config
    sound = made.content.audio[config.audio_encoder]
    words = made.content.text[config.text_encoder]
    _write_model(folder, made, made.result.best, made.metrics, session.provenance)
    # The weights in folders below that are there by now would count among the model's own.
    _write_model(folder / LAST, made, made.result.last, {}, session.provenance)
    (folder / METRICS).write_text(json.dumps(dict(made.metrics), indent=2))
    page = report.render(
        report.Content(
            audio_encoder=_described(config.audio_encoder, sound),
            text_encoder=_described(config.text_encoder, words),
            metrics=made.metrics,
            curves=session.curves,
            examples=evaluate.examples(made.projected),
            items=made.content.items,
            steps=made.result.steps,
            stopped_early=made.result.stopped_early,
            seconds=session.seconds,
        )
    )
    (folder / REPORT).write_text(page, encoding="utf-8")


def _write_model(
    folder: Path,
    made: _Made,
    weights: "Mapping[str, Tensor]",
    metrics: Mapping[str, float],
    provenance: Mapping[str, Any],
) -> None:
    from safetensors.torch import save_file

    from models.projection.adapter import WEIGHTS

    folder.mkdir(exist_ok=True)
    save_file(dict(weights), folder / WEIGHTS)
    config = made.config
    sound = made.content.audio[config.audio_encoder]
    words = made.content.text[config.text_encoder]
    models.write(
        folder,
        name=f"projection-{config.audio_encoder}",
        task=PROJECTION.name,
        adapter="models.projection.adapter:load",
        arguments={
            "dimensions": config.dimensions,
            "network": dict(made.shape),
            "encoders": {
                "audio": _encoder(config.audio_encoder, sound),
                "text": _encoder(config.text_encoder, words),
            },
        },
        licence=_licence(sound, words),
        fit=provenance,
        metrics=metrics,
    )


def _encoder(name: str, encoded: Encoded) -> dict[str, str]:
    said = {key: encoded.attributes.get(key, "") for key in ("model", "revision", "config")}
    return {"name": name, **said}


def _licence(*encoders: Encoded) -> str:
    stated = {each.attributes.get("licence", "") for each in encoders} - {""}
    encoders_say = f"; encoders: {', '.join(sorted(stated))}" if stated else ""
    return f"as the corpora of the embeddings state{encoders_say}"


def _described(name: str, encoded: Encoded) -> str:
    model = encoded.attributes.get("model", name)
    return name if model == name else f"{name} ({model})"


FIT = Fit(
    name="projection",
    version=1,
    config=ProjectionConfig,
    run=run,
    models=lambda config: (config.start,) if config.start else (),
)
