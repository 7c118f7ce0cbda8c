"""Stems of a song, out of an archive or a folder, as Ogg Opus, with what is measured on the way.

Each stem is decoded once: its levels, its share of the mix that the song is known by, and
the encoder take the same blocks.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import pyarrow as pa
from pydantic import Field

from blocks.storage import Storage
from tasks import audio
from tasks.corpora.archives import unzip
from tasks.corpora.names.arrange import SeveralSongsError, as_one_song
from tasks.corpora.names.instruments import instrument_of, is_mixture, read_names
from tasks.corpora.song import Song, StemFile
from tasks.dataset.near_duplicates import MixFingerprint
from tasks.stems import low_rate
from tasks.step import Row, Step, StepConfig, Tools, column, costs, digest, per_track
from tasks.text import printable
from tasks.track import Track, TrackError

OPUS_RATE_HZ = 48_000
"""Rate at which Opus works, whatever goes in."""

PROBLEM = pa.struct([("path", pa.string()), ("reason", pa.string()), ("message", pa.string())])
"""Something in a song that is wrong, and no reason to leave out the rest of it."""

LEFT_OUT = pa.struct([("path", pa.string()), ("reason", pa.string())])
"""A file of a song that is no stem: ``"mixture"``, or ``"not-audio"`` within an archive."""

STEM = pa.struct(
    [
        ("stem_id", pa.string()),
        ("name", pa.string()),
        ("instrument", pa.string()),
        ("source", pa.string()),
        ("path", pa.string()),
        ("duration_seconds", pa.float64()),
        ("source_rate_hz", pa.int32()),
        ("source_channels", pa.int32()),
        ("peak_dbfs", pa.float64()),
        ("clipped_samples", pa.int64()),
        ("active_fraction", pa.float64()),
        ("loudness_lufs", pa.float64()),
        ("gain_db", pa.float64()),
        ("audio_notices", pa.list_(pa.string())),
    ]
)
"""A stem that was stored; ``instrument`` is what the layout says, null if it says nothing."""


class ConvertConfig(StepConfig):
    """How stems are stored."""

    bitrate_kbps: int = Field(
        160,
        ge=32,
        le=320,
        description="Bit rate of the stored stems, Ogg Opus.",
        json_schema_extra={"unit": "kb/s"},
    )
    max_minutes: float = Field(
        20.0,
        gt=0,
        description="Longer stems are refused: later steps hold a whole stem in memory.",
        json_schema_extra={"unit": "min"},
    )
    max_file_gb: float = Field(
        4.0, gt=0, description="Largest file that is unpacked.", json_schema_extra={"unit": "GB"}
    )
    max_archive_gb: float = Field(
        16.0,
        gt=0,
        description="Archives that unpack to more are refused.",
        json_schema_extra={"unit": "GB"},
    )

    @property
    def limits(self) -> unzip.Limits:
        """What archives may unpack to."""
        return unzip.Limits(
            member_bytes=round(self.max_file_gb * 1e9), total_bytes=round(self.max_archive_gb * 1e9)
        )


@dataclass(frozen=True, slots=True)
class _Readable:
    """A stem as a file that can be opened."""

    stem: StemFile
    storage: Storage
    path: str


def convert(
    track: Track, upstream: Mapping[str, Row | None], config: ConvertConfig, tools: Tools
) -> Row:
    """Store the stems of a song as Ogg Opus, and measure them.

    What is wrong with one stem is a problem of its song; the others go on. Mixtures are
    left out.
    """
    assert isinstance(track, Song)
    stems: dict[str, Row] = {}
    problems: list[Row] = []
    left_out: list[Row] = []
    mix = MixFingerprint(OPUS_RATE_HZ)
    for found in _readable(track, config, tools, problems, left_out):
        try:
            stem_id = _identity(found)
            if stem_id in stems:
                raise TrackError(
                    "duplicate-stem",
                    f"{printable(found.stem.path)} is a copy of {stems[stem_id]['source']}.",
                )
            stems[stem_id] = _converted(found, stem_id, config, tools, mix)
        except TrackError as error:
            problems.append(problem(found.stem.path, error))
    if not stems:
        said = problems[0]["message"] if problems else "There is none but mixtures."
        raise TrackError("no-stems", f"{printable(track.path)} holds no readable stem. {said}")
    return {
        "stems": sorted(stems.values(), key=lambda stem: (stem["name"], stem["stem_id"])),
        "problems": problems,
        "left_out": left_out,
        "fingerprint": mix.words().astype("<u4").tobytes(),
    }


def problem(path: str, error: TrackError) -> Row:
    """Return a problem of a song, as it is stored."""
    return {"path": printable(path), "reason": error.reason, "message": error.message}


def _readable(
    song: Song,
    config: ConvertConfig,
    tools: Tools,
    problems: list[Row],
    left_out: list[Row],
) -> Iterator[_Readable]:
    """Yield a song's stems one after the other, each unpacked only while it is looked at."""
    if not song.archive:
        for stem in _without_mixtures(song.stems, left_out):
            yield _Readable(stem, tools.source, stem.path)
        return
    with ExitStack() as stack:
        inside: dict[str, tuple[Path, unzip.Member]] = {}
        for path in (song.path, *song.parts):
            try:
                archive = stack.enter_context(tools.source.reading(path))
            except FileNotFoundError as error:
                raise TrackError("missing", f"{printable(path)} is not there any more.") from error
            found = unzip.contents(archive, config.limits, _is_known)
            problems += [
                problem(each.path, TrackError(each.reason, each.message)) for each in found.problems
            ]
            left_out += [_left_out(name, "not-audio") for name in found.passed_over]
            for member in found.members:
                if member.path in inside:
                    said = f"{member.path} is in two parts of the archive: the first counts."
                    problems.append(problem(member.path, TrackError("duplicate-name", said)))
                else:
                    inside[member.path] = archive, member
        for stem in _without_mixtures(_stems(song, list(inside)), left_out):
            archive, member = inside[stem.path]
            with TemporaryDirectory(prefix="songmill-") as folder:
                try:
                    unzip.extract(archive, member, Path(folder, "stem"), config.limits)
                except TrackError as error:
                    problems.append(problem(member.path, error))
                    continue
                yield _Readable(stem, Storage(folder), "stem")


def _without_mixtures(stems: Sequence[StemFile], left_out: list[Row]) -> list[StemFile]:
    """Return a song's stems but for mixtures, by their names, unless the layout tells what is."""
    named = [stem for stem in stems if stem.instrument is None]
    readings = read_names([stem.name for stem in named])
    mixtures = [stem for stem, reading in zip(named, readings, strict=True) if reading.is_mixture]
    left_out += [_left_out(stem.path, "mixture") for stem in mixtures]
    return [stem for stem in stems if stem not in mixtures]


def _left_out(path: str, reason: str) -> Row:
    return {"path": printable(path), "reason": reason}


def _is_known(name: str) -> bool:
    """Return whether a name tells an instrument or a mixture."""
    return instrument_of(name) is not None or is_mixture(name)


def _stems(song: Song, paths: Sequence[str]) -> list[StemFile]:
    """Return the stems of an archive by its members.

    Raises
    ------
    TrackError
        ``"several-songs"`` if they are of more than one song.
    """
    try:
        names = as_one_song(paths).paths
    except SeveralSongsError as error:
        songs = ", ".join(printable(title) for title in error.titles[:3])
        raise TrackError(
            "several-songs",
            f"{printable(song.path)} holds more than one song ({songs}): pack each into an "
            "archive of its own.",
        ) from error
    return [StemFile(name, path) for path, name in names.items()]


def _converted(
    found: _Readable, stem_id: str, config: ConvertConfig, tools: Tools, mix: MixFingerprint
) -> Row:
    """Store and measure a stem.

    Raises
    ------
    TrackError
        If it cannot be decoded, or is too long; named as the song names it.
    """
    stem = found.stem
    try:
        _check_length(
            audio.probe(found.storage, found.path, audio_stream=stem.stream), stem, config
        )
        # Before anything is resampled, which rounds the corners of what was clipped.
        inspected = audio.inspect(found.storage, found.path, audio_stream=stem.stream)
        info, levels = inspected.info, inspected.levels
        _check_length(info, stem, config)
        gain_db = -max(0.0, levels.peak_dbfs or 0.0)
        channels: Literal[1, 2] = 1 if info.channels == 1 else 2
        path = f"audio/{stem_id}-{_made_by(config)}.opus"
        blocks = audio.stream(
            found.storage,
            found.path,
            rate_hz=info.sample_rate_hz,
            channels=channels,
            audio_stream=stem.stream,
            repair=inspected.repair.amplified(10 ** (gain_db / 20)),
        )
        low = low_rate.LowRate(OPUS_RATE_HZ, channels)
        with mix.adding() as adding:
            resampled = audio.resampled(blocks, info.sample_rate_hz, OPUS_RATE_HZ, channels)
            kept = low.keeping(adding(resampled))
            audio.write_opus(tools.outputs, path, kept, bitrate_kbps=config.bitrate_kbps)
        low_rate.store(tools.outputs, path, low)
    except TrackError as error:
        # An unpacked file has a name of its own, which says nothing to people.
        said = error.message.replace(printable(found.path), printable(stem.path), 1)
        raise TrackError(error.reason, said) from error
    return {
        "stem_id": stem_id,
        "name": printable(stem.name),
        "instrument": stem.instrument,
        "source": printable(stem.path),
        "path": path,
        "duration_seconds": info.duration_seconds,
        "source_rate_hz": info.sample_rate_hz,
        "source_channels": info.channels,
        "peak_dbfs": levels.peak_dbfs,
        "clipped_samples": levels.clipped_samples,
        "active_fraction": levels.active_fraction,
        "loudness_lufs": levels.loudness_lufs,
        "gain_db": gain_db,
        "audio_notices": list(inspected.notices),
    }


def _check_length(info: audio.AudioInfo, stem: StemFile, config: ConvertConfig) -> None:
    """Refuse what is too long for the steps that come.

    Raises
    ------
    TrackError
        ``"too-long"``.
    """
    if info.duration_seconds > 60 * config.max_minutes:
        raise TrackError(
            "too-long",
            f"{printable(stem.path)} is {info.duration_seconds / 60:.0f} minutes long: "
            "--convert.max_minutes allows more.",
        )


def _identity(found: _Readable) -> str:
    """Return the digest of a stem's bytes, and of its place among the streams of its file."""
    hashed = blake2b(digest_size=16)
    for piece in found.storage.pieces(found.path):
        hashed.update(piece)
    if not found.stem.stream:
        return hashed.hexdigest()
    return digest(f"{hashed.hexdigest()} {found.stem.stream}".encode())


def _made_by(config: ConvertConfig) -> str:
    """Return what the name of a stored stem says of how it was made."""
    return digest(f"{STEP.version} {config.bitrate_kbps}".encode())[:8]


STEP = Step(
    name="convert",
    version=2,
    config=ConvertConfig,
    columns=pa.schema(
        [
            column("stems", pa.list_(STEM), "Stems that were stored, with their levels"),
            column("problems", pa.list_(PROBLEM), "What else the song holds, and why it is not"),
            column("left_out", pa.list_(LEFT_OUT), "Files that are no stems, and why"),
            column("fingerprint", pa.binary(), "Words of the mix of all stems, uint32"),
        ]
    ),
    run=per_track(convert),
    attributes=("track_id", "labels"),
    cost=costs(0.6),
)
