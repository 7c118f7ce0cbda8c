"""Which files of a source may be deleted, since every byte of audio in them is prepared.

A file goes if its digest, taken now, is that of a stem in the table whose Ogg Opus file is there
and can be decoded to its end. An archive goes if that is so for each file in it. Everything else
stays: mixtures, sessions, MIDI, text, what no decoder reads, whatever is reached through a link,
and all of a song of which one stem was left out or remarked on.
"""

import os
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from tempfile import TemporaryDirectory

from blocks.storage import Storage
from tasks import audio
from tasks.corpora.archives import unzip
from tasks.corpora.archives.zip_entry import ARCHIVE_SUFFIXES
from tasks.corpora.discover import Discovery
from tasks.corpora.layout import folder_of, is_audio
from tasks.corpora.prepared import is_of_use
from tasks.corpora.song import Song
from tasks.dataset.digests import without_own
from tasks.step import Row
from tasks.text import printable
from tasks.track import TrackError

HARMLESS = frozenset({"shorter-stem", "other-sample-rate", "name-not-utf8", "duplicate-stem"})
"""Remarks on stems of which every byte is prepared all the same."""

A_MIXTURE = "it is a mixture"
"""Why a file stays that is not needed to make its song again."""

TAGS_BYTES = 2**16
"""What programs append to a file without telling its header."""

LENGTH_TOLERANCE_SECONDS = 0.1
OPUS_RATE_HZ = 48_000

ONE_STREAM = (".wav", ".aif", ".aiff", ".aifc", ".flac", ".mp3", ".w64", ".caf", ".au")
"""Names of files that hold one stream of audio; of others a second one is looked for."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to become of a file of the source.

    Attributes
    ----------
    path
        The file.
    size_bytes, version
        Its size, and what changes when its content does.
    stays
        Why it stays; empty if it is to be deleted.
    song
        ``track_id`` of its song, if it is of one.
    """

    path: str
    size_bytes: int
    version: str
    stays: str
    song: str = ""


def verdicts(
    source: Storage,
    found: Discovery,
    prepared: Storage,
    stems: Sequence[Row],
    failures: Sequence[Row],
    mixtures: Container[tuple[str, str]] = (),
    *,
    own: Sequence[Storage] = (),
    limits: unzip.Limits = unzip.LIMITS,
) -> list[Verdict]:
    """Return what is to become of every file of a source, in the order of their paths.

    Parameters
    ----------
    source, found
        Where the songs lie, and what was found there.
    prepared, stems
        The prepared folder, and the rows of its table.
    failures
        Remarks of the run that wrote it.
    mixtures
        Song and path of each file that was left out as a mixture, the path within an archive.
    own
        Places that this program writes to: what lies there is no source.
    limits
        What archives may unpack to.
    """
    judge = _Judge(
        source,
        prepared,
        stems={row["stem_id"]: row for row in stems if is_of_use(row)},
        remarks={
            row["track_id"]: row["reason"]
            for row in failures
            if row["track_id"] and row["reason"] not in HARMLESS
        },
        mixtures=mixtures,
        limits=limits,
    )
    songs = {path: song for song in (*found.songs, *found.copies) for path in song.files}
    beside = {folder_of(each.path) for each in found.failures}
    bad = {each.path: each.reason for each in found.failures}
    versions = _versions(source)
    paths = sorted(without_own(list(versions), source, own), key=printable)
    stays: dict[str, str] = {}
    for path in paths:
        song = songs.get(path)
        reason = next((bad[each] for each in song.files if each in bad), "") if song else ""
        if reason:
            stays[path] = f"its song has a remark ({reason})"
        elif song and not song.archive and folder_of(path) in beside:
            stays[path] = "a file beside it could not be used"
        else:
            stays[path] = judge.of(path, song)
    # A song goes whole, but for mixtures of it, or stays whole.
    kept = {song.path for path, song in songs.items() if stays.get(path) not in ("", A_MIXTURE)}
    for path, song in songs.items():
        if stays.get(path) == "" and song.path in kept:
            stays[path] = "another file of its song stays"
    return [
        Verdict(path, *versions[path], stays[path], songs[path].track_id if path in songs else "")
        for path in paths
    ]


def delete(source: Storage, chosen: Sequence[Verdict]) -> list[tuple[Verdict, str]]:
    """Delete files that may be deleted, and return those that could not be, with the cause.

    Parameters
    ----------
    source
        Where they lie.
    chosen
        What :func:`verdicts` has said; a file that has changed since stays.
    """
    versions = _versions(source)
    failed = []
    for verdict in chosen:
        if verdict.stays:
            continue
        if versions.get(verdict.path) != (verdict.size_bytes, verdict.version):
            failed.append((verdict, "it has changed meanwhile"))
            continue
        try:
            source.delete(verdict.path)
        except OSError as error:
            failed.append((verdict, error.strerror or str(error)))
    return failed


def _versions(source: Storage) -> dict[str, tuple[int, str]]:
    """Return size and version of every file, links to nowhere among them."""
    if not source.is_local:
        return source.versions()
    versions = {}
    for path in source.files():
        try:
            status = os.stat(os.path.join(source.address, path))
            versions[path] = status.st_size, str(status.st_mtime_ns)
        except OSError:
            versions[path] = 0, ""
    return versions


@dataclass(frozen=True)
class _Judge:
    source: Storage
    prepared: Storage
    stems: Mapping[str, Row]
    remarks: Mapping[str, str]
    mixtures: Container[tuple[str, str]]
    limits: unzip.Limits
    whole: dict[str, bool] = field(default_factory=dict)

    def of(self, path: str, song: Song | None) -> str:
        """Return why a file stays, or nothing."""
        if song is None:
            return "it was not prepared" if _promises_stems(path) else "it is no stem"
        if remark := self.remarks.get(song.track_id):
            return f"its song has a remark ({remark})"
        if self._is_linked(path):
            return "it is reached through a link"
        try:
            contents = self._in_archive(path) if song.archive else self._alone(path)
            for name, digest in contents:
                if digest not in self.stems:
                    is_mixture = (song.track_id, printable(name)) in self.mixtures
                    if is_mixture and not song.archive:
                        return A_MIXTURE
                    return f"{_shown(name)} is {'a mixture' if is_mixture else 'not prepared'}"
                if not self._is_whole(digest):
                    return f"what was prepared of {_shown(name)} is damaged"
        except TrackError as error:
            return error.message.rstrip(".")
        except OSError as error:
            return f"it cannot be read: {error.strerror or error}"
        return ""

    def _in_archive(self, path: str) -> Iterator[tuple[str, str]]:
        """Yield name and digest of each file in an archive."""
        with self.source.reading(path) as archive, TemporaryDirectory() as folder:
            for number, found in enumerate(unzip.digests(archive, self.limits)):
                name = found.member.path
                if found.digest in self.stems:
                    _check_end(found.head, found.member.size_bytes)
                    if _may_hold_several(name):
                        unzip.extract(archive, found.member, Path(folder, str(number)), self.limits)
                        _check_alone(Storage(folder), str(number))
                yield name, found.digest

    def _alone(self, path: str) -> Iterator[tuple[str, str]]:
        """Yield path and digest of a file."""
        hashed, head, size_bytes = blake2b(digest_size=16), b"", 0
        for piece in self.source.pieces(path):
            hashed.update(piece)
            head = head or piece[: audio.SNIFF_BYTES]
            size_bytes += len(piece)
        if hashed.hexdigest() in self.stems:
            _check_end(head, size_bytes)
            if _may_hold_several(path):
                _check_alone(self.source, path)
        yield path, hashed.hexdigest()

    def _is_linked(self, path: str) -> bool:
        """Return whether a link lies between the source and a file, or is the file itself."""
        if not self.source.is_local:
            return False
        root = os.path.realpath(self.source.address)
        return os.path.realpath(os.path.join(root, path)) != os.path.join(root, path)

    def _is_whole(self, stem_id: str) -> bool:
        """Return whether the prepared file of a stem can be decoded to its end."""
        if stem_id not in self.whole:
            row = self.stems[stem_id]
            try:
                blocks = audio.stream(self.prepared, row["path"], rate_hz=OPUS_RATE_HZ, channels=1)
                seconds = sum(block.shape[-1] for block in blocks) / OPUS_RATE_HZ
            except (TrackError, OSError):
                seconds = -1.0
            difference = abs(seconds - row["duration_seconds"])
            self.whole[stem_id] = difference <= LENGTH_TOLERANCE_SECONDS
        return self.whole[stem_id]


def _may_hold_several(name: str) -> bool:
    return not name.lower().endswith(ONE_STREAM)


def _check_end(head: bytes, size_bytes: int) -> None:
    """Make sure that a file is not longer than it says, as two that were joined are.

    Raises
    ------
    TrackError
        ``"bytes-behind"``.
    """
    if head[:4] not in (b"RIFF", b"RIFX", b"FORM"):
        return
    said = int.from_bytes(head[4:8], "little" if head[:4] == b"RIFF" else "big")
    # Recorders that cannot go back leave zeros or ones.
    if 0 < said < 0xFFFFFF00 and size_bytes > said + 8 + TAGS_BYTES:
        raise TrackError("bytes-behind", "it is longer than the audio that it says to hold")


def _check_alone(storage: Storage, path: str) -> None:
    """Make sure that a file has one stream of audio.

    Raises
    ------
    TrackError
        ``"several-streams"``.
    """
    try:
        audio.probe(storage, path, audio_stream=1)
    except TrackError:
        return
    raise TrackError("several-streams", "it holds more streams of audio than the one prepared")


def _promises_stems(path: str) -> bool:
    return is_audio(path) or path.lower().endswith(tuple(ARCHIVE_SUFFIXES))


def _shown(path: str) -> str:
    return printable(path.rpartition("/")[2])
