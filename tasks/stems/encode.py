"""Codes of a song's pairs: chunks in which the target sounds, each encoded on its own.

A target stem at one variant and gain belongs to several pairs: it is encoded once for all.
"""

import json
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field, model_validator

from blocks.storage import Storage
from models.protocols import CODEC
from tasks import audio
from tasks.audio.windows import cut
from tasks.stems.chunks import FRAMINGS, Chunk, CodecName, Framing, active_frames, frame_levels
from tasks.stems.mixing import gone
from tasks.stems.schema import CONTEXTS, Context, Encoding, Signal, chunk_fields, to_arrow
from tasks.step import Row, Step, StepConfig, Tools, column, digest, on_gpu, per_track
from tasks.track import Samples, Track, TrackError

ROW_GROUP_ROWS = 64
"""Rows that are written, and read, at once. Measured with chunks of 4 x 512 codes: a row out
of the middle costs 1 ms, out of a group of 256 rows 4; groups of 16 take 7 % more space."""

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
    def framing(self) -> Framing:
        """How the codec turns samples into frames."""
        return FRAMINGS[self.codec]


def encode(
    track: Track, upstream: Mapping[str, Row | None], config: EncodeConfig, tools: Tools
) -> Row:
    """Encode the pairs of a song into one Parquet file, in the order of its targets."""
    mixed = upstream["distort"]
    assert mixed is not None
    model = tools.model(config.codec, CODEC)
    if (mixed["sample_rate_hz"], mixed["channels"]) != (model.sample_rate_hz, model.channels):
        raise ValueError(f"the pairs were not made for {config.codec}")
    codebooks = model.codebooks(config.bandwidth_kbps)
    fields = chunk_fields(codebooks, config.chunk_frames, config.contexts)
    work = _Work(mixed, config, tools.outputs)
    encoded = model.encode(
        work.signals(), bandwidth_kbps=config.bandwidth_kbps, batch_size=tools.batch_size
    )
    rows = _rows(work.owned(encoded), config.contexts)
    batches = _batches(rows, pa.schema(fields), model.codebook_size, model.sample_rate_hz)
    path = codes_path(track, config, tools.weights.revision(config.codec), mixed["pairs"])
    chunks = _write(tools.outputs, path, pa.schema(fields), batches)
    bandwidth = config.bandwidth_kbps or model.bandwidths_kbps[0]
    return {
        "codes_path": path if chunks else None,
        "chunks": chunks,
        "dropped_silent_chunks": work.dropped_silent_chunks,
        "dropped_short_chunks": work.dropped_short_chunks,
        "silent_pairs": work.silent_pairs,
        "encoded_signals": work.encoded_signals,
        "bandwidth_kbps": bandwidth,
        "codebooks": codebooks,
        "codebook_size": model.codebook_size,
        "frame_rate_hz": model.frame_rate_hz,
        "chunk_samples": config.framing.samples(config.chunk_frames),
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
    track: Track, config: EncodeConfig, revision: str, pairs: Sequence[Mapping[str, Any]]
) -> str:
    """Name of a song's codes: a digest of all that they depend on."""
    made_of = [STEP.version, config.model_dump(mode="json"), revision, list(pairs)]
    made_by = digest(json.dumps(made_of, sort_keys=True).encode())
    return f"codes/{track.track_id}-{made_by[:16]}.parquet"


@dataclass(frozen=True, slots=True)
class _Owner:
    """Whose codes a signal becomes: a pair's, or of a stem those of all its pairs."""

    pair_id: str | None
    signal: Signal
    chunk: Chunk


class _Work:
    """The signals of a song in the order in which they are encoded, and what was left out."""

    def __init__(self, mixed: Row, config: EncodeConfig, outputs: Storage) -> None:
        self._pairs: list[Mapping[str, Any]] = sorted(mixed["pairs"], key=_stem_of)
        self._rate_hz: int = mixed["sample_rate_hz"]
        self._channels: Literal[1, 2] = mixed["channels"]
        self._config = config
        self._outputs = outputs
        self._owners: deque[_Owner] = deque()
        self.dropped_silent_chunks = 0
        self.dropped_short_chunks = 0
        self.silent_pairs = 0
        self.encoded_signals = 0

    def signals(self) -> Iterator[Samples]:
        """Yield signals to encode: per stem its chunks, then those of each pair's contexts."""
        for owner, signal in self._owned_signals():
            self._owners.append(owner)
            self.encoded_signals += 1
            yield signal

    def owned(self, encoded: Iterable[Any]) -> Iterator[tuple[_Owner, Any]]:
        """Yield the results of :meth:`signals`, each with whose it is."""
        for each in encoded:
            yield self._owners.popleft(), each

    def _owned_signals(self) -> Iterator[tuple[_Owner, Samples]]:
        for _, pairs in groupby(self._pairs, key=_stem_of):
            first, *others = pairs
            chunks = self._chunks(first, 1 + len(others))
            if not chunks:
                continue
            gain = np.float32(10 ** (first["gain_db"] / 20))
            for chunk, signal in self._heard(first, "stem", chunks):
                yield _Owner(None, "stem", chunk), gain * signal
            for pair in (first, *others):
                heard = [self._heard(pair, name, chunks) for name in self._config.contexts]
                for together in zip(*heard, strict=True):
                    for name, (chunk, signal) in zip(self._config.contexts, together, strict=True):
                        yield _Owner(pair["pair_id"], name, chunk), signal

    def _chunks(self, pair: Mapping[str, Any], pairs: int) -> dict[int, Chunk]:
        """Return by index the chunks in which a stem sounds; the others count `pairs` times."""
        framing, least = self._config.framing, self._config.min_chunk_seconds * self._rate_hz
        length = framing.samples(self._config.chunk_frames)
        gain = 10 ** (pair["gain_db"] / 20)
        levels, peak = [], 0.0
        for window in cut(self._blocks(pair, "stem"), length):
            levels.append(gain * frame_levels(window, self._rate_hz))
            peak = max(peak, gain * float(np.abs(window).max()))
        active = [active_frames(each, peak) for each in levels]
        if not any(each.any() for each in active):
            self.silent_pairs += pairs
        chunks = {}
        for index, is_active in enumerate(active):
            start = index * length
            rest = min(length, pair["samples"] - start)
            frames = framing.whole_frames(rest)
            if frames < self._config.chunk_frames and (frames == 0 or rest < least):
                self.dropped_short_chunks += pairs
            elif not is_active.any():
                self.dropped_silent_chunks += pairs
            else:
                samples = min(framing.samples(frames), rest)
                chunks[index] = Chunk(index, start, frames, samples, float(is_active.mean()))
        return chunks

    def _heard(
        self, pair: Mapping[str, Any], signal: Signal, chunks: Mapping[int, Chunk]
    ) -> Iterator[tuple[Chunk, Samples]]:
        """Yield a pair's signal in some of its chunks, cut to whole frames."""
        length = self._config.framing.samples(self._config.chunk_frames)
        for index, window in enumerate(cut(self._blocks(pair, signal), length)):
            if index in chunks:
                yield chunks[index], window[:, : chunks[index].samples]

    def _blocks(self, pair: Mapping[str, Any], signal: Signal) -> Iterator[Samples]:
        """Yield a stored signal, in blocks of shape ``(channels, n)``.

        Raises
        ------
        TrackError
            ``"artifact-missing"`` if it is not what the step before had stored.
        """
        path, count = pair[f"{signal}_path"], 0
        try:
            for block in audio.stream(
                self._outputs, path, rate_hz=self._rate_hz, channels=self._channels
            ):
                count += block.shape[1]
                yield block
        except TrackError as error:
            raise gone(self._outputs, path) from error
        if count != pair["samples"]:
            raise gone(self._outputs, path)


def _stem_of(pair: Mapping[str, Any]) -> tuple[str, float]:
    """Return what pairs with the same stem signal have in common."""
    return pair["stem_path"], pair["gain_db"]


def _rows(
    encoded: Iterable[tuple[_Owner, Any]], contexts: Sequence[Context]
) -> Iterator[tuple[str, Chunk, dict[str, Any]]]:
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
                yield owner.pair_id, owner.chunk, {"stem": stems[owner.chunk.index], **row}
                row = {}
        previous = owner


def _batches(
    rows: Iterable[tuple[str, Chunk, dict[str, Any]]],
    schema: pa.Schema,
    pad: int,
    sample_rate_hz: int,
) -> Iterator[pa.RecordBatch]:
    """Yield rows as batches of Arrow, ROW_GROUP_ROWS at most in each."""
    waiting: list[tuple[str, Chunk, dict[str, Any]]] = []
    for row in rows:
        waiting.append(row)
        if len(waiting) == ROW_GROUP_ROWS:
            yield _batch(waiting, schema, pad, sample_rate_hz)
            waiting = []
    if waiting:
        yield _batch(waiting, schema, pad, sample_rate_hz)


def _batch(
    rows: Sequence[tuple[str, Chunk, dict[str, Any]]],
    schema: pa.Schema,
    pad: int,
    sample_rate_hz: int,
) -> pa.RecordBatch:
    chunks = [chunk for _, chunk, _ in rows]
    columns = {
        "pair_id": [pair_id for pair_id, _, _ in rows],
        "chunk": [chunk.index for chunk in chunks],
        "start_seconds": [chunk.start / sample_rate_hz for chunk in chunks],
        "frames": [chunk.frames for chunk in chunks],
        "samples": [chunk.samples for chunk in chunks],
        "stem_active_fraction": [chunk.active_fraction for chunk in chunks],
    }
    for signal in rows[0][2]:
        type_ = schema.field(f"codes_{signal}").type
        codes = np.full(
            (len(rows), type_.list_size, type_.value_type.list_size), pad, dtype=np.uint16
        )
        for place, (_, chunk, results) in enumerate(rows):
            codes[place, :, : chunk.frames] = results[signal].codes
        columns[f"codes_{signal}"] = to_arrow(codes)
        columns[f"scales_{signal}"] = [results[signal].scales for _, _, results in rows]
    return pa.RecordBatch.from_pydict(columns, schema=schema)


def _write(
    storage: Storage, path: str, schema: pa.Schema, batches: Iterator[pa.RecordBatch]
) -> int:
    """Store batches as row groups of one file, and return the number of rows; none, no file."""
    first = next(batches, None)
    if first is None:
        return 0
    count = first.num_rows
    with (
        storage.writing(path) as target,
        pq.ParquetWriter(target, schema, compression="zstd") as writer,
    ):
        writer.write_batch(first)
        for batch in batches:
            writer.write_batch(batch)
            count += batch.num_rows
    return count


STEP = Step(
    name="encode",
    version=1,
    config=EncodeConfig,
    columns=pa.schema(
        [
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
    upstream=("distort",),
    resource=on_gpu,
    models=lambda config: (config.codec,),
)
