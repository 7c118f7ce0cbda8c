"""A dataset of concepts on disk: segments of audio with their codes, by concept.

``data/train/<concept>/{audio,encoded}`` holds them, ``data/val`` those of the validation, and
``metadata_train.json``, ``metadata_val.json`` and ``metadata_concepts.json`` say what they are.
"""

import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from blocks.storage import Storage
from models.inversion.tokens import ConceptError, check_concept
from tasks.dataset import placing
from tasks.dataset.manifest import (
    MANIFEST,
    Manifest,
    declare_unfinished,
    read_manifest,
    write_manifest,
)

FORMAT_VERSION = 1
"""Raised when the layout of the files changes."""

Split = Literal["train", "validation"]
SPLITS: tuple[Split, ...] = ("train", "validation")

FOLDERS: Mapping[Split, str] = {"train": "train", "validation": "val"}
"""What a split is called in the names of folders and tables."""

CONCEPTS = "metadata_concepts.json"
DATA = "data"

Codes = npt.NDArray[np.uint16]


class ConceptsError(ValueError):
    """A dataset of concepts that cannot be read; the message says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment of a recording.

    Attributes
    ----------
    concept
        The concept that it is an example of.
    track_id
        Identity of the recording: segments of one are all of one split, unless the concept has
        no other.
    codes_path, audio_path
        Below the dataset's folder: codes as ``.npy``, and audio, mono at the codec's rate.
    start_seconds, duration_seconds
        Where in the recording it is.
    description
        What is known of the recording, as a prompt has it: ``120 BPM, A minor``; None if
        nothing is.
    """

    concept: str
    track_id: str
    codes_path: str
    audio_path: str
    start_seconds: float
    duration_seconds: float
    description: str | None = None


@dataclass(frozen=True)
class Concepts:
    """A dataset of concepts.

    Attributes
    ----------
    place
        Its folder.
    fingerprint
        Digest of its content.
    codec
        Of the codes: ``name``, ``revision``, ``sample_rate_hz``, ``frame_rate_hz``,
        ``codebooks`` and ``codebook_size``.
    names
        Of the concepts, in order.
    """

    place: Storage
    fingerprint: str
    codec: Mapping[str, Any]
    names: tuple[str, ...]
    _segments: Mapping[Split, Sequence[Segment]]

    def segments(self, split: Split) -> list[Segment]:
        """Return the segments of a split, by concept, recording and time."""
        return list(self._segments[split])

    def codes(self, segment: Segment) -> Codes:
        """Return the codes of a segment, shape ``(codebooks, frames)``.

        Raises
        ------
        ConceptsError
            If they are gone or damaged.
        """
        try:
            data = self.place.read_bytes(segment.codes_path)
            codes = np.load(io.BytesIO(data), allow_pickle=False)
        except FileNotFoundError as error:
            raise ConceptsError(
                f"{self.place.address}/{segment.codes_path} is missing: run prepare_concepts.py "
                "again."
            ) from error
        except (ValueError, EOFError) as error:
            raise self._damaged(segment) from error
        if codes.dtype != np.uint16 or codes.ndim != 2 or len(codes) != self.codec["codebooks"]:
            raise self._damaged(segment)
        return codes

    def _damaged(self, segment: Segment) -> ConceptsError:
        return ConceptsError(
            f"{self.place.address}/{segment.codes_path} holds no codes of "
            f"{self.codec['name']}: delete it and run prepare_concepts.py again."
        )


@dataclass(frozen=True, slots=True)
class NewSegment:
    """A segment that is to be written.

    Attributes
    ----------
    concept, split, track_id, start_seconds, duration_seconds
        As :class:`Segment` has them.
    name
        What its files are called, without suffix: its own among those of the concept.
    codes
        Shape ``(codebooks, frames)``.
    audio
        A stored WAV file: where it lies, and its path there.
    known
        What is known of the recording: ``tempo_bpm``, ``key``, ``tags``, ``description``.
    """

    concept: str
    split: Split
    track_id: str
    start_seconds: float
    duration_seconds: float
    name: str
    codes: Codes
    audio: tuple[Storage, str]
    known: Mapping[str, Any] = field(default_factory=dict)


def read(place: str) -> Concepts:
    """Read what a dataset of concepts holds, but for the codes.

    Parameters
    ----------
    place
        Its folder, or ``s3://bucket/prefix``.

    Raises
    ------
    ConceptsError
        If it is none, or not finished.
    """
    storage = Storage(place)
    manifest = read_manifest(storage)
    if manifest is None:
        unfinished = storage.exists(metadata_name("train"))
        raise ConceptsError(
            f"{storage.address} is a dataset of concepts that is not finished: run "
            "prepare_concepts.py again."
            if unfinished
            else f"{storage.address} holds no dataset of concepts ({MANIFEST} is missing): "
            "prepare_concepts.py makes one."
        )
    if manifest.get("format_version") != FORMAT_VERSION or "codec" not in manifest:
        raise ConceptsError(
            f"{storage.address} is no dataset of concepts of this version: run "
            "prepare_concepts.py again."
        )
    return Concepts(
        place=storage,
        fingerprint=manifest["fingerprint"],
        codec=manifest["codec"],
        names=tuple(_read_json(storage, CONCEPTS)),
        _segments={split: _read_segments(storage, split) for split in SPLITS},
    )


def write(
    place: Storage,
    segments: Iterable[NewSegment],
    concepts: Mapping[str, Mapping[str, Any]],
    manifest: Manifest,
) -> Manifest:
    """Write a dataset of concepts, its manifest last of all, which is returned.

    Files of segments that an earlier run wrote, and that are no more, are removed.

    Parameters
    ----------
    place
        Its folder.
    segments
        By concept, recording and time.
    concepts
        By name, in order: what is to be said of each.
    manifest
        Holds ``fingerprint`` and ``codec``, as :class:`Concepts` has them; ``files``, those of
        the segments, are added to it.
    """
    before = _files_of(place)
    declare_unfinished(place)
    rows: dict[Split, list[dict[str, Any]]] = {split: [] for split in SPLITS}
    for segment in segments:
        rows[segment.split].append(_write_segment(place, segment))
    written = [row[name] for each in rows.values() for row in each for name in _FILES]
    # Only what the tables named: other files in the folder are somebody's.
    for path in before.difference(written):
        place.delete(path)
    for split in SPLITS:
        _write_json(place, metadata_name(split), rows[split])
    _write_json(place, CONCEPTS, concepts)
    whole = {"format_version": FORMAT_VERSION, **manifest, "files": written}
    write_manifest(place, whole)
    return whole


_FILES = ("audio_path", "encoded_path")


def _files_of(place: Storage) -> set[str]:
    """Return the files of the segments that tables which lie there name."""
    files: set[str] = set()
    for split in SPLITS:
        try:
            segments = _read_segments(place, split)
        except ConceptsError:
            continue
        files.update(path for each in segments for path in (each.audio_path, each.codes_path))
    return files


def metadata_name(split: Split) -> str:
    """Return the name of the table of a split: a JSON array of segments."""
    return f"metadata_{FOLDERS[split]}.json"


def _write_segment(place: Storage, segment: NewSegment) -> dict[str, Any]:
    """Write the files of a segment, and return its row of the metadata."""
    folder = f"{DATA}/{FOLDERS[segment.split]}/{segment.concept}"
    audio_path = f"{folder}/audio/{segment.name}.wav"
    encoded_path = f"{folder}/encoded/{segment.name}.npy"
    placing.place(*segment.audio, place, audio_path)
    data = io.BytesIO()
    np.save(data, segment.codes.astype(np.uint16, copy=False), allow_pickle=False)
    place.write_bytes(encoded_path, data.getvalue())
    return {
        "audio_path": audio_path,
        "encoded_path": encoded_path,
        "concept": segment.concept,
        "track_id": segment.track_id,
        "start_seconds": segment.start_seconds,
        "duration_seconds": segment.duration_seconds,
        **segment.known,
    }


def _read_segments(storage: Storage, split: Split) -> list[Segment]:
    try:
        return [
            Segment(
                concept=check_concept(row["concept"]),
                track_id=row["track_id"],
                codes_path=_inside(row["encoded_path"]),
                audio_path=_inside(row["audio_path"]),
                start_seconds=row["start_seconds"],
                duration_seconds=row["duration_seconds"],
                description=row.get("description"),
            )
            for row in _read_json(storage, metadata_name(split))
        ]
    except ConceptError as error:
        raise ConceptsError(f"{storage.address}/{metadata_name(split)}: {error}") from error
    except (KeyError, TypeError, AttributeError) as error:
        raise ConceptsError(
            f"{storage.address}/{metadata_name(split)} is no table of segments: run "
            "prepare_concepts.py again."
        ) from error


def _inside(path: str) -> str:
    """Return a path if it cannot lead out of the dataset: tables may come from anybody.

    Raises
    ------
    TypeError
        If it can.
    """
    if path.startswith("/") or "\\" in path or ".." in path.split("/"):
        raise TypeError(path)
    return path


def _read_json(storage: Storage, name: str) -> Any:
    try:
        return json.loads(storage.read_bytes(name))
    except FileNotFoundError as error:
        raise ConceptsError(
            f"{storage.address}/{name} is missing: run prepare_concepts.py again."
        ) from error
    except ValueError as error:
        raise ConceptsError(
            f"{storage.address}/{name} is damaged ({error}): run prepare_concepts.py again."
        ) from error


def _write_json(storage: Storage, name: str, content: Any) -> None:
    text = json.dumps(content, ensure_ascii=False, indent=1)
    storage.write_bytes(name, f"{text}\n".encode())
