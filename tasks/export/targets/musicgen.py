"""MusicGen's own trainer, audiocraft: audio, a JSON beside each file, and a manifest per split.

``egs/<split>/data.jsonl.gz`` lists audio files by the fields of ``AudioMeta``
(audiocraft/data/audio_dataset.py); the JSON beside each file holds those of ``MusicInfo``
(audiocraft/data/music_dataset.py), of which ``MusicDataset`` wants every one but ``keywords``.
https://github.com/facebookresearch/audiocraft/blob/main/docs/DATASETS.md
"""

import math
from collections.abc import Mapping
from typing import Any

import orjson

from tasks.dataset import packing
from tasks.dataset.split import Split
from tasks.export.described import Description, describe
from tasks.export.target import NO_AUDIO, Finished, Shard, Target

SPLITS: Mapping[Split, str] = {"train": "train", "validation": "valid", "test": "evaluate"}
"""What audiocraft calls the splits."""

DATASOURCE = "dset.yaml"
"""Configuration of the dataset, as those in audiocraft's config/dset/audio."""


def write(shard: Shard) -> None:
    """Write the audio of a shard, each file with its JSON."""
    for example, sound in shard.examples():
        assert sound is not None, "the target has no audio none"
        name = f"audio/{shard.split}/{example.key}"
        path = f"{name}.{sound.suffix}"
        shard.put(sound, path)
        shard.put_bytes(orjson.dumps(_music_info(example.key, describe(example))), f"{name}.json")
        shard.line(
            {
                "path": path,
                "duration": sound.seconds,
                "sample_rate": sound.sample_rate_hz,
                "amplitude": None,
                "weight": None,
                "info_path": None,
                # For the configuration alone: the reader passes over it.
                "channels": sound.channels,
            }
        )


def _music_info(name: str, said: Description) -> dict[str, Any]:
    return {
        "title": said.title,
        "artist": said.artist,
        # The reader makes it lower case.
        "key": said.key,
        "bpm": said.tempo_bpm,
        "genre": ", ".join(said.genres) or None,
        "moods": said.moods,
        "description": said.caption,
        "name": name,
        "instrument": ", ".join(said.instruments) or None,
    }


def finish(finished: Finished) -> None:
    """Write the manifest of each split, and the configuration that names them."""
    sample_rate_hz = channels = None
    for split in finished.splits:
        with (
            finished.writing(f"egs/{SPLITS[split]}/data.jsonl.gz") as path,
            packing.gzipped(path) as packed,
        ):
            for line in finished.lines(split):
                packed.write(line)
                of_file = orjson.loads(line)
                sample_rate_hz = min(of_file["sample_rate"], sample_rate_hz or math.inf)
                channels = min(of_file["channels"], channels or math.inf)
    folders = {SPLITS[split]: f"egs/{SPLITS[split]}" for split in finished.splits}
    with finished.writing(DATASOURCE) as path:
        lines = [
            "# @package __global__",
            "datasource:",
            f"  max_sample_rate: {sample_rate_hz}",
            f"  max_channels: {channels}",
            *(f"  {name}: {folder}" for name, folder in folders.items()),
            # Prompts to listen to: those that nothing was learnt from.
            f"  generate: {folders.get('evaluate') or next(reversed(folders.values()))}",
        ]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def usage(finished: Finished) -> str:
    """Say how it is loaded."""
    folders = " ".join(SPLITS[split] for split in finished.splits)
    first = folders.split()[0]
    return f"""Paths are relative to this folder. From here, with audiocraft installed:

```python
from audiocraft.data.music_dataset import MusicDataset

dataset = MusicDataset.from_meta(
    "egs/{first}", segment_duration=10, sample_rate=32_000, channels=1
)
waveform, info = dataset[0]
print(info.description, info.bpm, info.key, info.genre)
```

To fine-tune by `dora`, in a checkout of audiocraft, with manifests whose paths are absolute:

```bash
EXPORT=/path/to/this/folder
for split in {folders}; do
  mkdir -p egs/exported/$split
  zcat $EXPORT/egs/$split/data.jsonl.gz | sed "s#\\"path\\":\\"#&$EXPORT/#" \\
    > egs/exported/$split/data.jsonl
done
sed "s#: egs/#&exported/#" $EXPORT/{DATASOURCE} > config/dset/audio/exported.yaml
dora run solver=musicgen/musicgen_base_32khz model/lm/model_scale=small \\
  continue_from=//pretrained/facebook/musicgen-small conditioner=text2music dset=audio/exported
```

`{DATASOURCE}` names the lowest sample rate and the fewest channels of all files: audiocraft refuses
a model that wants more. It needs all of train, valid, evaluate and generate: name another folder
there for a split that is empty.
"""


TARGET = Target(
    name="musicgen",
    summary="audio and JSON with manifests per split, for MusicGen's trainer audiocraft",
    version=1,
    write=write,
    finish=finish,
    audio=("copy", "flac", "opus", "link"),
    unsuited={"stems": NO_AUDIO},
    usage=usage,
)
