"""The audio of examples: where it lies, and as what it is exported."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal, cast

from blocks.storage import Storage
from tasks import audio
from tasks.dataset.audio_places import AudioPlaces
from tasks.dataset.selection import KINDS
from tasks.export.examples import Example
from tasks.text import printable
from tasks.track import Samples, TrackError

Audio = Literal["link", "copy", "flac", "opus", "none"]
"""As what audio is exported: a link to the file, its bytes, re-encoded, or not at all."""

BYTES_PER_SECOND = {"link": 0.0, "copy": 60_000.0, "flac": 100_000.0, "opus": 20_000.0, "none": 0.0}
"""By which shards are told how large they become: what stereo music takes."""

ROW_BYTES = 4_096
"""What a row takes beside its audio, for the same."""

_COLUMNS = {kind.name: kind.audio for kind in KINDS.values()}


@dataclass(frozen=True)
class Sound:
    """Audio of an example as it is exported.

    Attributes
    ----------
    file
        Where it lies until the next one is asked for.
    suffix
        Of its name, without the dot.
    seconds
        Its length.
    samples
        Of the file, per channel.
    sample_rate_hz, channels
        Of the signal.
    is_own
        Whether the file was made for this: it may be moved.
    """

    file: Path
    suffix: str
    seconds: float
    samples: int
    sample_rate_hz: int
    channels: int
    is_own: bool

    def place(self, output: Storage, path: str, how: Audio) -> None:
        """Put it where it belongs, whole or not at all."""
        with output.writing(path) as target:
            if how == "link":
                os.symlink(self.file, target)
            elif self.is_own:
                shutil.move(self.file, target)
            else:
                shutil.copyfile(self.file, target)


class Sounds:
    """Makes the audio of examples, one after the other.

    Examples that are parts of one file and follow each other cost one decode of it.

    Parameters
    ----------
    places
        Where the audio of the dataset lies.
    how
        As what it is exported.
    vocals
        Whether the separated vocals are, and not the mix.
    """

    def __init__(self, places: AudioPlaces, how: Audio, *, vocals: bool) -> None:
        self._places = places
        self._how = how
        self._vocals = vocals
        self._part: _Parts | None = None

    @contextmanager
    def of(self, example: Example) -> Iterator[Sound]:
        """Yield the audio of an example, for the block.

        Raises
        ------
        TrackError
            If it is not there, or cannot be decoded.
        """
        storage, path = self._found(example)
        with storage.reading(path, keep=True) as local:
            info = audio.probe(storage, path)
            if self._how in ("link", "copy"):
                suffix = Path(path).suffix.lstrip(".").lower() or "audio"
                seconds = example.seconds or info.duration_seconds
                rate_hz = info.sample_rate_hz
                # A dataset knows of the length of whole files what no header states.
                stated = info.states_duration or example.is_part
                samples = round((info.duration_seconds if stated else seconds) * rate_hz)
                if samples <= example.start_seconds * rate_hz:
                    raise _too_short(example, path)
                yield Sound(local, suffix, seconds, samples, rate_hz, info.channels, False)
                return
            channels = cast("Literal[1, 2]", min(2, info.channels))
            rate_hz = audio.OPUS_RATE_HZ if self._how == "opus" else info.sample_rate_hz
            first = round(example.start_seconds * rate_hz)
            end = example.end_seconds
            last = None if end is None else round(end * rate_hz)
            blocks = self._cut(storage, path, rate_hz, channels, first, last)
            with TemporaryDirectory(prefix="songmill-") as folder:
                place, name = Storage(folder), f"sound.{self._how}"
                counted = _Counting(blocks)
                try:
                    if self._how == "opus":
                        audio.write_opus(place, name, iter(counted))
                    else:
                        audio.write_flac(place, name, iter(counted), rate_hz)
                except ValueError as error:
                    raise _too_short(example, path) from error
                samples = counted.samples
                file = Path(folder, name)
                yield Sound(file, self._how, samples / rate_hz, samples, rate_hz, channels, True)

    def _found(self, example: Example) -> tuple[Storage, str]:
        """Return where the audio of an example lies."""
        if self._vocals:
            name = example.of_track.get("vocals_path")
            if not name:
                raise TrackError("no-vocals", f"{printable(example.id)} has no separated vocals.")
            candidates = self._places.vocals(str(name))
        else:
            column = _COLUMNS[example.kind]
            assert column is not None, "datasets without audio are refused before"
            name = example.of_track[column]
            candidates = self._places.mixes(str(name))
        for storage, path in candidates:
            if storage.exists(path):
                return storage, path
        raise TrackError(
            "missing",
            f"{printable(name)} is not found: run this where the dataset was built, or say by "
            "--audio_dir where the audio lies now.",
        )

    def _cut(
        self,
        storage: Storage,
        path: str,
        rate_hz: int,
        channels: Literal[1, 2],
        first: int,
        last: int | None,
    ) -> Iterator[Samples]:
        """Yield the samples of a part of a file, going on where the part before it ended."""
        source = (storage, path, rate_hz, channels)
        if self._part is None or self._part.source != source or self._part.at > first:
            stream = audio.stream(storage, path, rate_hz=rate_hz, channels=channels)
            self._part = _Parts(source, stream)
        return self._part.take(first, last)


def _too_short(example: Example, path: str) -> TrackError:
    return TrackError(
        "too-short",
        f"{printable(path)} ends before {example.start_seconds:.3f} s, where "
        f"{printable(example.id)} begins.",
    )


class _Parts:
    """Parts of a signal that is decoded once, each behind the one before."""

    def __init__(self, source: tuple[Storage, str, int, int], blocks: Iterator[Samples]) -> None:
        self.source = source
        self.at = 0
        self._blocks = blocks
        self._rest: Samples | None = None

    def take(self, first: int, last: int | None) -> Iterator[Samples]:
        """Yield the samples from `first` to `last`, or to the end."""
        while last is None or self.at < last:
            block = self._rest if self._rest is not None else next(self._blocks, None)
            self._rest = None
            if block is None:
                return
            skipped = min(max(0, first - self.at), block.shape[1])
            end = block.shape[1] if last is None else min(block.shape[1], last - self.at)
            if end < block.shape[1]:
                self._rest = block[:, end:]
            self.at += end
            if skipped < end:
                yield block[:, skipped:end]


class _Counting:
    """Passes blocks on, and counts their samples."""

    def __init__(self, blocks: Iterator[Samples]) -> None:
        self._blocks = blocks
        self.samples = 0

    def __iter__(self) -> Iterator[Samples]:
        for block in self._blocks:
            self.samples += block.shape[1]
            yield block
