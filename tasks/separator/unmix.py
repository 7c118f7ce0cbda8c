"""Stems of a file, by a network: decoded, separated and written in one pass."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any

import numpy as np
import pyarrow as pa

from models.protocols import SEPARATION, Separator, SeparatorOfMany
from models.stem_names import chosen
from tasks import audio
from tasks.audio import AudioInfo, SoundFormat
from tasks.audio.levels import FULL_SCALE
from tasks.step import (
    Row,
    Step,
    StepConfig,
    Tools,
    Track,
    TrackError,
    column,
    costs,
    digest,
    on_gpu,
)
from tasks.track import Samples
from tasks.weights import ModelError

MAY_BE_LONG_SECONDS = 3600
"""From this length on that a header states, a WAV is written so that it may exceed 4 GB. At
192 kHz in stereo that many are 5,600 s; the header of a file may be wrong."""


class UnmixConfig(StepConfig):
    """How files are separated.

    Attributes
    ----------
    separator
        A registered separator, or one of the user's own by the name that
        :meth:`tasks.weights.Weights.with_own` gives it.
    stems
        Sources, or ``no_<source>`` for the mix without one; none for all sources.
    format
        Of the files to write, of 16 bits.
    keep_rate
        Whether stems are written at the rate of the file instead of the network's.
    """

    separator: str
    stems: tuple[str, ...] = ()
    format: SoundFormat = "wav"
    keep_rate: bool = False


@dataclass(frozen=True)
class _Written:
    """What was written of a track: files below the outputs, samples of each, and the peak."""

    paths: list[str]
    rate_hz: int
    samples: int
    peak: float


def unmix(
    tracks: Sequence[Track],
    upstream: Mapping[str, Sequence[Row | None]],
    config: UnmixConfig,
    tools: Tools,
) -> list[Row | TrackError]:
    """Store the stems of each track beside the tables.

    Raises
    ------
    ModelError
        If the network cannot be used, or has no such source.
    """
    adapter = tools.model(config.separator, SEPARATION)
    stems = wanted_stems(adapter.sources, config, tools)
    made_by = _made_by(config, tools)
    results: dict[int, Row | TrackError] = {}

    def written(numbers: Sequence[int], gain: float) -> Iterator[tuple[int, _Written]]:
        infos: dict[int, AudioInfo] = {}
        mixes = (_mix(tracks[at], adapter, tools, at, infos, results) for at in numbers)
        parts = _separated(adapter, mixes, stems, tools, [tracks[at] for at in numbers])
        for place, group in groupby(parts, itemgetter(0)):
            at = numbers[place]
            if at not in infos:
                continue
            blocks = _whole(at, (block for _, block in group), results)
            paths = [f"{tracks[at].track_id}-{made_by}/{stem}.{config.format}" for stem in stems]
            try:
                yield at, _write(paths, blocks, infos[at], adapter, config, gain, tools)
            except TrackError as error:
                results[at] = error

    gains = {}
    for at, found in written(range(len(tracks)), 1.0):
        results[at] = _row(found, stems, 1.0)
        if found.peak > 1:
            gains[at] = FULL_SCALE / found.peak
    for number, gain in gains.items():
        # Rare: of mixes beyond full scale, or of networks that do not mask. Once more, with one
        # gain for all stems, so that they still add up.
        del results[number]
        for at, found in written([number], gain):
            results[at] = _row(found, stems, gain)
    return [results[at] for at in range(len(tracks))]


def wanted_stems(sources: Sequence[str], config: UnmixConfig, tools: Tools) -> list[str]:
    """Return the stems that a configuration asks of a network.

    Raises
    ------
    ModelError
        If the network has no such source.
    """
    stems = list(config.stems or sources)
    try:
        chosen(stems, sources)
    except ValueError as error:
        place = tools.weights.trained.get(config.separator, config.separator)
        raise ModelError(f"{place} has {error}.") from error
    return stems


def _mix(
    track: Track,
    adapter: Separator,
    tools: Tools,
    at: int,
    infos: dict[int, AudioInfo],
    errors: dict[int, Row | TrackError],
) -> Iterator[Samples]:
    """Yield a track's mix in stereo; an error ends it, and is noted."""
    try:
        infos[at] = audio.probe(tools.source, track.path)
        yield from tools.mix_stereo_blocks(track, adapter.sample_rate_hz)
    except TrackError as error:
        errors[at] = error


def _separated(
    adapter: Separator,
    mixes: Iterable[Iterator[Samples]],
    stems: Sequence[str],
    tools: Tools,
    tracks: Sequence[Track],
) -> Iterator[tuple[int, Samples]]:
    """Yield stems, shape ``(len(stems), 2, n)``, each block with the place of its track."""
    size = tools.batch_size
    if isinstance(adapter, SeparatorOfMany):
        yield from adapter.separate_each(mixes, stems, batch_size=size)
        return
    for place, mix in enumerate(mixes):
        mean, std = 0.0, 1.0
        if adapter.needs_level:
            from models.demucs import level

            try:
                # Decoding twice costs less than keeping the track.
                rate_hz = adapter.sample_rate_hz
                mean, std = level(tools.mix_stereo_blocks(tracks[place], rate_hz))
            except TrackError:
                pass  # which the mix meets as well, and notes
        for block in adapter.separate(mix, stems, mean=mean, std=std, batch_size=size):
            yield place, block


def _whole(
    at: int, blocks: Iterable[Samples], errors: Mapping[int, Row | TrackError]
) -> Iterator[Samples]:
    """Yield the blocks of a track.

    Raises
    ------
    TrackError
        At their end, if the mix met one.
    """
    yield from blocks
    error = errors.get(at)
    if isinstance(error, TrackError):
        raise error


def _write(
    paths: Sequence[str],
    blocks: Iterable[Samples],
    info: AudioInfo,
    adapter: Separator,
    config: UnmixConfig,
    gain: float,
    tools: Tools,
) -> _Written:
    """Write the stems of a track, all or none, with the channels that the file has."""
    channels = 1 if info.channels == 1 else 2
    rate_hz = adapter.sample_rate_hz
    if channels == 1:
        blocks = (block.mean(axis=1, keepdims=True) for block in blocks)
    if config.keep_rate and info.sample_rate_hz != rate_hz:
        blocks = _resampled(blocks, rate_hz, info.sample_rate_hz, len(paths), channels)
        rate_hz = info.sample_rate_hz
    may_be_long = info.duration_seconds > MAY_BE_LONG_SECONDS or not info.states_duration
    samples, peak = 0, 0.0
    with ExitStack() as files:
        writers = [
            files.enter_context(
                audio.writing_sound(
                    tools.outputs, path, rate_hz, channels, config.format, may_be_long=may_be_long
                )
            )
            for path in paths
        ]
        for block in blocks:
            amplified = block if gain == 1 else block * np.float32(gain)
            peak = max(peak, float(np.abs(amplified).max(initial=0.0)))
            samples += block.shape[-1]
            for write, stem in zip(writers, amplified, strict=True):
                write(stem)
    return _Written(list(paths), rate_hz, samples, peak)


def _resampled(
    blocks: Iterable[Samples], source_hz: int, rate_hz: int, stems: int, channels: int
) -> Iterator[Samples]:
    """Yield stems, shape ``(stems, channels, n)``, at another rate."""
    flat = (block.reshape(stems * channels, -1) for block in blocks)
    for block in audio.resampled(flat, source_hz, rate_hz, stems * channels):
        yield block.reshape(stems, channels, -1)


def _row(found: _Written, stems: Sequence[str], gain: float) -> Row:
    return {
        "stems": list(stems),
        "stem_paths": found.paths,
        "gain_db": 20 * float(np.log10(gain)),
        "sample_rate_hz": found.rate_hz,
        "duration_seconds": found.samples / found.rate_hz,
    }


def _made_by(config: UnmixConfig, tools: Tools) -> str:
    """Return what files of a configuration are named by: a digest of all that they depend on."""
    revision = tools.weights.revision(config.separator)
    said: list[Any] = [STEP.version, config.keyed(), revision]
    return digest(json.dumps(said).encode())[:8]


def _models(config: UnmixConfig) -> tuple[str, ...]:
    return (config.separator,)


STEP = Step(
    name="unmix",
    version=1,
    config=UnmixConfig,
    columns=pa.schema(
        [
            column("stems", pa.list_(pa.string()), "Sources, or no_<source>, in order"),
            column("stem_paths", pa.list_(pa.string()), "File of each stem, below the outputs"),
            column(
                "gain_db",
                pa.float64(),
                "Gain of all stems; 0 unless one of them would be clipped",
                "dB",
            ),
            column("sample_rate_hz", pa.int32(), "Sample rate of the stems", "Hz"),
            column("duration_seconds", pa.float64(), "Duration of each stem", "s"),
        ]
    ),
    run=unmix,
    resource=on_gpu,
    models=_models,
    cost=costs(3.0, 0.3),
)
