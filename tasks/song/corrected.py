"""Corrections of people, merged over what the steps computed.

No step runs for it. What rests on a corrected value is made again where that takes no model, and
is null otherwise: a prompt is put together anew, its embedding and its rewording are not. What was
measured beside it (beats, chords) stays: it is no less true than before.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from tasks.dataset.corrections import DROP, SAME_START_SECONDS, Correction, Corrections
from tasks.dataset.failures import Failure
from tasks.song import artist_names
from tasks.song.dataset import Record
from tasks.text import counted

Prompts = Callable[[str, Record], Mapping[str, Sequence[Any]] | None]
"""From a track and its corrected record to ``prompt`` and ``phrases`` of its segments."""

IN_PROMPTS = frozenset({"tempo", "key", "section_type"})
"""Columns that prompts put into words."""

PROMPTS = ("prompt", "prompt_sources", "prompt_embedding", "prompt_enhanced")
"""A prompt, and what was made of it."""

OF_LYRICS = (
    *("lyrics_lines", "lyrics_words", "lyrics_aligned_by", "lyrics_translation"),
    *("lyrics_sections", "phonemes"),
)
"""What was made of the lyrics that were there."""

AFTERWARDS = {
    "tempo": {
        "tempo_confidence": "null",
        "prompt": "made again",
        "prompt_embedding": "null if the prompt is another",
        "prompt_enhanced": "null if the prompt is another",
        "beats, downbeats, time_signature": "as computed",
    },
    "key": {
        "key_confidence": "null",
        "prompt": "made again",
        "prompt_embedding": "null if the prompt is another",
        "prompt_enhanced": "null if the prompt is another",
        "chords": "as computed",
    },
    "section_type": {
        "prompt": "made again",
        "prompt_embedding": "null if the prompt is another",
        "prompt_enhanced": "null if the prompt is another",
        "start_time, end_time, has_vocals": "as computed",
    },
    "lyrics": {
        "lyrics_lines, segment_lyrics": "with the old times if there are as many lines, else null",
        "lyrics_words, lyrics_aligned_by, lyrics_translation, lyrics_sections, phonemes": "null",
        "lyrics_language": "null without lyrics, else as computed",
        "transcript, vocal_activity, is_instrumental": "as computed",
    },
    "lyrics_language": {"phonemes": "null"},
    "artist": {
        "group, split": "made again",
        ", ".join(PROMPTS): "null if they name the artist",
    },
}
"""What becomes of the columns that go along with a corrected one; the manifest says it."""


class Merge:
    """Merges corrections over the records of a dataset, and counts what it did.

    Parameters
    ----------
    corrections
        To be merged.
    prompts
        Makes the prompts of a track again; without it, or where it returns None, those that
        rest on a corrected value are null.

    Attributes
    ----------
    dropped
        Track -> its file, of those that are left out.
    """

    def __init__(self, corrections: Corrections, prompts: Prompts | None = None) -> None:
        self._corrections = corrections
        self._prompts = prompts
        self._values: Counter[str] = Counter()
        self._met: set[str] = set()
        self._moved: list[Correction] = []
        self.dropped: dict[str, str] = {}

    def __call__(self, record: Record) -> Record | None:
        """Return the record of a track with its corrections; None if it is dropped."""
        track_id = record["track_id"]
        corrections = self._corrections.by_track.get(track_id)
        if corrections is None:
            return record
        self._met.add(track_id)
        if any(each.column == DROP for each in corrections):
            self.dropped[track_id] = record["file_path"]
            return None
        applied = {each.column for each in corrections if self._apply(record, each)}
        if applied & IN_PROMPTS:
            self._renew_prompts(record)
        if "artist" in applied:
            _forget_naming_prompts(record)
        return record

    def seen_by(self, failures: Iterable[Failure]) -> list[Failure]:
        """Return rows of failures, of which those of dropped tracks are not in the dataset."""
        return [
            each | {"in_dataset": False} if each["track_id"] in self.dropped else each
            for each in failures
        ]

    def summary(self) -> Record:
        """Return what the manifest says of it.

        Returns
        -------
        dict
            ``values``: how many were corrected, by column; ``afterwards``: see :data:`AFTERWARDS`;
            ``dropped``: the tracks that are left out; ``unused``: corrections of tracks or
            segments that the dataset does not have; ``left_out``: lines that are no corrections.
        """
        unused = [
            each
            for track_id, found in sorted(self._corrections.by_track.items())
            if track_id not in self._met
            for each in found
        ]
        return {
            "values": dict(sorted(self._values.items())),
            "afterwards": {each: AFTERWARDS[each] for each in AFTERWARDS if self._values[each]},
            "dropped": [
                {"track_id": track_id, "file_path": path} for track_id, path in self.dropped.items()
            ],
            "unused": [
                {"track_id": each.track_id, "column": each.column, "segment_idx": each.segment_idx}
                for each in (*unused, *self._moved)
            ],
            "left_out": list(self._corrections.left_out),
        }

    def _apply(self, record: Record, correction: Correction) -> bool:
        """Put one into a record; False if the record has no such segment any more."""
        home = record
        if correction.segment_idx is not None:
            found = _segment(record, correction)
            if found is None:
                self._moved.append(correction)
                return False
            home = found
        for column in _SET[correction.column](home, correction.value):
            if column not in home["corrected"]:
                home["corrected"].append(column)
        self._values[correction.column] += 1
        return True

    def _renew_prompts(self, record: Record) -> None:
        segments = record["segments"]
        if all(segment["prompt"] is None for segment in segments):
            return
        made = self._prompts and self._prompts(record["track_id"], record)
        for at, segment in enumerate(segments):
            before = segment["prompt"]
            segment["prompt"] = made["prompt"][at] if made else None
            segment["prompt_sources"] = made["phrases"][at] if made else None
            if segment["prompt"] != before:
                segment["prompt_embedding"] = segment["prompt_enhanced"] = None


def artists(
    stated: Iterable[tuple[str, str | None]], corrections: Corrections
) -> dict[str, str | None]:
    """Return the artists of the tracks that are not left out, in their order.

    Parameters
    ----------
    stated
        Each track, and its artist before it was corrected.
    corrections
        What people corrected.
    """
    found = {}
    for track_id, artist in stated:
        said = {each.column: each.value for each in corrections.by_track.get(track_id, ())}
        if DROP not in said:
            found[track_id] = said.get("artist", artist)
    return found


def say(summary: Mapping[str, Any]) -> list[str]:
    """Return what became of corrections, in lines for people; none if there are none."""
    lines = []
    if values := summary.get("values"):
        named = ", ".join(f"{column} {count:,}" for column, count in values.items())
        lines.append(f"Corrected by people: {named}")
    if dropped := summary.get("dropped"):
        are = "is" if len(dropped) == 1 else "are"
        lines.append(f"{counted(len(dropped), 'track')} {are} left out, as corrections say")
    if unused := summary.get("unused"):
        lines.append(
            f"{counted(len(unused), 'correction')} kept without use: the dataset has no such track "
            "or segment"
        )
    return [*lines, *summary.get("left_out", ())]


def added(summaries: Sequence[Mapping[str, Any]]) -> Record:
    """Return the sum of what several manifests say of corrections."""
    values: Counter[str] = Counter()
    for each in summaries:
        values.update(each.get("values", {}))
    lists = ("dropped", "unused", "left_out")
    return {
        "values": dict(sorted(values.items())),
        "afterwards": {each: AFTERWARDS[each] for each in AFTERWARDS if values[each]},
        **{name: [row for each in summaries for row in each.get(name, ())] for name in lists},
    }


def _segment(record: Record, correction: Correction) -> Record | None:
    """Return the segment of a correction, if it still begins where it did."""
    at, start = correction.segment_idx, correction.start_time
    assert at is not None
    assert start is not None
    segments: Sequence[Record] = record["segments"]
    if not 0 <= at < len(segments):
        return None
    is_same = abs(segments[at]["start_time"] - start) <= SAME_START_SECONDS
    return segments[at] if is_same else None


def _set_tempo(record: Record, tempo: float | None) -> Sequence[str]:
    record.update(tempo=tempo, tempo_confidence=None)
    return ("tempo",)


def _set_key(record: Record, key: str | None) -> Sequence[str]:
    tonic, mode = key.split(" ") if key else (None, None)
    record.update(dominant_key=tonic, mode=mode, key_confidence=None)
    return "dominant_key", "mode"


def _set_section_type(segment: Record, label: str | None) -> Sequence[str]:
    segment["section_type"] = label
    return ("section_type",)


def _set_lyrics(record: Record, lyrics: str | None) -> Sequence[str]:
    texts = [line for line in (lyrics or "").splitlines() if line]
    before = record["lyrics_lines"] or []
    record.update(dict.fromkeys(OF_LYRICS), lyrics=lyrics)
    if lyrics is None:
        record.update(lyrics_language=None, lyrics_source=None)
    else:
        record["lyrics_source"] = "correction"
    if texts and len(texts) == len(before):
        lines = [line | {"text": text} for line, text in zip(before, texts, strict=True)]
        record["lyrics_lines"] = lines
    for segment in record["segments"]:
        segment["segment_lyrics"] = _sung(record["lyrics_lines"], segment)
    return ("lyrics",)


def _sung(lines: Sequence[Record] | None, segment: Record) -> str | None:
    """Return the lines that begin in a segment; None if no line has a time."""
    timed = [line for line in lines or () if line["start_time"] is not None]
    start, end = segment["start_time"], segment["end_time"]
    inside = [line["text"] for line in timed if start <= line["start_time"] < end]
    return "\n".join(inside) if timed else None


def _set_language(record: Record, language: str | None) -> Sequence[str]:
    record.update(lyrics_language=language, phonemes=None)
    return ("lyrics_language",)


def _set_artist(record: Record, artist: str | None) -> Sequence[str]:
    record["artist"] = artist
    return ("artist",)


def _forget_naming_prompts(record: Record) -> None:
    """Leave out the prompts that name the artist, whom no prompt may name."""
    artist = record["artist"] or ""
    for segment in record["segments"]:
        if artist_names.names(artist, segment["prompt"] or ""):
            segment.update(dict.fromkeys(PROMPTS))
        elif artist_names.names(artist, segment["prompt_enhanced"] or ""):
            segment["prompt_enhanced"] = None


_SET: Mapping[str, Callable[[Record, Any], Sequence[str]]] = {
    "tempo": _set_tempo,
    "key": _set_key,
    "section_type": _set_section_type,
    "lyrics": _set_lyrics,
    "lyrics_language": _set_language,
    "artist": _set_artist,
}
"""Puts a value into a record or segment, and returns the dataset's columns that it corrects."""
