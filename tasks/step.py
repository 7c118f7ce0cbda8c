"""The contract that every step keeps.

A step is a pure function over a batch of tracks::

    (tracks, upstream rows, config, tools) -> one row, or one TrackError, per track

It is declared once, as a :class:`Step` named ``STEP`` in the step's own file.
Everything else is derived from the declaration: where its rows are stored,
under which keys, which Prefect task runs it and on which worker, and what the
manifest of a dataset says about its columns.
"""

import hashlib
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial, wraps
from importlib import import_module
from pickle import PicklingError
from types import MappingProxyType
from typing import Any, Literal, Self, cast

import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from blocks.storage import Storage
from models import adapters, registry
from models.protocols import Adapter, Task
from models.stretches import Repeatable
from tasks import audio
from tasks.track import Samples, Track, TrackError
from tasks.weights import ModelError, Weights, default_address


def column(name: str, type_: pa.DataType, description: str, unit: str | None = None) -> pa.Field:
    """Return the field of a schema whose metadata carries its description and unit."""
    metadata = {"description": description}
    if unit is not None:
        metadata["unit"] = unit
    return pa.field(name, type_, metadata=metadata)


COMMON_COLUMNS = pa.schema(
    [
        column("key", pa.string(), "Address of the result"),
        column("track_id", pa.string(), "Digest of the track's audio file"),
        column("status", pa.string(), "ok, partial (an optional upstream failed) or failed"),
        column("reason", pa.string(), "Machine-readable reason of a failure"),
        column("error", pa.string(), "The failure in one sentence"),
        column("seconds", pa.float64(), "CPU time of the track's share of its batch", "s"),
        column("peak_memory_mb", pa.float64(), "Most memory of its batch's process", "MiB"),
        column("peak_gpu_memory_mb", pa.float64(), "Most GPU memory of its batch", "MiB"),
        column("model_revision", pa.string(), "Models that computed the row, with revisions"),
    ]
)
"""What every step table has beside the step's own columns."""

Row = dict[str, Any]
Resource = Literal["CPU", "GPU"]


class StepConfig(BaseModel):
    """Base of every step's configuration: immutable, without unknown keys.

    Every field changes the result and therefore enters the keys; what does not
    change the result (device, batch size, addresses) belongs to :class:`Tools`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    def keyed(self) -> dict[str, Any]:
        """Return what enters the keys, as JSON values; overridden where a field is no more."""
        return self.model_dump(mode="json")


@dataclass(frozen=True)
class Tools:
    """What a step may reach for, none of which changes its result.

    Attributes
    ----------
    source
        Where the tracks lie.
    outputs
        Where bulky results (separated vocals) go, under content-addressed names.
    device
        ``"cpu"`` or ``"cuda"``, for the models.
    batch_size
        How many items a model on a GPU processes at once; None for each model's own number.
    tracks_at_once
        Tracks whose work on the processor a step may do side by side, in threads, while a
        network on a GPU works on another.
    weights
        Where the weights of models lie.
    """

    source: Storage
    outputs: Storage
    device: str = "cpu"
    batch_size: int | None = None
    tracks_at_once: int = 1
    weights: Weights = field(default_factory=lambda: Weights(default_address()))

    def absolute(self) -> Self:
        """Return the same for workers that may not share this process's working directory."""
        return replace(
            self,
            source=self.source.absolute(),
            outputs=self.outputs.absolute(),
            weights=self.weights.absolute(),
        )

    def mix(self, track: Track, rate_hz: int, repair: audio.Repair = audio.AS_FOUND) -> Samples:
        """Return the mono mix of a track, shape ``(samples,)``, at `rate_hz`.

        Its `repair` is ``audio.Repair.of(row)`` of the track's row of ``probe``.
        """
        return audio.load(self.source, track.path, rate_hz=rate_hz, channels=1, repair=repair)[0]

    def mix_stereo_blocks(
        self, track: Track, rate_hz: int, repair: audio.Repair = audio.AS_FOUND
    ) -> Iterator[Samples]:
        """Return the stereo mix of a track at `rate_hz`, in blocks of shape ``(2, n)``."""
        return audio.stream(self.source, track.path, rate_hz=rate_hz, channels=2, repair=repair)

    def mix_blocks(
        self, track: Track, rate_hz: int, repair: audio.Repair = audio.AS_FOUND
    ) -> Iterator[Samples]:
        """Yield the mono mix of a track at `rate_hz`, in blocks of shape ``(n,)``."""
        for block in audio.stream(
            self.source, track.path, rate_hz=rate_hz, channels=1, repair=repair
        ):
            yield block[0]

    def mix_passes(
        self, track: Track, rate_hz: int, repair: audio.Repair = audio.AS_FOUND
    ) -> Iterable[Samples]:
        """Return the mono mix in blocks of shape ``(n,)``, for several passes over it.

        A short one is decoded once, and kept for other steps as by :meth:`mix`.
        """
        return Repeatable(partial(_mono_blocks, self.source, track.path, rate_hz, repair))

    def output(self, path: str, rate_hz: int) -> Samples:
        """Return the mono signal of a stored output, shape ``(samples,)``, at `rate_hz`."""
        return audio.load(self.outputs, path, rate_hz=rate_hz, channels=1)[0]

    def output_blocks(self, path: str, rate_hz: int) -> Iterable[Samples]:
        """Return the same in blocks of shape ``(n,)``, of bounded memory however long it is.

        It may be iterated over again: what is long is decoded anew then.
        """
        return Repeatable(partial(_mono_blocks, self.outputs, path, rate_hz))

    def model(self, name: str, task: Task[Adapter]) -> Adapter:
        """Adapter of a model, registered or of the user's own; loaded once per worker process.

        Parameters
        ----------
        name
            Of the model.
        task
            What it is wanted for; of :mod:`models.protocols`.

        Raises
        ------
        ModelError
            If it is a model of another task, or one of the user's own that cannot be loaded.
        """
        card = self.weights.card(name)
        if card.task != task.name:
            raise ModelError(f"{name} is a model of {card.task}, not of {task.name}.")
        place = self.weights.folder(name) if card.files else None
        try:
            adapter = adapters.load(card, self.device, place)
        except ValueError as error:
            if name not in self.weights.trained:
                raise
            raise ModelError(f"{name} cannot be used: {error}.") from error
        if not isinstance(adapter, task.protocol):
            raise ModelError(f"{name} lacks what a model of {task.name} needs: {card.adapter}.")
        return cast("Adapter", adapter)


def _mono_blocks(
    storage: Storage, path: str, rate_hz: int, repair: audio.Repair = audio.AS_FOUND
) -> Iterator[Samples]:
    for block in audio.blocks(storage, path, rate_hz=rate_hz, channels=1, repair=repair):
        yield block[0]


@dataclass(frozen=True, slots=True)
class Recipe:
    """All that the rows of a step depend on, but for the track.

    Attributes
    ----------
    digest
        Of the step, its version, configuration and models, and those of all steps before it.
    attributes
        Attributes of a track that its row depends on, through the steps before it too.
    """

    digest: str
    attributes: tuple[str, ...]

    def key(self, track_digest: str) -> str:
        """Return the address of a track's row, from its :func:`item_digest` by `attributes`."""
        return f"{self.digest}-{track_digest}"


def item_digest(track: Track, attributes: Sequence[str]) -> str:
    """Return the digest of some attributes of a track; of its id alone, that itself."""
    if tuple(attributes) == ("track_id",):
        return track.track_id
    values = [getattr(track, name) for name in attributes]
    return digest(json.dumps(values, sort_keys=True, default=dict).encode())


# A job's steps take its own kinds of tracks, configuration and tools.
BatchFunction = Callable[
    [Sequence[Any], Mapping[str, Sequence[Row | None]], Any, Any], list[Row | TrackError]
]
TrackFunction = Callable[[Any, Mapping[str, Row | None], Any, Any], Row]


def per_track(function: TrackFunction) -> BatchFunction:
    """Lift a function of one track to a batch; a TrackError takes only its own track.

    The engine calls such a step track by track, so that a bug takes no other track either.
    """

    @wraps(function)
    def batch(
        tracks: Sequence[Track],
        upstream: Mapping[str, Sequence[Row | None]],
        config: Any,
        tools: Tools,
    ) -> list[Row | TrackError]:
        results: list[Row | TrackError] = []
        for index, track in enumerate(tracks):
            rows = {name: column[index] for name, column in upstream.items()}
            try:
                results.append(function(track, rows, config, tools))
            except TrackError as error:
                results.append(error)
        return results

    vars(batch)["is_per_track"] = True
    return batch


def no_models(config: Any) -> tuple[str, ...]:
    """Return the models of a step that needs none."""
    return ()


def on_cpu(config: Any) -> Resource:
    """Return the place of a step that has no use for a GPU."""
    return "CPU"


def on_gpu(config: Any) -> Resource:
    """Return the place of a step whose network belongs on a GPU, where there is one."""
    return "GPU"


def costs(cpu: float, gpu: float | None = None) -> Callable[[Any, str], float]:
    """Return what a step costs, in seconds of a process per minute of audio.

    Parameters
    ----------
    cpu, gpu
        Where its network runs on a CPU, or it has none; and where on a GPU, if that differs.
    """
    return lambda config, device: cpu if gpu is None or device == "cpu" else gpu


def next_to_nothing(config: Any, device: str) -> float:
    """Return the cost of a step that does not listen, as :func:`costs` has it."""
    return 0.005


@dataclass(frozen=True)
class Step:
    """Declaration of a step.

    Attributes
    ----------
    name
        Name of the step, of its table and of its Prefect task.
    version
        Raised by hand whenever the code changes what the step returns.
    config
        Class of its configuration.
    columns
        Schema of its rows, with ``unit`` in the field metadata where a unit exists.
    run
        The batch function; wrap a function of one track in :func:`per_track`.
    upstream
        Steps whose rows it needs. A track that failed there is not passed on.
    optional_upstream
        Steps whose rows it uses if they are there: ``None`` for a track that failed there.
    resource
        From a configuration to the Dask resource that it occupies.
    models
        From a configuration to the names of the registered models it uses.
    attributes
        Attributes of a track that the result depends on.
    cost
        From a configuration and the device of its network to the seconds of a process that a
        minute of audio takes, by which the time of a run is told until it was measured there.
    """

    name: str
    version: int
    config: type[StepConfig]
    columns: pa.Schema
    run: BatchFunction
    upstream: tuple[str, ...] = ()
    optional_upstream: tuple[str, ...] = ()
    resource: Callable[[Any], Resource] = on_cpu
    models: Callable[[Any], tuple[str, ...]] = no_models
    attributes: tuple[str, ...] = ("track_id",)
    cost: Callable[[Any, str], float] = next_to_nothing

    def __post_init__(self) -> None:
        taken = set(self.columns.names) & set(COMMON_COLUMNS.names)
        if taken:
            raise ValueError(f"step {self.name}: every table has the columns {sorted(taken)}")

    @property
    def is_per_track(self) -> bool:
        """Whether its function was lifted by :func:`per_track`."""
        return getattr(self.run, "is_per_track", False)

    def __reduce__(self) -> tuple[Callable[[str, str], "Step"], tuple[str, str]]:
        """Travel to workers by name: they find the step in the module of its function."""
        module = sys.modules[self.run.__module__]
        for name, value in vars(module).items():
            if value is self:
                return _step_of, (module.__name__, name)
        raise PicklingError(
            f"step {self.name} has to stand in {module.__name__}, where its function is, "
            "for workers to find it"
        )

    def recipe(
        self,
        config: StepConfig,
        upstream: Mapping[str, Recipe] = MappingProxyType({}),
        revisions: Mapping[str, str] = MappingProxyType({}),
    ) -> Recipe:
        """Return what the step's rows depend on: all keys are known by it before anything runs.

        Parameters
        ----------
        config
            The step's configuration.
        upstream
            Recipes of the steps of the run, by name; others than the step's own are ignored.
        revisions
            Revisions of the models, where they are not the pinned ones.
        """
        used = {
            name: upstream[name]
            for name in sorted((*self.upstream, *self.optional_upstream))
            if name in upstream
        }
        inputs = {
            "step": self.name,
            "version": self.version,
            "config": config.keyed(),
            "models": [
                [name, revisions.get(name) or registry.card(name).revision]
                for name in sorted(self.models(config))
            ],
            "identity": sorted(self.attributes),
            "upstream": {name: recipe.digest for name, recipe in used.items()},
        }
        before = (name for recipe in used.values() for name in recipe.attributes)
        attributes = tuple(sorted({*self.attributes, *before}))
        return Recipe(digest(json.dumps(inputs, sort_keys=True).encode()), attributes)


def _step_of(module: str, name: str) -> Step:
    step: Step = getattr(import_module(module), name)
    return step


def digest(data: bytes) -> str:
    """Return the BLAKE2b of `data`, 128 bits in hexadecimal."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()
