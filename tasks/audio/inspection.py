"""One look at the whole of a file: who reads all of it, what is wrong with it, and its levels.

A decoder may stop early and say nothing: at the end of the first of two joined files, at a lying
frame count, where the rate changes. What was decoded is compared with what the header states and
with the packets that FFmpeg counts; where it falls short the other decoder reads as well, and who
reads all is named in the :class:`~tasks.audio.repair.Repair` that all steps read the file with.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from blocks.storage import Storage
from tasks.audio import files
from tasks.audio.conversion import converted
from tasks.audio.diagnosis import ABOVE_ANY_MIX, scale, stray_limit, treat
from tasks.audio.measures import Levels, Measurement
from tasks.audio.meters import Meter
from tasks.audio.readers import AudioInfo, Block, Decoder
from tasks.audio.repair import AS_FOUND, Repair
from tasks.text import printable
from tasks.track import Samples, TrackError

TOLERANCE_SECONDS = 0.1
TOLERANCE_SAMPLES = 4096
"""What lengths may differ by and be the same: encoders pad MP3 by up to 3,400 samples, and
headers are rounded."""

UNREAD_BYTES = 2**14
"""More than this behind the end of a FLAC stream may be audio."""

DAMAGED_PACKETS = 3
"""Fewer packets that cannot be decoded are tags between and behind those of audio."""

LEAST_PART_SECONDS = 0.1
"""Shorter parts of another rate or other channels are the start or the end of a decoder's."""

MOST_NOT_FINITE = 0.05
"""A file with a larger share of samples that are no number is refused: what remains is no longer
the recording."""


@dataclass(frozen=True, slots=True)
class Inspection:
    """What was found.

    Attributes
    ----------
    info
        What the file is. Its duration is what was decoded, its decoder who reads the whole.
    repair
        How every step reads it.
    levels
        Measured on the repaired stereo downmix, or mono; what is clipped on all channels;
        ``phase_correlation`` and ``dc_offset`` before the channels were repaired.
    notices
        ``"code: Sentence."`` each, for what was found wrong.
    """

    info: AudioInfo
    repair: Repair
    levels: Levels
    notices: tuple[str, ...]


@dataclass
class _Tally:
    """What passes by while a file is decoded."""

    parts: list[tuple[int, int, float]] = field(default_factory=list)
    samples: int = 0
    not_finite: int = 0
    surround: dict[int, Meter] = field(default_factory=dict)

    def counting(self, blocks: Iterable[Block]) -> Iterator[Block]:
        """Pass on blocks, and note rate, channels and length of the parts that are alike."""
        for block in blocks:
            count, channels = block.samples.shape
            kind = (block.rate_hz, channels)
            before = 0.0
            if self.parts and self.parts[-1][:2] == kind:
                before = self.parts.pop()[2]
            self.parts.append((*kind, before + count / block.rate_hz))
            self.samples += block.samples.size
            if channels > 2:
                meter = self.surround.setdefault(channels, Meter(block.rate_hz, channels))
                meter.add(AS_FOUND.cleaned(block.samples))
            if not np.isfinite(_total(block.samples)):
                self.not_finite += int(block.samples.size - np.isfinite(block.samples).sum())
            yield block

    @property
    def seconds(self) -> float:
        """Length of all parts."""
        return sum(part[2] for part in self.parts)

    def long_parts(self) -> list[tuple[int, int]]:
        """Rate and channels of the parts that are more than a decoder's start or end."""
        kinds = [part[:2] for part in self.parts if part[2] >= LEAST_PART_SECONDS]
        kinds = kinds or [part[:2] for part in self.parts[:1]]
        return [kind for at, kind in enumerate(kinds) if at == 0 or kind != kinds[at - 1]]


@dataclass
class _Pass:
    """One decoding of the whole file by one decoder."""

    info: AudioInfo
    tally: _Tally
    measured: Measurement
    damaged_packets: int
    unread_bytes: int

    @property
    def seconds(self) -> float:
        """Length of what was decoded."""
        return self.tally.seconds


def inspect(storage: Storage, path: str, *, audio_stream: int = 0) -> Inspection:
    """Decode a file once, and find out how it is to be read.

    It is decoded again only where something was found: by the other decoder if this one may
    have stopped early, and to measure what was repaired.

    Parameters
    ----------
    storage, path
        Which file.
    audio_stream
        Which of its audio streams, where a container holds several.

    Raises
    ------
    TrackError
        As :func:`tasks.audio.probe`; ``"too-short"``, or ``"not-finite"`` if many samples are
        no number.
    """
    notices: list[str] = []
    found = _whole(storage, path, audio_stream, notices)
    info = found.info
    _check(found, path)
    repair = Repair(decoder=info.decoder)
    measured = found.measured
    if found.tally.not_finite:
        notices.append(
            f"not-finite: {found.tally.not_finite} samples were no finite number; they are zero."
        )
    if measured.peak() > ABOVE_ANY_MIX:
        repair, measured = _scaled(storage, path, audio_stream, repair, measured, notices)
    as_found = measured.levels()
    repair, treated = treat(measured, repair, is_stereo=info.channels == 2)
    levels = as_found
    if treated:
        notices += treated
        levels = replace(
            _measured(storage, path, audio_stream, repair, measured).levels(),
            phase_correlation=as_found.phase_correlation,
            dc_offset=as_found.dc_offset,
        )
    if found.tally.surround:
        # The downmix of clipped channels is not clipped itself.
        clipped = sum(meter.clipped for meter in found.tally.surround.values())
        share = clipped / found.tally.samples
        levels = replace(levels, clipped_samples=clipped, clipped_ratio=share)
    return Inspection(info, repair, levels, tuple(notices))


def _check(found: _Pass, path: str) -> None:
    """Refuse what is no recording.

    Raises
    ------
    TrackError
        ``"too-short"`` or ``"not-finite"``.
    """
    if found.seconds < files.MIN_SECONDS:
        raise TrackError(
            "too-short", f"{printable(path)} holds only {found.seconds:.3f} s of audio."
        )
    if found.tally.not_finite > MOST_NOT_FINITE * found.tally.samples:
        share = 100 * found.tally.not_finite / found.tally.samples
        raise TrackError(
            "not-finite",
            f"{share:.0f} % of the samples of {printable(path)} are no finite number; export it "
            "again.",
        )


def _whole(storage: Storage, path: str, audio_stream: int, notices: list[str]) -> _Pass:
    """Decode a file by whoever reads all of it, and note what still differs."""
    first = found = _pass(storage, path, audio_stream, None)
    stated = first.info.duration_seconds if first.info.states_duration else 0.0
    tolerance = _tolerance_seconds(first.info.sample_rate_hz)
    if first.info.decoder == "libsndfile":
        expected = None
        if first.info.format.startswith("MP3"):
            expected = files.packet_seconds(storage, path)
        if (
            is_shorter(first.seconds, stated, first.info.sample_rate_hz)
            or (expected is not None and abs(first.seconds - expected) > tolerance)
            or (first.info.format.startswith("FLAC") and first.unread_bytes > UNREAD_BYTES)
        ):
            found = _better(first, _other(storage, path, audio_stream), expected, tolerance)
    seconds = found.seconds
    if is_shorter(seconds, stated, first.info.sample_rate_hz):
        notices.append(
            f"shorter-than-stated: The header states {stated:.1f} s, but {seconds:.1f} s can be "
            "decoded: the file is cut off or damaged."
        )
    elif stated and seconds > stated + tolerance:
        notices.append(
            f"longer-than-stated: The header states {stated:.1f} s, but the file holds "
            f"{seconds:.1f} s; all of it is read."
        )
    # What FFmpeg finds between and behind the frames of an MP3 is mostly no audio.
    if found.damaged_packets >= DAMAGED_PACKETS and not found.info.format.startswith("mp3"):
        notices.append(
            f"damaged-packets: {found.damaged_packets} packets could not be decoded; they are "
            "left out."
        )
    parts = found.tally.long_parts()
    if len(parts) > 1:
        kinds = ", then ".join(f"{rate} Hz with {channels}" for rate, channels in parts)
        notices.append(
            f"format-change: Rate or channels change midway ({kinds} channels); every part is "
            "read at its own."
        )
    found.info = replace(
        found.info,
        duration_seconds=seconds,
        sample_rate_hz=parts[0][0],
        channels=max(channels for _, channels in parts),
    )
    return found


def is_shorter(seconds: float, stated_seconds: float, rate_hz: int) -> bool:
    """Return whether less was decoded than a file states; one that states nothing says 0."""
    return stated_seconds > 0 and seconds < stated_seconds - _tolerance_seconds(rate_hz)


def _tolerance_seconds(rate_hz: int) -> float:
    return TOLERANCE_SECONDS + TOLERANCE_SAMPLES / rate_hz


def _other(storage: Storage, path: str, audio_stream: int) -> _Pass | None:
    try:
        return _pass(storage, path, audio_stream, "ffmpeg")
    except TrackError:
        return None


def _better(first: _Pass, other: _Pass | None, expected: float | None, tolerance: float) -> _Pass:
    """Return who is nearer to the packets' length, or else who reads more; in doubt the first."""
    if other is None or abs(other.seconds - first.seconds) <= tolerance:
        return first
    if expected is None:
        return other if other.seconds > first.seconds else first
    is_nearer = abs(other.seconds - expected) < abs(first.seconds - expected)
    return other if is_nearer else first


def _pass(storage: Storage, path: str, audio_stream: int, decoder: Decoder | None) -> _Pass:
    tally = _Tally()
    with files.decoded(storage, path, audio_stream, decoder) as (reader, blocks):
        info = reader.info
        measured = _measurement(tally.counting(blocks), info.sample_rate_hz, info.channels)
        made = _Pass(info, tally, measured, reader.damaged_packets, reader.unread_bytes)
    if measured.channels == 1 and max(part[1] for part in tally.parts) > 1:
        # What begins in mono and goes on in stereo is stereo.
        repair = Repair(decoder=info.decoder)
        made.measured = _measured(storage, path, audio_stream, repair, measured, channels=2)
    return made


def _measurement(
    blocks: Iterable[Block], rate_hz: int, channels: int, repair: Repair = AS_FOUND
) -> Measurement:
    """Measure the downmix of what was decoded, at the rate of its first part."""
    is_mono = channels == 1
    signal = converted(blocks, rate_hz=rate_hz, channels=1 if is_mono else 2, repair=repair)
    return Measurement(rate_hz, 1 if is_mono else 2).take(signal)


def _measured(
    storage: Storage,
    path: str,
    audio_stream: int,
    repair: Repair,
    before: Measurement,
    channels: int | None = None,
) -> Measurement:
    """Measure a file as it is after a repair."""
    with files.decoded(storage, path, audio_stream, repair.decoder) as (_, blocks):
        return _measurement(blocks, before.rate_hz, channels or before.channels, repair)


def _scaled(
    storage: Storage,
    path: str,
    audio_stream: int,
    repair: Repair,
    measured: Measurement,
    notices: list[str],
) -> tuple[Repair, Measurement]:
    """Leave strays out and bring the rest to full scale, and measure that."""
    strays = 0
    with files.decoded(storage, path, audio_stream, repair.decoder) as (_, blocks):
        limit, is_whole = stray_limit(repair.cleaned(block.samples) for block in blocks)
    if limit is not None:
        repair = replace(repair, limit=limit)
        with files.decoded(storage, path, audio_stream, repair.decoder) as (_, blocks):
            strays = sum(_beyond(AS_FOUND.cleaned(block.samples), limit) for block in blocks)
        notices.append(f"stray-samples: {strays} samples beyond any sound; they are zero.")
        measured = _measured(storage, path, audio_stream, repair, measured)
    gain, notice = scale(measured.peak(), is_whole)
    if notice:
        notices.append(notice)
        repair = replace(repair, gain=gain)
        measured = _measured(storage, path, audio_stream, repair, measured)
    return repair, measured


def _beyond(samples: Samples, limit: float) -> int:
    return int(np.count_nonzero(np.abs(samples) > limit))


def _total(samples: Samples) -> float:
    with np.errstate(over="ignore", invalid="ignore"):
        return float(samples.sum())
