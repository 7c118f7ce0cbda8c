"""The fit of a separator: a network learns to take a mixture apart, from songs as sources."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, model_validator

from models import trained as models
from models.protocols import SEPARATION
from models.separator.networks import Name, network
from tasks.fit import DatasetReference, Fit, FitConfig, FitError
from tasks.separator import checkpoints, learnt, losses, report
from tasks.separator.checkpoints import FOLDER
from tasks.separator.segments import SegmentConfig
from tasks.separator.store import Store, read
from tasks.separator.training_song import SOURCES
from tasks.separator.validation import Validation, excerpt_count
from tasks.step import Tools
from tasks.training.config import LoopConfig
from tasks.training.loop import train
from tasks.training.optimizers import adamw, warm_up_and_cosine
from tasks.training.session import Session
from tasks.training.training import Trained, Training

if TYPE_CHECKING:
    from torch import Tensor, nn

    from models.separator.network import Network

METRICS = "metrics.json"
LICENCE = "as the corpora of the stems state"

Size = Literal["small", "base"]


class SeparatorConfig(FitConfig):
    """A network that separates, and how it is trained."""

    network: Name = "unet1d"
    size: Size = "base"
    sources: tuple[str, ...] = SOURCES
    channels: int = Field(1, ge=1, le=2)
    sample_rate_hz: int = Field(44_100, ge=8_000)
    segment: SegmentConfig = SegmentConfig()
    loss: losses.Name = "l1"
    learning_rate: float = Field(5e-4, gt=0)
    weight_decay: float = Field(0.01, ge=0)
    warm_up: float = Field(0.02, ge=0, lt=1)
    loop: LoopConfig = LoopConfig(
        steps=100_000,
        batch_size=8,
        ema_decay=0.999,
        clip_norm=5.0,
        validate_steps=1000,
        monitor="si_sdr",
        direction="max",
    )
    compile: bool = False
    init: str | None = None
    start: str | None = None

    @model_validator(mode="after")
    def _one_beginning(self) -> Self:
        if self.init is not None and self.start is not None:
            raise ValueError("give either init or start")
        return self

    def arguments(self) -> dict[str, Any]:
        """Return what the network is made of, for its manifest and checkpoints."""
        return {
            "network": self.network,
            "network_arguments": _as_json(network(self.network).sizes[self.size]),
            "sources": list(self.sources),
            "channels": self.channels,
            "sample_rate_hz": self.sample_rate_hz,
            "segment_seconds": self.segment.seconds,
        }


def run(
    dataset: DatasetReference, config: SeparatorConfig, tools: Tools, session: Session
) -> Mapping[str, float]:
    """Train a network on the songs of a store, and write the model of its best validation."""
    from models.separator.build import build

    store = _store(dataset.address, config)
    arguments = config.arguments()
    module, declared = build(arguments)
    taken = _initialised(module, config, tools)
    if taken is not None:
        session.note(taken)
    validation = _validation(store, config, declared)
    listening = _Listening(validation, config, session)
    result = train(
        Training(
            module=module,
            data=_segments(store, config),
            loss=partial(loss, declared, losses.LOSSES[config.loss]),
            optimizer=partial(
                adamw, learning_rate=config.learning_rate, weight_decay=config.weight_decay
            ),
            scheduler=partial(warm_up_and_cosine, warm_up=config.warm_up),
            validate=validation,
            compile=config.compile,
            start=_start(config, arguments, dataset.fingerprint, tools),
            checkpoint=partial(_write_checkpoint, arguments, dataset, tools, session),
            improved=listening.improved,
        ),
        config.loop,
        session,
    )
    metrics = {f"validation/{name}": value for name, value in result.metrics.items()}
    if session.rank == 0:
        module.load_state_dict(result.best)
        made = _Made(store, config, arguments, result, metrics, validation)
        _write(made, module.to("cpu").eval(), session)
    return metrics


def loss(
    declared: "Network",
    distance: "Callable[[Tensor, Tensor], Tensor]",
    module: "Callable[[Tensor], Tensor]",
    batch: Mapping[str, "Tensor"],
) -> "tuple[Tensor, dict[str, Tensor]]":
    """Return the mean distance between the estimated and the true sources of a batch."""
    mixture, targets = batch["mixture"], batch["targets"]
    estimates = declared.estimates(mixture, module(mixture)).float()
    # Networks may return some samples less.
    return distance(estimates, targets[..., : estimates.shape[-1]]), {}


def _store(address: str, config: SeparatorConfig) -> Store:
    try:
        store = read(address)
    except (FileNotFoundError, ValueError) as error:
        raise FitError("store", f"{address} is no index of decoded songs: {error}.") from error
    there = (store.sources, store.channels, store.sample_rate_hz)
    if there != (config.sources, config.channels, config.sample_rate_hz):
        raise FitError(
            "store-differs",
            f"{address} holds {', '.join(store.sources)} in {store.channels} channels at "
            f"{store.sample_rate_hz} Hz, which is not what is to be trained: decode them anew.",
        )
    return store


def _segments(store: Store, config: SeparatorConfig) -> Any:
    from tasks.separator.segments import Segments

    songs = store.of_split("train")
    if not songs:
        raise FitError("no-songs", "No song is left to train on: add songs, or validate on fewer.")
    # A batch has no segment twice, however short the songs are.
    return Segments(store, songs, config.segment, at_least=config.loop.batch_size)


def _validation(store: Store, config: SeparatorConfig, declared: "Network") -> Validation:
    from tasks.separator.segments import excerpts

    loop = config.loop
    chosen = excerpts(
        store, store.of_split("validation"), config.segment.seconds, excerpt_count(loop)
    )
    if not chosen:
        raise FitError(
            "no-validation",
            "No song is left to validate on: add songs, of which some are set aside.",
        )
    return Validation(
        declared,
        chosen,
        config.sources,
        losses.LOSSES[config.loss],
        at_once=loop.batch_size // loop.accumulation,
    )


def _initialised(module: "nn.Module", config: SeparatorConfig, tools: Tools) -> str | None:
    """Take what fits of other weights; return what was taken, and what was not."""
    if config.init is None:
        return None
    from models.separator import checkpoint

    path = tools.weights.folder(config.init)
    try:
        if path.is_dir():
            from safetensors.torch import load_file

            from models.separator.adapter import WEIGHTS

            weights = load_file(path / WEIGHTS)
        else:
            weights = checkpoint.weights(checkpoint.read(path))
        return f"From {config.init}, {checkpoint.take(module, weights)}."
    except (ValueError, OSError) as error:
        raise FitError("init", f"{config.init} cannot be begun with: {error}.") from error


def _start(
    config: SeparatorConfig, arguments: Mapping[str, Any], fingerprint: str, tools: Tools
) -> dict[str, Any] | None:
    """Return the state that a training goes on from."""
    if config.start is None:
        return None
    from models.separator import checkpoint

    path = tools.weights.folder(config.start)
    try:
        return checkpoints.state(checkpoint.read(path), arguments, fingerprint)
    except ValueError as error:
        raise FitError(
            "start",
            f"{path} {error}: --init begins with what fits of its weights.",
        ) from error


def _write_checkpoint(
    arguments: Mapping[str, Any],
    dataset: DatasetReference,
    tools: Tools,
    session: Session,
    state: Mapping[str, Any],
) -> None:
    checkpoints.write(
        tools.outputs.below(FOLDER),
        checkpoints.content(state, arguments, dataset.fingerprint),
        session.options.keep_checkpoints,
        is_last=state["is_last"],
    )


@dataclass
class _Listening:
    """Lets people listen to an excerpt, as the network separates it better and better."""

    validation: Validation
    config: SeparatorConfig
    session: Session
    last: int = 0

    def improved(self, module: "nn.Module", step: int) -> None:
        # Twice as late each time: event files do not grow with the number of validations.
        if step < 2 * self.last:
            return
        excerpt, rate = self.validation.excerpts[0], self.config.sample_rate_hz
        if not self.last:
            self.session.audio("excerpt/mixture", excerpt.mixture, rate, step)
        stems = self.validation.separated(module)
        for name, before, after in zip(self.config.sources, excerpt.targets, stems, strict=True):
            if not self.last:
                self.session.audio(f"excerpt/{name}/true", before, rate, step)
            self.session.audio(f"excerpt/{name}/separated", after.clip(-1, 1), rate, step)
        self.last = step


@dataclass(frozen=True)
class _Made:
    """What a training made, to be written."""

    store: Store
    config: SeparatorConfig
    arguments: Mapping[str, Any]
    result: Trained
    metrics: Mapping[str, float]
    validation: Validation


def _write(made: _Made, module: "nn.Module", session: Session) -> None:
    """Write the model of the best weights, its figures and the report; the manifest last."""
    from safetensors.torch import save_file

    from models.separator.adapter import WEIGHTS

    folder, config = session.model_folder, made.config
    weights = {name: value.contiguous() for name, value in made.result.best.items()}
    save_file(weights, folder / WEIGHTS)
    (folder / METRICS).write_text(json.dumps(dict(made.metrics), indent=2))
    learnt.write(folder, made.store)
    report.write(
        folder,
        report.Content(
            network=f"{config.network} ({config.size})",
            parameters=sum(each.numel() for each in module.parameters()),
            store=made.store,
            metrics=made.metrics,
            curves=session.curves,
            excerpt=made.validation.excerpts[0],
            stems=made.validation.separated(module),
            steps=made.result.steps,
            seconds=session.seconds,
            notes=session.notes,
        ),
    )
    models.write(
        folder,
        name=config.network,
        task=SEPARATION.name,
        adapter="models.separator.adapter:load",
        arguments=made.arguments,
        licence=LICENCE,
        fit=session.provenance,
        metrics=made.metrics,
        sample_rate_hz=config.sample_rate_hz,
    )


def _as_json(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return arguments as a manifest has them: without tuples."""
    values: dict[str, Any] = json.loads(json.dumps(dict(arguments)))
    return values


FIT = Fit(
    name="separator",
    version=1,
    config=SeparatorConfig,
    run=run,
    models=lambda config: tuple(name for name in (config.init, config.start) if name),
)
