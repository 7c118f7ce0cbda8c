"""Decode a song once: each source as 16-bit samples of one rate, in a file to map into memory."""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pyarrow as pa
from pydantic import Field

from tasks import audio
from tasks.audio import AS_FOUND, Heard, Repair, StreamPass
from tasks.separator.likeness import flags
from tasks.separator.matching import tempo_and_key
from tasks.separator.planes import (
    BLOCK_WINDOWS,
    Measures,
    Planes,
    gain_of,
    measure,
    write,
)
from tasks.separator.store import WINDOW_SECONDS, StoredSong
from tasks.separator.training_song import MIXTURE, SOURCES, SourceFile, TrainingSong
from tasks.step import Row, Step, StepConfig, Tools, column, costs, digest, per_track
from tasks.text import printable
from tasks.track import Samples, TrackError

LENGTH_TOLERANCE_SECONDS = 0.1
"""Stems of one session may differ by the padding of a lossy encoder, some 50 ms at most."""

DAMAGES = ("shorter-than-stated", "damaged-packets")
"""Notices of an inspection after which a stem is not whole: what is gone would pass for silence."""

LEFT_AS_FOUND = ("dc-offset", "dead-channel", "out-of-phase")
"""Notices of what is put right of a whole song, and is not of a stem: it may be panned to one
side, and the stems add up to the mix."""

Channels = Literal[1, 2]


class DecodeConfig(StepConfig):
    """How songs are stored to train on."""

    sources: tuple[str, ...] = Field(SOURCES, min_length=2, description="What is told apart.")
    sample_rate_hz: int = Field(
        44_100, ge=8_000, le=192_000, description="Sample rate.", json_schema_extra={"unit": "Hz"}
    )
    channels: Channels = Field(1, description="1 for mono, 2 for stereo.")
    mixture: Literal["sum", "own"] = Field(
        "sum",
        description="What is to be taken apart: the sum of the sources, or the corpus's own mix.",
    )
    match: bool = Field(
        False, description="Find tempo and key, for remixes of songs that fit together."
    )

    @property
    def planes(self) -> tuple[str, ...]:
        """What a file of the store holds."""
        return (*self.sources, MIXTURE) if self.mixture == "own" else self.sources

    @property
    def block_frames(self) -> int:
        """Frames that are worked on at once: whole windows."""
        return BLOCK_WINDOWS * round(WINDOW_SECONDS * self.sample_rate_hz)


@dataclass
class _Found:
    """What was found of a song's files."""

    heard: dict[str, list[Heard]] = field(default_factory=dict)
    notices: list[str] = field(default_factory=list)


def decode(
    song: TrainingSong, upstream: Mapping[str, Row | None], config: DecodeConfig, tools: Tools
) -> Row:
    """Decode all files of a song in one pass each, and store and measure its sources.

    Raises
    ------
    TrackError
        If a file is not whole, lacks a stream or cannot be decoded, or the song has no mixture
        of its own and one is asked for.
    """
    files = [file for file in song.files if file.source in config.planes]
    if config.mixture == "own" and not any(file.source == MIXTURE for file in files):
        raise TrackError(
            "no-mixture",
            f"{printable(song.path)} has no mixture of its own: --mixture sum makes it of the "
            "sources.",
        )
    path = f"songs/{_address(song, config)}.pcm"
    count = len(config.planes)
    with (
        tools.outputs.writing(path) as target,
        Planes(target.parent, count, config.channels) as planes,
    ):
        found = _filled(planes, files, config, tools)
        measures = measure(planes, len(config.sources), config.sample_rate_hz)
        gain = gain_of([measures.sum_peak, *measures.peaks])
        write(target, planes, count, gain, config.block_frames)
        tempo_bpm, key = None, None
        if config.match:
            seconds = planes.frames / config.sample_rate_hz
            blocks = _mono(planes, config)
            tempo_bpm, key = tempo_and_key(blocks, config.sample_rate_hz, seconds)
        frames = planes.frames
    return {
        "path": path,
        "frames": frames,
        "channels": config.channels,
        "gain_db": 20 * float(np.log10(gain)),
        **_per_source(measures, frames, config),
        "mixture_residual_db": _residual_db(measures, config),
        "rates_hz": sorted({rate for each in _all(found) for rate in each.rates_hz}),
        "found_channels": sorted({count for each in _all(found) for count in each.channels}),
        "tempo_bpm": tempo_bpm,
        "major_key": key,
        "audio_notices": [*found.notices, *_unlike(files, found, config)],
    }


def stored_song(song: TrainingSong, row: Row) -> StoredSong:
    """Return a song of the store, by its row of this step."""
    return StoredSong(
        track_id=song.track_id,
        title=song.title,
        artist=song.artist,
        group=song.group,
        split=song.split,
        path=row["path"],
        frames=row["frames"],
        gain_db=row["gain_db"],
        active=tuple(row["active"]),
        tempo_bpm=row["tempo_bpm"],
        key=row["major_key"],
    )


def _address(song: TrainingSong, config: DecodeConfig) -> str:
    """Return the digest of all that the stored samples depend on."""
    made_by = [STEP.version, config.planes, config.sample_rate_hz, config.channels]
    return digest(json.dumps([*made_by, song.track_id]).encode())


def _filled(
    planes: Planes, files: Sequence[SourceFile], config: DecodeConfig, tools: Tools
) -> _Found:
    """Add all files to their planes; again, where a file has to be read in another way."""
    repairs = dict.fromkeys(files, AS_FOUND)
    found = _pass(planes, files, repairs, config, tools)
    odd = [
        file
        for path, of_path in _by_path(files).items()
        for file, heard in zip(of_path, found.heard[path], strict=True)
        if heard.is_odd
    ]
    for file in odd:
        repairs[file] = _repair(file, tools, found.notices)
    if any(repair != AS_FOUND for repair in repairs.values()):
        planes.clear()
        found.heard = _pass(planes, files, repairs, config, tools).heard
    return found


def _pass(
    planes: Planes,
    files: Sequence[SourceFile],
    repairs: Mapping[SourceFile, Repair],
    config: DecodeConfig,
    tools: Tools,
) -> _Found:
    found = _Found()
    for path, of_path in _by_path(files).items():
        places = [config.planes.index(file.source) for file in of_path]
        starts = [0] * len(of_path)
        passing = StreamPass(
            tools.source,
            path,
            [file.stream for file in of_path],
            rate_hz=config.sample_rate_hz,
            channels=config.channels,
            repairs=[repairs[file].amplified(10 ** (file.gain_db / 20)) for file in of_path],
        )
        for at, samples in passing:
            planes.add(places[at], starts[at], samples)
            starts[at] += samples.shape[1]
        found.heard[path] = passing.heard
    return found


def _repair(file: SourceFile, tools: Tools, notices: list[str]) -> Repair:
    """Return how a stem is read in which something is odd.

    Raises
    ------
    TrackError
        If part of it is gone.
    """
    name = printable(file.path)
    inspected = audio.inspect(tools.source, file.path, audio_stream=file.stream)
    for notice in inspected.notices:
        code, _, sentence = notice.partition(": ")
        if code in DAMAGES:
            raise TrackError("damaged", f"{name} is not whole: {sentence} Get it again.")
        if code not in LEFT_AS_FOUND:
            notices.append(f"{code}: {name}: {sentence}")
    repair = inspected.repair
    used = audio.probe(tools.source, file.path, audio_stream=file.stream).decoder
    if repair.decoder == used and repair.limit is None and repair.gain == 1:
        return AS_FOUND
    return Repair(decoder=repair.decoder, limit=repair.limit, gain=repair.gain)


def _by_path(files: Sequence[SourceFile]) -> dict[str, list[SourceFile]]:
    by_path: dict[str, list[SourceFile]] = defaultdict(list)
    for file in files:
        by_path[file.path].append(file)
    return by_path


def _all(found: _Found) -> Iterator[Heard]:
    for heard in found.heard.values():
        yield from heard


def _unlike(files: Sequence[SourceFile], found: _Found, config: DecodeConfig) -> Iterator[str]:
    """Yield notices of files that are not like the others, or not as they are stored."""
    heard_of = [
        (printable(file.path), heard)
        for path, of_path in _by_path(files).items()
        for file, heard in zip(of_path, found.heard[path], strict=True)
    ]
    longest = max(heard.seconds for _, heard in heard_of)
    for name, heard in heard_of:
        if longest - heard.seconds > LENGTH_TOLERANCE_SECONDS:
            yield (
                f"shorter-stem: {name} is {longest - heard.seconds:.1f} s shorter than the longest "
                "stem of its song; it is followed by silence."
            )
    others = sorted({rate for _, heard in heard_of for rate in heard.rates_hz})
    if others != [config.sample_rate_hz]:
        said = " and ".join(str(rate) for rate in others)
        yield f"other-rate: The files are at {said} Hz; resampled to {config.sample_rate_hz} Hz."
    mono = [name for name, heard in heard_of if heard.channels == [1]]
    if config.channels == 2 and mono:
        yield f"mono: {mono[0]} is mono ({len(mono)} of {len(heard_of)}); left and right are alike."


def _mono(planes: Planes, config: DecodeConfig) -> Iterator[Samples]:
    """Yield the mono mix of the sources, shape ``(1, n)``."""
    for block in planes.blocks(config.block_frames):
        yield block[: len(config.sources)].sum(axis=0).mean(axis=1)[None]


def _per_source(measures: Measures, frames: int, config: DecodeConfig) -> Row:
    count = len(config.sources)
    energies = np.diag(measures.gram)[:count]
    samples = frames * config.channels
    # A sine of this frequency has neighbouring samples that differ as much.
    slopes = [
        float(slope / energy) if energy else None
        for slope, energy in zip(measures.slopes, energies, strict=False)
    ]
    return {
        "rms_dbfs": [_decibels(float(energy / samples) ** 0.5) for energy in energies],
        "peak_dbfs": [_decibels(float(peak)) for peak in measures.peaks[:count]],
        "silent_share": [text.count("0") / len(text) for text in measures.active[:count]],
        "active": list(measures.active[:count]),
        "brightness_hz": [
            None
            if slope is None
            else config.sample_rate_hz / np.pi * float(np.arcsin(min(1.0, slope**0.5 / 2)))
            for slope in slopes
        ],
        "flags": flags(measures, config.sources),
    }


def _decibels(amplitude: float) -> float | None:
    return 20 * float(np.log10(amplitude)) if amplitude else None


def _residual_db(measures: Measures, config: DecodeConfig) -> float | None:
    """Return how much softer than the own mixture its difference to the sum is."""
    energy = float(measures.gram[-1, -1])
    if config.mixture == "sum" or not energy:
        return None
    return 10 * float(np.log10(max(measures.residual, 1e-12 * energy) / energy))


STEP = Step(
    name="decode",
    version=1,
    config=DecodeConfig,
    columns=pa.schema(
        [
            column("path", pa.string(), "File of the samples, int16 (planes, frames, channels)"),
            column("frames", pa.int64(), "Length", "samples"),
            column("channels", pa.int32(), "Channels of each plane"),
            column("gain_db", pa.float64(), "Gain of all planes; below 0 above full scale", "dB"),
            column("rms_dbfs", pa.list_(pa.float64()), "Level; null for silence", "dB"),
            column("peak_dbfs", pa.list_(pa.float64()), "Largest sample; null for silence", "dB"),
            column("silent_share", pa.list_(pa.float64()), "Share of windows below -60 dB"),
            column("active", pa.list_(pa.string()), "1 or 0 for each half second: sounds or not"),
            column("brightness_hz", pa.list_(pa.float64()), "Root mean square frequency", "Hz"),
            column("flags", pa.list_(pa.list_(pa.string())), "empty, mixture, same as a source"),
            column(
                "mixture_residual_db",
                pa.float64(),
                "Own mixture less the sum of the sources, relative to the mixture",
                "dB",
            ),
            column("rates_hz", pa.list_(pa.int32()), "Sample rates of the files", "Hz"),
            column("found_channels", pa.list_(pa.int32()), "Channels of the files"),
            column("tempo_bpm", pa.float64(), "Tempo; null if not asked for, or none", "bpm"),
            column(
                "major_key",
                pa.int32(),
                "Key by its major, C being 0; null if not asked for, or none",
            ),
            column("audio_notices", pa.list_(pa.string()), "What is odd in the files, and done"),
        ]
    ),
    run=per_track(decode),
    cost=costs(0.1),
)
