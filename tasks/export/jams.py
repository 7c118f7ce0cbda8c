"""JAMS 0.3: one file of annotations per row, as music information retrieval has them.

https://jams.readthedocs.io describes the files, jams/schemata the values of each namespace. They
are plain JSON, and are written as such: the library takes seconds to import.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import orjson

from tasks.export.described import Description, Span, describe
from tasks.export.examples import Example
from tasks.export.target import Finished, Shard, Target

JAMS_VERSION = "0.3.5"

Annotation = dict[str, Any]


def write(shard: Shard) -> None:
    """Write the file of each row of a shard, and its audio where that is exported."""
    for example, sound in shard.examples():
        audio_path = None
        if sound is not None:
            audio_path = f"audio/{shard.split}/{example.key}.{sound.suffix}"
            shard.put(sound, audio_path)
        said = describe(example)
        seconds = example.seconds if sound is None else sound.seconds
        if seconds is not None:
            seconds = round(seconds, 6)
        content = {
            "file_metadata": _file_metadata(example, said, seconds),
            "annotations": list(_Annotations(example, said, seconds, shard.declared)),
            "sandbox": {
                "songmill": {
                    "id": example.id,
                    "split": shard.split,
                    "audio_path": audio_path,
                    "caption": said.caption,
                    "language": said.language,
                    "time_signature": said.time_signature,
                    "is_instrumental": said.is_instrumental,
                    "licence": said.licence,
                }
            },
        }
        shard.put_bytes(orjson.dumps(content), f"jams/{shard.split}/{example.key}.jams")


def usage(finished: Finished) -> str:
    """Say how it is loaded."""
    split = next(iter(finished.splits))
    return f"""```python
from pathlib import Path

import jams

for path in sorted(Path("jams/{split}").glob("*.jams")):
    song = jams.load(str(path))
    print(song.file_metadata.title, song.file_metadata.duration)
    for annotation in song.annotations:
        print(annotation.namespace, annotation.annotation_metadata.annotation_tools)
        print(annotation.to_dataframe().head())
```

Times are seconds from the beginning of the row: a segment begins at 0. What JAMS has no place for
is in `sandbox["songmill"]`, with the path of the audio from this folder where there is any. The
confidence of a tempo that people stated is 1.
"""


def _file_metadata(example: Example, said: Description, seconds: float | None) -> dict[str, Any]:
    song = example.of_track
    values = {
        "title": said.title,
        "artist": said.artist,
        "release": said.album,
        "duration": seconds,
        "jams_version": JAMS_VERSION,
    }
    identifiers = {name: song[name] for name in ("track_id", "source_id") if song.get(name)}
    # The schema knows no null here.
    return {name: value for name, value in values.items() if value is not None} | {
        "identifiers": {"songmill": example.id, **identifiers}
    }


class _Annotations:
    """All annotations of a row, those with a value.

    Parameters
    ----------
    example, said
        The row, and what is known of it.
    seconds
        Its length; None if nobody knows.
    declared
        What the dataset's manifest says of its columns.
    """

    def __init__(
        self,
        example: Example,
        said: Description,
        seconds: float | None,
        declared: Mapping[str, Any],
    ) -> None:
        self._example = example
        self._said = said
        self._seconds = seconds
        self._declared = declared

    def __iter__(self) -> Iterator[Annotation]:
        said, song = self._said, self._example.of_track
        if said.beats:
            yield self._made("beat", "tracks.beats", list(self._beats()))
        if said.tempo_bpm is not None:
            # The schema wants a number.
            confidence = song.get("tempo_confidence")
            sure = 1.0 if confidence is None else confidence
            yield self._made("tempo", "tracks.tempo", [self._whole(said.tempo_bpm, sure)])
        if said.key:
            key = said.key.replace(" ", ":")
            observation = self._whole(key, song.get("key_confidence"))
            yield self._made("key_mode", "tracks.dominant_key", [observation])
        if said.chords:
            yield self._made("chord", "tracks.chords", _spans(said.chords))
        if said.sections:
            yield self._made("segment_open", "segments.section_type", _spans(said.sections))
        yield from self._contours()
        yield from self._lyrics()
        yield from self._tags()

    def _beats(self) -> Iterator[dict[str, Any]]:
        """Yield beats with their number in the bar, where it is known which begins one."""
        downbeats, position = set(self._said.downbeats), None
        for time in self._said.beats:
            if time in downbeats:
                position = 1
            elif position is not None:
                position += 1
            yield _observation(time, 0.0, position)

    def _contours(self) -> Iterator[Annotation]:
        """Yield F0 as one annotation: of each segment a contour, its index that of the segment."""
        example = self._example
        times: list[float] = []
        values: list[dict[str, Any]] = []
        for segment in [example.row] if example.track is not None else example.segments:
            contour = segment.get("f0_contour")
            if not contour:
                continue
            start, end = segment["start_time"], segment["end_time"]
            said = self._declared.get("segments.f0_contour", {}).get("config", {})
            hop_seconds = said.get("hop_seconds") or (end - start) / len(contour)
            # Frames lie on the grid of the whole song.
            first = round(start / hop_seconds)
            for number, f0_hz in enumerate(contour, first):
                # Of a segment that begins behind its nearest frame, that frame is at 0.
                times.append(max(0.0, round(number * hop_seconds - example.start_seconds, 6)))
                frequency_hz = 0.0 if f0_hz is None else f0_hz
                index, voiced = segment["segment_idx"], f0_hz is not None
                values.append({"index": index, "frequency": frequency_hz, "voiced": voiced})
        if times:
            data = {
                "time": times,
                "duration": [0.0] * len(times),
                "value": values,
                "confidence": [None] * len(times),
            }
            yield self._made("pitch_contour", "segments.f0_contour", data)

    def _lyrics(self) -> Iterator[Annotation]:
        """Yield lyrics line by line and word by word, or as a whole where they have no times."""
        said = self._said
        units = (("line", "lyrics_lines", said.lines), ("word", "lyrics_words", said.words))
        for unit, column, spans in units:
            if spans:
                yield self._made("lyrics", f"tracks.{column}", _spans(spans), unit=unit)
        if said.lyrics and not said.lines and not said.words:
            yield self._made("lyrics", "tracks.lyrics", [self._whole(said.lyrics)], unit="whole")

    def _tags(self) -> Iterator[Annotation]:
        """Yield genres, moods and instruments, stated ones and those that were heard apart."""
        said, song = self._said, self._example.of_track
        tags_heard = (song["tags"] or ()) if self._example.kind == "songs" else ()
        scores = {(each["kind"], each["tag"].casefold()): each["score"] for each in tags_heard}
        kinds = {
            "genre": ("genre", said.genres),
            "mood": ("mood", said.moods),
            "instrument": ("instruments", said.instruments),
        }
        for kind, (column, tags) in kinds.items():
            names = {tag: (kind, tag.casefold()) for tag in tags}
            stated = [self._whole(tag) for tag in tags if names[tag] not in scores]
            heard = [self._whole(tag, scores[names[tag]]) for tag in tags if names[tag] in scores]
            if stated:
                yield self._made("tag_open", f"tracks.{column}", stated, kind=kind)
            if heard:
                yield self._made("tag_open", "tracks.tags", heard, kind=kind)

    def _whole(self, value: Any, confidence: float | None = None) -> dict[str, Any]:
        return _observation(0.0, self._seconds or 0.0, value, confidence)

    def _made(self, namespace: str, column: str, data: Any, **sandbox: str) -> Annotation:
        """Return an annotation, with the step and the models that a column is from."""
        said = self._declared.get(column, {})
        models = [f"{model['name']} {model['revision']}" for model in said.get("models") or ()]
        tools = [f"Songmill, step {said['step']}"] if said.get("step") else ["Songmill"]
        metadata = {"data_source": "Songmill", "annotation_tools": "; ".join(tools + models)}
        if column.partition(".")[2] in (self._example.of_track.get("corrected") or ()):
            metadata["validation"] = "corrected by people"
        return {
            "namespace": namespace,
            "annotation_metadata": metadata,
            "time": 0.0,
            "duration": self._seconds,
            "data": data,
            "sandbox": sandbox,
        }


def _spans(spans: Iterable[Span]) -> list[dict[str, Any]]:
    return [
        # Times are to the millisecond, and so are their differences.
        _observation(span.start_seconds, round(span.end_seconds - span.start_seconds, 3), span.text)
        for span in spans
    ]


def _observation(
    seconds: float, duration_seconds: float, value: Any, confidence: float | None = None
) -> dict[str, Any]:
    return {
        "time": seconds,
        "duration": duration_seconds,
        "value": value,
        "confidence": confidence,
    }


TARGET = Target(
    name="jams",
    summary="a JAMS file of annotations per row: beats, chords, sections, pitch, lyrics, tags",
    version=1,
    write=write,
    audio=("none", "copy", "flac", "opus", "link"),
    unsuited={"stems": "they hold codes of EnCodec, and no annotations."},
    usage=usage,
)
