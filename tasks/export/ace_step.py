"""ACE-Step 1.5: audio, and a JSON per split that its dataset builder loads.

Fields are those of ``AudioSample`` and ``DatasetMetadata`` (acestep/training/
dataset_builder_modules/models.py), their values those of acestep/constants.py.
https://github.com/ace-step/ACE-Step-1.5

What is not sure enough is left empty, for a person or its builder to fill in: a wrong label is
learnt. Captions say nothing of tempo, key and metre, as its tutorial asks: these have fields.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

import orjson

from tasks.captions.compose import compose
from tasks.captions.facts import Facts
from tasks.export.described import Description, describe
from tasks.export.examples import Example
from tasks.export.sound import Sound
from tasks.export.target import NO_AUDIO, Finished, Shard, Target

MIN_TEMPO_CONFIDENCE = 0.3
"""Below which tempo and metre are left empty. Chosen: songs with a beat lie above it."""

MIN_KEY_CONFIDENCE = 0.8
"""Below which the key is. Chosen: songs of one key lie above it."""

BPM = range(30, 301)
METRES = frozenset({"2", "3", "4", "6"})
"""Upper numbers of time signatures, which stand for 2/4, 3/4, 4/4 and 6/8."""

_CODES = (
    "ar az bg bn ca cs da de el en es fa fi fr he hi hr ht hu id is it ja ko la lt ms ne nl no pa "
    "pl pt ro ru sa sk sr sv sw ta te th tl tr uk ur vi yue zh"
)
LANGUAGES = frozenset(_CODES.split())
"""Languages that it knows; any other is ``unknown``."""

INSTRUMENTAL = "[Instrumental]"
TAGS = {
    "intro": "Intro",
    "verse": "Verse",
    "chorus": "Chorus",
    "bridge": "Bridge",
    "solo": "Solo",
    "outro": "Outro",
    "inst": "Instrumental",
}
"""What its lyrics call the sections of a dataset."""


def write(shard: Shard) -> None:
    """Write the audio of a shard, and leave its samples for the end."""
    for example, sound in shard.examples():
        assert sound is not None, "the target has no audio none"
        path = f"audio/{shard.split}/{example.key}.{sound.suffix}"
        shard.put(sound, path)
        shard.line(_sample(example, sound, path))


def finish(finished: Finished) -> None:
    """Write the JSON of each split."""
    for split, rows in finished.splits.items():
        samples = map(orjson.loads, finished.lines(split))
        metadata = {
            "name": f"{finished.name} {split}",
            "custom_tag": "",
            "tag_position": "prepend",
            "num_samples": rows,
            "all_instrumental": all(sample["is_instrumental"] for sample in samples),
            "genre_ratio": 0,
        }
        with finished.writing(f"dataset_{split}.json") as path, open(path, "wb") as file:
            file.write(b'{"metadata":' + orjson.dumps(metadata) + b',"samples":[\n')
            for number, line in enumerate(finished.lines(split)):
                file.write((b",\n" if number else b"") + line.rstrip(b"\n"))
            file.write(b"\n]}\n")


def usage(finished: Finished) -> str:
    """Say how it is loaded, and what is left to a person."""
    labelled = sum(orjson.loads(line)["labeled"] for line in finished.lines())
    rows = sum(finished.splits.values())
    split = next(iter(finished.splits))
    return f"""Paths are relative to this folder, and ACE-Step wants them from where it runs. In its
checkout:

```python
from pathlib import Path

from acestep.training.dataset_builder import DatasetBuilder

export = Path("/path/to/this/folder")
builder = DatasetBuilder()
samples, status = builder.load_dataset(str(export / "dataset_{split}.json"))
for sample in samples:
    sample.audio_path = str(export / sample.audio_path)
builder.save_dataset("dataset_{split}.json")
```

Load `dataset_{split}.json` on its page for training then, look over the table, and go on with its
preprocessing: that takes what is labelled, {labelled:,} of {rows:,} samples here. A sample is not
labelled (`labeled`) where there is no caption, or neither lyrics nor the certainty that nobody
sings: its preprocessing would take it for an instrumental.

`bpm` and `timesignature` are empty where `tempo_confidence` is below {MIN_TEMPO_CONFIDENCE}, and
`keyscale` where `key_confidence` is below {MIN_KEY_CONFIDENCE}. Section tags are the headings of
the lyrics files where there are any; else they are those of the sections that were found, which are
consistent rather than right. Its preprocessing cuts songs at 240 s, and the lyrics of the whole
song stay: export segments of longer ones.
"""


def _sample(example: Example, sound: Sound, path: str) -> dict[str, Any]:
    said = describe(example)
    lyrics = _lyrics(example, said)
    caption = _caption(example, said)
    is_tempo_sure = _is_sure(example, "tempo_confidence", MIN_TEMPO_CONFIDENCE)
    is_key_sure = _is_sure(example, "key_confidence", MIN_KEY_CONFIDENCE)
    bpm = round(said.tempo_bpm) if said.tempo_bpm and is_tempo_sure else None
    upper = (said.time_signature or "").partition("/")[0] if is_tempo_sure else ""
    language = (said.language or "").partition("-")[0].lower()
    is_sung = said.is_instrumental is not True
    return {
        "id": example.key,
        "audio_path": path,
        "filename": PurePosixPath(path).name,
        "caption": caption,
        "genre": ", ".join(said.genres),
        "lyrics": lyrics,
        # Its builder takes a sample with these for sung, whatever is set for all.
        "raw_lyrics": lyrics if is_sung else "",
        "bpm": bpm if bpm in BPM else None,
        "keyscale": said.key or "" if is_key_sure else "",
        "timesignature": upper if upper in METRES else "",
        "duration": int(sound.seconds),
        "language": language if is_sung and language in LANGUAGES else "unknown",
        "is_instrumental": not is_sung,
        "custom_tag": "",
        "labeled": bool(caption and lyrics),
    }


def _is_sure(example: Example, column: str, least: float) -> bool:
    """Return whether a label is sure enough: what people state has no confidence."""
    confidence = example.of_track.get(column)
    return confidence is None or confidence >= least


def _caption(example: Example, said: Description) -> str:
    if example.kind != "songs":
        return said.caption or ""
    facts = Facts(
        genres=said.genres,
        moods=said.moods,
        instruments=said.instruments,
        voice="instrumental" if said.is_instrumental else None,
    )
    found = compose(facts, example.id, count=1)
    return found[0].text if found else ""


def _lyrics(example: Example, said: Description) -> str:
    """Return lyrics with tags of their sections, each section after an empty line."""
    if said.is_instrumental:
        return INSTRUMENTAL
    if not said.lyrics:
        return ""
    headings = example.of_track.get("lyrics_sections") or ()
    if example.track is not None:
        middle = example.start_seconds + (example.seconds or 0.0) / 2
        tag = _heading_at(headings, middle) or TAGS.get(example.row["section_type"])
        return _joined([(tag, said.lyrics.splitlines())])
    lines = example.row.get("lyrics_lines") or ()
    if headings and lines:
        return _joined(_under_headings(headings, lines))
    if said.sections and any(line["start_time"] is not None for line in lines):
        return _joined(_in_sections(said, lines))
    return said.lyrics


Lines = Sequence[Mapping[str, Any]]
Block = tuple[str | None, Sequence[str]]


def _under_headings(headings: Lines, lines: Lines) -> Iterator[Block]:
    """Yield the lines that stand under each heading."""
    texts = [line["text"] for line in lines]
    starts = [heading["line"] for heading in headings]
    yield None, texts[: starts[0]]
    for heading, start, end in zip(headings, starts, [*starts[1:], len(texts)], strict=True):
        yield heading["label"], texts[start:end]


def _in_sections(said: Description, lines: Lines) -> Iterator[Block]:
    """Yield the lines that begin in each section; one without a time follows the one before."""
    found: list[list[str]] = [[] for _ in said.sections]
    place = 0
    for line in lines:
        while (
            place + 1 < len(found)
            and line["start_time"] is not None
            and line["start_time"] >= said.sections[place + 1].start_seconds
        ):
            place += 1
        found[place].append(line["text"])
    for section, texts in zip(said.sections, found, strict=True):
        yield TAGS.get(section.text), texts


def _heading_at(headings: Lines, seconds: float) -> str | None:
    """Return the last heading before a time; None if headings have no times."""
    timed = [each for each in headings if each["start_time"] is not None]
    before = [each["label"] for each in timed if each["start_time"] <= seconds]
    return before[-1] if before else None


def _joined(blocks: Iterable[Block]) -> str:
    texts = ["\n".join([*([f"[{tag}]"] if tag else []), *lines]) for tag, lines in blocks]
    return "\n\n".join(text for text in texts if text)


TARGET = Target(
    name="ace-step",
    summary="audio and a JSON of samples per split, for ACE-Step 1.5's dataset builder",
    version=1,
    write=write,
    finish=finish,
    audio=("copy", "flac", "opus", "link"),
    unsuited={"stems": NO_AUDIO},
    usage=usage,
)
