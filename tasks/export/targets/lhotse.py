"""Lhotse: recordings as cuts, with what is sung in them as supervisions.

Each split is a folder in the format Shar, ``cuts.NNNNNN.jsonl.gz`` and ``recording.NNNNNN.tar``
side by side, or, where audio is linked, ``cuts_<split>.jsonl.gz`` with paths. The JSON is that of
lhotse's own objects (``MonoCut.to_dict``), which a test compares. Audio of more than one channel
is a ``MultiCut``, as ``Recording.to_cut`` makes it. https://lhotse.readthedocs.io/en/latest/cuts.html
"""

from typing import Any

import orjson

from tasks.dataset import packing
from tasks.dataset.split import artist_key
from tasks.export.described import Description, describe
from tasks.export.examples import Example
from tasks.export.sound import Sound
from tasks.export.target import NO_AUDIO, Finished, Shard, Target
from tasks.export.targets.utterances import Utterance, utterances

COLUMNS = ("track_id", "segment_idx", "group")
"""Columns of the dataset that a cut has under their names."""

Json = dict[str, Any]


def write(shard: Shard) -> None:
    """Write the cuts of a shard and their audio."""
    if shard.audio == "link":
        for example, sound in shard.examples():
            assert sound is not None, "the target has no audio none"
            path = f"audio/{shard.split}/{example.key}.{sound.suffix}"
            shard.put(sound, path)
            shard.line(_cut(example, sound, _recording(example, sound, "file", path)))
        return
    number = int(shard.name.rpartition("-")[2])
    with (
        shard.writing(f"{shard.split}/cuts.{number:06d}.jsonl.gz") as cuts_path,
        shard.writing(f"{shard.split}/recording.{number:06d}.tar") as tar_path,
        packing.gzipped(cuts_path) as cuts,
        packing.tar(tar_path) as tar,
    ):
        for example, sound in shard.examples():
            assert sound is not None, "the target has no audio none"
            recording = _recording(example, sound, "shar", "")
            cuts.write(orjson.dumps(_cut(example, sound, recording)) + b"\n")
            tar.add_file(f"{example.key}.{sound.suffix}", sound.file)
            tar.add_bytes(f"{example.key}.json", orjson.dumps(recording) + b"\n")


def finish(finished: Finished) -> None:
    """Write the cuts of each split, if their audio is linked."""
    if finished.audio != "link":
        return
    for split in finished.splits:
        with (
            finished.writing(f"cuts_{split}.jsonl.gz") as path,
            packing.gzipped(path) as cuts,
        ):
            cuts.writelines(finished.lines(split))


def _recording(example: Example, sound: Sound, source_type: str, source: str) -> Json:
    channels = list(range(sound.channels))
    return {
        "id": example.key,
        "sources": [{"type": source_type, "channels": channels, "source": source}],
        "sampling_rate": sound.sample_rate_hz,
        "num_samples": sound.samples,
        "duration": sound.samples / sound.sample_rate_hz,
        "channel_ids": channels,
    }


def _cut(example: Example, sound: Sound, recording: Json) -> Json:
    """Return a cut: all of a recording, or of a whole file that was copied the example's part."""
    said = describe(example)
    is_whole = sound.is_own or not example.is_part
    start = 0.0 if is_whole else example.start_seconds
    end = None if is_whole else example.end_seconds
    whole = recording["duration"]
    duration = (whole if end is None else min(end, whole)) - start
    channels = recording["channel_ids"]
    channel = channels[0] if len(channels) == 1 else channels
    said_in_lines = utterances(example, said, duration)
    return {
        "id": example.key,
        "start": start,
        "duration": duration,
        "channel": channel,
        "supervisions": [
            _supervision(f"{example.key}-{number:03d}", example.key, channel, said, each)
            for number, each in enumerate(said_in_lines)
        ],
        "recording": recording,
        "custom": _custom(example, said),
        "type": "MonoCut" if len(channels) == 1 else "MultiCut",
    }


def _supervision(
    name: str, recording: str, channel: int | list[int], said: Description, sung: Utterance
) -> Json:
    words = [
        [
            word.text,
            word.start_seconds,
            _length(word.start_seconds, word.end_seconds),
            word.confidence,
        ]
        for word in sung.words
    ]
    return _known(
        {
            "id": name,
            "recording_id": recording,
            "start": sung.start_seconds,
            "duration": _length(sung.start_seconds, sung.end_seconds),
            "channel": channel,
            "text": sung.text,
            "language": said.language,
            "speaker": artist_key(said.artist) if said.artist else None,
            "alignment": {"word": words} if words else None,
        }
    )


def _custom(example: Example, said: Description) -> Json:
    track = example.of_track
    return _known(
        {
            "row_id": example.id,
            **{name: example.row.get(name, track.get(name)) for name in COLUMNS},
            # `split` is a method of cuts.
            "dataset_split": example.split,
            "licence": said.licence,
            "title": said.title,
            "artist": said.artist,
            "caption": said.caption,
            "genres": list(said.genres) or None,
            "moods": list(said.moods) or None,
            "instruments": list(said.instruments) or None,
            "tempo_bpm": said.tempo_bpm,
            "key": said.key,
            "time_signature": said.time_signature,
            "is_instrumental": said.is_instrumental,
            "lyrics": said.lyrics or None,
        }
    )


def _length(start_seconds: float, end_seconds: float) -> float:
    # Lhotse keeps times to as many digits.
    return round(end_seconds - start_seconds, 8)


def _known(values: Json) -> Json:
    return {name: value for name, value in values.items() if value is not None}


def usage(finished: Finished) -> str:
    """Say how it is loaded."""
    split = next(iter(finished.splits))
    if finished.audio == "link":
        read = f'cuts = CutSet.from_file("cuts_{split}.jsonl.gz")'
        where = (
            "Paths are relative to this folder: run it here, or give the folder to "
            "`cuts.with_recording_path_prefix`."
        )
    else:
        read = f'cuts = CutSet.from_shar(in_dir="path/of/this/folder/{split}")'
        where = "Cuts stream from the shards of a split: nothing is unpacked."
    return f"""{where}

```python
from lhotse import CutSet

{read}
for cut in cuts:
    samples = cut.load_audio()  # (channels, samples)
    for line in cut.supervisions:
        print(line.start, line.end, line.text, (line.alignment or {{}}).get("word"))
```

Recognizers of speech learn from cuts of a line each, of one channel at 16 kHz:

```python
from dataclasses import replace


def mono(cut):
    if cut.num_channels == 1:
        return cut
    # Each channel brings the supervisions that it has.
    once = cut.map_supervisions(lambda line: replace(line, channel=0))
    return once.to_mono(mono_downmix=True)


lines = cuts.map(mono).resample(16_000).trim_to_supervisions(keep_overlapping=False)
```

Supervisions are the lines that have times; of a segment, or of a song without timed lines, one
with the whole text. Cuts without words have none. `cut.custom` has the caption, the licence and
what else is known of the music, `lyrics` with their line breaks among it.
"""


TARGET = Target(
    name="lhotse",
    summary="cuts with timed lyrics in shards, for Lhotse and the recognizers that train with it",
    version=1,
    write=write,
    keeps_files=True,
    finish=finish,
    audio=("copy", "flac", "opus", "link"),
    unsuited={"stems": NO_AUDIO},
    usage=usage,
)
