"""Codes of a song's pairs: chunks in which the target sounds, each encoded on its own.

The signals are made on the way to the codec; on a GPU by a thread that runs ahead of it. A
target stem at one variant and gain belongs to several pairs: it is encoded once for all.
"""

import json
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, groupby, islice
from operator import itemgetter
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field, model_validator

from blocks.storage import Storage
from models.protocols import CODEC
from tasks.corpora.prepared_song import PreparedSong
from tasks.stems.chunks import FRAMINGS, Chunk, CodecName
from tasks.stems.distort import PAIR, DistortConfig
from tasks.stems.pair_signals import Cutting, Owner, PairSignals, Target
from tasks.stems.row_groups import ROW_GROUP_ROWS, Sorter, grouped
from tasks.stems.schema import CONTEXTS, Context, Encoding, chunk_fields, to_arrow
from tasks.step import Row, Step, StepConfig, Tools, column, costs, digest, on_gpu, per_track
from tasks.track import Samples, Track

BANDWIDTHS_KBPS: Mapping[CodecName, tuple[float, ...]] = {
    "encodec-24khz": (1.5, 3.0, 6.0, 12.0, 24.0),
    "encodec-32khz": (2.2,),
    "encodec-48khz": (3.0, 6.0, 12.0, 24.0),
}


class EncodeConfig(StepConfig):
    """How pairs become codes."""

    codec: CodecName = Field(
        "encodec-32khz", description="Codec: EnCodec at 24 or 32 kHz (mono) or 48 kHz (stereo)."
    )
    bandwidth_kbps: float | None = Field(
        None,
        description="Bandwidth of the codes: 1.5, 3, 6, 12 or 24 at 24 kHz, 2.2 at 32 kHz, 3, 6, "
        "12 or 24 at 48 kHz; the codec's lowest by default.",
        examples=[2.2],
        json_schema_extra={"unit": "kb/s"},
    )
    chunk_frames: int = Field(
        512,
        ge=16,
        le=16_384,
        description="Frames of a chunk (10.24 s at 32 kHz); each is encoded on its own.",
        json_schema_extra={"unit": "frames"},
    )
    min_chunk_seconds: float = Field(
        4.0,
        gt=0,
        description="A pair's last chunk may be shorter than the others, but not below this.",
        json_schema_extra={"unit": "s"},
    )
    contexts: tuple[Context, ...] = Field(
        CONTEXTS,
        min_length=1,
        description="Contexts that are encoded: all holds the target, all_without does not.",
    )

    @model_validator(mode="after")
    def _is_consistent(self) -> "EncodeConfig":
        known = BANDWIDTHS_KBPS[self.codec]
        if self.bandwidth_kbps is not None and self.bandwidth_kbps not in known:
            offered = ", ".join(f"{value:g}" for value in known)
            raise ValueError(f"{self.codec} has no bandwidth but {offered} kb/s")
        if len(set(self.contexts)) != len(self.contexts):
            raise ValueError("contexts names one twice")
        return self

    @property
    def cutting(self) -> Cutting:
        """How pairs are cut into chunks of whole frames."""
        return Cutting(
            FRAMINGS[self.codec], self.chunk_frames, self.min_chunk_seconds, self.contexts
        )


class PairsConfig(StepConfig):
    """Pairs, and their codes."""

    distortion: DistortConfig = DistortConfig()
    encoding: EncodeConfig = EncodeConfig()


def encode(
    track: Track, upstream: Mapping[str, Row | None], config: PairsConfig, tools: Tools
) -> Row:
    """Make and encode the pairs of a song into one Parquet file, in the order of its targets."""
    assert isinstance(track, PreparedSong)
    augmented, assorted = upstream["augment"], upstream["assort"]
    assert augmented is not None
    assert assorted is not None
    how = config.encoding
    model = tools.model(how.codec, CODEC)
    if (augmented["sample_rate_hz"], augmented["channels"]) != (
        model.sample_rate_hz,
        model.channels,
    ):
        raise ValueError(f"the variants were not drawn for {how.codec}")
    codebooks = model.codebooks(how.bandwidth_kbps)
    schema = pa.schema(chunk_fields(codebooks, how.chunk_frames, how.contexts))
    made = PairSignals(track, augmented, assorted, config.distortion, how.cutting, tools)
    owners: deque[Owner] = deque()

    def signals() -> Iterator[Samples]:
        for owner, signal in made:
            owners.append(owner)
            yield signal

    encoded = model.encode(
        signals(), bandwidth_kbps=how.bandwidth_kbps, batch_size=tools.batch_size
    )
    encoded_signals = 0

    def owned() -> Iterator[tuple[Owner, Any]]:
        nonlocal encoded_signals
        for each in encoded:
            encoded_signals += 1
            yield owners.popleft(), each

    with Sorter(schema) as in_order:
        for target, batch in _batches(
            _rows(owned(), how.contexts), schema, model.codebook_size, model.sample_rate_hz
        ):
            in_order.add(target, batch)
        pairs = made.pairs
        path = codes_path(track, config, tools.weights.revision(how.codec), pairs)
        chunks = _write(tools.outputs, path, schema, grouped(in_order.batches(), schema))
    bandwidth = how.bandwidth_kbps or model.bandwidths_kbps[0]
    return {
        "pairs": pairs,
        "codes_path": path if chunks else None,
        "chunks": chunks,
        "dropped_silent_chunks": made.dropped_silent_chunks,
        "dropped_short_chunks": made.dropped_short_chunks,
        "silent_pairs": made.silent_pairs,
        "encoded_signals": encoded_signals,
        "bandwidth_kbps": bandwidth,
        "codebooks": codebooks,
        "codebook_size": model.codebook_size,
        "frame_rate_hz": model.frame_rate_hz,
        "chunk_samples": how.cutting.chunk_samples,
        "sample_rate_hz": model.sample_rate_hz,
        "channels": model.channels,
    }


def encoding(row: Row, config: EncodeConfig, revision: str) -> Encoding:
    """Return how the codes of a row of this step were made; the same for all songs of a run.

    Parameters
    ----------
    row
        A row that did not fail.
    config, revision
        What it was made with: the step's configuration, the revision of the codec's weights.
    """
    return Encoding(
        codec=config.codec,
        codec_revision=revision,
        chunk_frames=config.chunk_frames,
        contexts=config.contexts,
        **{
            name: row[name]
            for name in (
                "bandwidth_kbps",
                "codebooks",
                "codebook_size",
                "chunk_samples",
                "frame_rate_hz",
                "sample_rate_hz",
                "channels",
            )
        },
    )


def codes_path(
    track: Track, config: PairsConfig, revision: str, pairs: Sequence[Mapping[str, Any]]
) -> str:
    """Name of a song's codes: a digest of all that they depend on."""
    made_of = [STEP.version, config.model_dump(mode="json"), revision, list(pairs)]
    made_by = digest(json.dumps(made_of, sort_keys=True).encode())
    return f"codes/{track.track_id}-{made_by[:16]}.parquet"


ChunkRow = tuple[Target, str, Chunk, dict[str, Any]]
"""Whose target, the pair, and the results of all signals of one of its chunks."""


def _rows(encoded: Iterable[tuple[Owner, Any]], contexts: Sequence[Context]) -> Iterator[ChunkRow]:
    """Yield per chunk of a pair the results of all of its signals."""
    stems: dict[int, Any] = {}
    row: dict[str, Any] = {}
    previous = None
    for owner, result in encoded:
        if owner.pair_id is None:
            if previous is None or previous.pair_id is not None:
                stems = {}  # those of the stem before
            stems[owner.chunk.index] = result
        else:
            row[owner.signal] = result
            if len(row) == len(contexts):
                results = {"stem": stems[owner.chunk.index], **row}
                yield owner.target, owner.pair_id, owner.chunk, results
                row = {}
        previous = owner


def _batches(
    rows: Iterable[ChunkRow], schema: pa.Schema, pad: int, sample_rate_hz: int
) -> Iterator[tuple[Target, pa.RecordBatch]]:
    """Yield the rows of each target as batches of Arrow, ROW_GROUP_ROWS at most in each."""
    for target, of_target in groupby(rows, key=itemgetter(0)):
        while waiting := list(islice(of_target, ROW_GROUP_ROWS)):
            yield target, _batch(waiting, schema, pad, sample_rate_hz)


def _batch(
    rows: Sequence[ChunkRow], schema: pa.Schema, pad: int, sample_rate_hz: int
) -> pa.RecordBatch:
    chunks = [chunk for _, _, chunk, _ in rows]
    columns = {
        "pair_id": [pair_id for _, pair_id, _, _ in rows],
        "chunk": [chunk.index for chunk in chunks],
        "start_seconds": [chunk.start / sample_rate_hz for chunk in chunks],
        "frames": [chunk.frames for chunk in chunks],
        "samples": [chunk.samples for chunk in chunks],
        "stem_active_fraction": [chunk.active_fraction for chunk in chunks],
    }
    for signal in rows[0][3]:
        type_ = schema.field(f"codes_{signal}").type
        codes = np.full(
            (len(rows), type_.list_size, type_.value_type.list_size), pad, dtype=np.uint16
        )
        for place, (_, _, chunk, results) in enumerate(rows):
            codes[place, :, : chunk.frames] = results[signal].codes
        columns[f"codes_{signal}"] = to_arrow(codes)
        columns[f"scales_{signal}"] = [results[signal].scales for _, _, _, results in rows]
    return pa.RecordBatch.from_pydict(columns, schema=schema)


def _write(storage: Storage, path: str, schema: pa.Schema, groups: Iterator[pa.Table]) -> int:
    """Store row groups as one file, and return the number of rows; none, no file."""
    first = next(groups, None)
    if first is None:
        return 0
    count = 0
    with (
        storage.writing(path) as target,
        pq.ParquetWriter(target, schema, compression="zstd") as writer,
    ):
        for group in chain((first,), groups):
            writer.write(group)
            count += len(group)
    return count


STEP = Step(
    name="encode",
    version=2,
    config=PairsConfig,
    columns=pa.schema(
        [
            column("pairs", pa.list_(PAIR), "Pairs, with all parameters"),
            column(
                "codes_path",
                pa.string(),
                "Codes of all chunks as Parquet, below the outputs; null if there are none",
            ),
            column("chunks", pa.int32(), "Chunks of pairs that were encoded"),
            column(
                "dropped_silent_chunks",
                pa.int32(),
                "Chunks of pairs left out since the target is silent in them",
            ),
            column(
                "dropped_short_chunks",
                pa.int32(),
                "Ends of pairs left out since they are shorter than the shortest chunk",
            ),
            column("silent_pairs", pa.int32(), "Pairs whose target is silent from start to end"),
            column("encoded_signals", pa.int32(), "Chunks of signals that the codec encoded"),
            column("bandwidth_kbps", pa.float64(), "Bandwidth of the codes", "kb/s"),
            column("codebooks", pa.int32(), "Codes per frame"),
            column("codebook_size", pa.int32(), "Entries of a codebook"),
            column("frame_rate_hz", pa.float64(), "Frames per second", "Hz"),
            column("chunk_samples", pa.int32(), "Length of a whole chunk", "samples"),
            column("sample_rate_hz", pa.int32(), "Sample rate of the codec", "Hz"),
            column("channels", pa.int32(), "Channels of the codec"),
        ]
    ),
    run=per_track(encode),
    upstream=("augment", "assort"),
    resource=on_gpu,
    models=lambda config: (config.encoding.codec,),
    cost=costs(50.0, 3.0),
)
