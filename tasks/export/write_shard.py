"""A shard of an export, written in place."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

import pyarrow as pa

from tasks.dataset.audio_places import AudioPlaces
from tasks.export.rows import Rows
from tasks.export.shards import ShardItem
from tasks.export.sound import Audio, Sounds
from tasks.export.target import Shard
from tasks.export.targets import TARGETS
from tasks.step import Row, Step, StepConfig, Tools, column, costs, digest, per_track


class ExportConfig(StepConfig):
    """What an export is to be.

    Attributes
    ----------
    target, target_version
        What it is for, and the version of the code that writes it.
    segments
        Whether rows are segments of songs.
    audio
        As what audio is exported.
    vocals
        Whether it is the separated vocals.
    """

    target: str
    target_version: int
    segments: bool = False
    audio: Audio = "none"
    vocals: bool = False


@dataclass(frozen=True)
class ExportTools(Tools):
    """What shards are written with.

    Attributes
    ----------
    places
        Where the audio lies.
    """

    places: AudioPlaces = field(kw_only=True)

    def absolute(self) -> Self:
        """Return the same for workers that may not share this process's working directory."""
        return replace(super().absolute(), places=self.places.absolute())


def run(
    item: ShardItem, upstream: Mapping[str, Row | None], config: ExportConfig, tools: ExportTools
) -> Row:
    """Write a shard."""
    rows = Rows(item.source, item.first, item.count, item.split)
    sounds = None
    if config.audio != "none":
        sounds = Sounds(tools.places, config.audio, vocals=config.vocals)
    shard = Shard(item, rows, sounds, config.audio, tools.outputs)
    TARGETS[config.target].write(shard)
    # Other options leave other lines of the same rows.
    made = digest(config.model_dump_json().encode())
    return shard.row(item.source.parts, f"{item.track_id}-{made}.jsonl")


FILE = pa.struct([("path", pa.string()), ("size_bytes", pa.int64()), ("sha256", pa.string())])
FAILURE = pa.struct([(name, pa.string()) for name in ("id", "path", "reason", "message")])

STEP = Step(
    name="write_shard",
    version=2,
    config=ExportConfig,
    columns=pa.schema(
        [
            column("rows", pa.int64(), "Rows that were written"),
            column("audio_seconds", pa.float64(), "Length of their audio", "s"),
            column("lines", pa.string(), "File of the lines that were left for the end"),
            column("files", pa.list_(FILE), "Files that were written; of links the path alone"),
            column("failures", pa.list_(FAILURE), "Rows that could not be"),
            column("skipped", pa.int64(), "How many of them the target does not take"),
        ]
    ),
    run=per_track(run),
    attributes=("track_id", "name", "retry"),
    cost=costs(0.05),
)


def config_of(target: str, **options: Any) -> ExportConfig:
    """Return the configuration of an export by the code of today."""
    return ExportConfig(target=target, target_version=TARGETS[target].version, **options)
