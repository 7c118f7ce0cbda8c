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
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any, Literal

import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from blocks.storage import Storage
from models import registry
from models.llm import LlmSettings
from tasks import audio
from tasks.track import Samples, Track, TrackError


def column(name: str, type_: pa.DataType, description: str, unit: str | None = None) -> pa.Field:
    """Field of a schema whose metadata carries its description and unit."""
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


@dataclass(frozen=True)
class Tools:
    """What a step may reach for, none of which changes its result.

    Attributes
    ----------
    source
        Where the tracks lie.
    artifacts
        Where bulky results (separated vocals) go, under content-addressed names.
    device
        ``"cpu"`` or ``"cuda"``, for the models.
    batch_size
        How many items a model processes at once.
    llm
        How language models are reached, if they may be.
    """

    source: Storage
    artifacts: Storage
    device: str = "cpu"
    batch_size: int = 1
    llm: LlmSettings | None = None

    def mix(self, track: Track, rate_hz: int) -> Samples:
        """Mono mix of a track, shape ``(samples,)``, at `rate_hz`."""
        return audio.load(self.source, track.path, rate_hz=rate_hz, channels=1)[0]

    def mix_stereo_blocks(self, track: Track, rate_hz: int) -> Iterator[Samples]:
        """Stereo mix of a track at `rate_hz`, in blocks of shape ``(2, n)``."""
        return audio.stream(self.source, track.path, rate_hz=rate_hz, channels=2)

    def artifact(self, path: str, rate_hz: int) -> Samples:
        """Mono signal of a stored artifact, shape ``(samples,)``, at `rate_hz`."""
        return audio.load(self.artifacts, path, rate_hz=rate_hz, channels=1)[0]

    def model(self, name: str) -> Any:
        """Adapter of a registered model, loaded once per worker process."""
        return registry.load(name, device=self.device)


BatchFunction = Callable[
    [Sequence[Track], Mapping[str, Sequence[Row | None]], Any, Tools], list[Row | TrackError]
]
TrackFunction = Callable[[Track, Mapping[str, Row | None], Any, Tools], Row]


def per_track(function: TrackFunction) -> BatchFunction:
    """Lift a function of one track to a batch; a TrackError takes only its own track."""

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

    return batch


def no_models(config: Any) -> tuple[str, ...]:
    """Models of a step that needs none."""
    return ()


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
        The Dask resource that it occupies.
    models
        From a configuration to the names of the registered models it uses.
    identity
        Attributes of a track that the result depends on.
    """

    name: str
    version: int
    config: type[StepConfig]
    columns: pa.Schema
    run: BatchFunction
    upstream: tuple[str, ...] = ()
    optional_upstream: tuple[str, ...] = ()
    resource: Resource = "CPU"
    models: Callable[[Any], tuple[str, ...]] = no_models
    identity: tuple[str, ...] = ("track_id",)

    def __post_init__(self) -> None:
        taken = set(self.columns.names) & set(COMMON_COLUMNS.names)
        if taken:
            raise ValueError(f"step {self.name}: every table has the columns {sorted(taken)}")

    def key(self, track: Track, config: StepConfig, upstream_keys: Mapping[str, str]) -> str:
        """Address of the result for `track`: a digest of everything it depends on.

        Keys are addressed by inputs, so all of them can be computed before
        anything runs.
        """
        inputs = {
            "step": self.name,
            "version": self.version,
            "config": config.model_dump(mode="json"),
            "models": [
                [name, registry.card(name).revision] for name in sorted(self.models(config))
            ],
            "track": {name: getattr(track, name) for name in self.identity},
            "upstream": {
                name: upstream_keys[name]
                for name in sorted((*self.upstream, *self.optional_upstream))
                if name in upstream_keys
            },
        }
        return digest(json.dumps(inputs, sort_keys=True, default=dict).encode())


def digest(data: bytes) -> str:
    """BLAKE2b of `data`, 128 bits in hexadecimal."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()
