"""stable-audio-tools: audio, a JSON beside each file, and the module that reads these.

Its ``SampleDataset`` (stable_audio_tools/data/dataset.py) takes all audio below a folder, and what
``get_custom_metadata`` of a module that a configuration names says of each file besides.
https://github.com/Stability-AI/stable-audio-tools/blob/main/docs/datasets.md
"""

from typing import Any

import orjson

from tasks.export.described import Description, describe
from tasks.export.target import NO_AUDIO, Finished, Shard, Target
from tasks.text import printable

SUFFIXES = frozenset({"aif", "flac", "mp3", "ogg", "opus", "wav"})
"""Files that it finds; it passes over others without a word."""

MODULE = "custom_metadata.py"
SOURCE = '''"""What each audio file is, from the JSON beside it; for stable-audio-tools."""

import json
from pathlib import Path


def get_custom_metadata(info, audio):
    return json.loads(Path(info["path"]).with_suffix(".json").read_text(encoding="utf-8"))
'''


def write(shard: Shard) -> None:
    """Write the audio of a shard, each file with its JSON."""
    for example, sound in shard.examples():
        assert sound is not None, "the target has no audio none"
        said = describe(example)
        if sound.suffix not in SUFFIXES:
            shard.skip(
                example,
                "not-found-by-reader",
                f"stable-audio-tools finds no .{printable(sound.suffix)}: add --audio flac.",
            )
        elif not said.caption:
            shard.skip(
                example,
                "no-caption",
                f"{printable(example.id)} has no caption, genre, mood or instrument to make a "
                "prompt of.",
            )
        else:
            name = f"audio/{shard.split}/{example.key}"
            shard.put(sound, f"{name}.{sound.suffix}")
            shard.put_bytes(orjson.dumps(_metadata(said)), f"{name}.json")


def _metadata(said: Description) -> dict[str, Any]:
    """Return what conditioners may ask for; ``seconds_start`` and such are the reader's own."""
    return {
        "prompt": said.caption,
        "title": said.title,
        "artist": said.artist,
        "genres": said.genres,
        "moods": said.moods,
        "instruments": said.instruments,
        "bpm": said.tempo_bpm,
        "key": said.key,
    }


def finish(finished: Finished) -> None:
    """Write the module, and a configuration per split."""
    with finished.writing(MODULE) as path:
        path.write_text(SOURCE, encoding="utf-8")
    for split in finished.splits:
        config = {
            "dataset_type": "audio_dir",
            "datasets": [
                {"id": split, "path": f"audio/{split}", "custom_metadata_module": MODULE},
            ],
            "random_crop": True,
            # A split smaller than a batch would be none at all.
            "drop_last": split == "train",
        }
        with finished.writing(f"dataset_{split}.json") as path:
            path.write_bytes(orjson.dumps(config, option=orjson.OPT_INDENT_2) + b"\n")


def usage(finished: Finished) -> str:
    """Say how it is loaded."""
    first, *_ = finished.splits
    validation = ""
    if "validation" in finished.splits:
        validation = " \\\n  --val-dataset-config dataset_validation.json"
    return f"""Paths are relative to this folder: work from here. With stable-audio-tools installed:

```python
import json

from stable_audio_tools.data.dataset import create_dataloader_from_config

config = json.load(open("dataset_{first}.json"))
loader = create_dataloader_from_config(
    config, batch_size=2, sample_size=2**20, sample_rate=44_100, num_workers=1
)
audio, info = next(iter(loader))
print(audio.shape, info[0]["prompt"], info[0]["seconds_total"])
```

To train, with its checkout in `$TOOLS` (`pre_encode.py` takes the same configuration):

```bash
python $TOOLS/train.py --model-config $TOOLS/MODEL.json --name exported \\
  --dataset-config dataset_{first}.json{validation}
```

`{MODULE}` is run by the reader: it reads the JSON beside each audio file.
"""


TARGET = Target(
    name="stable-audio",
    summary="audio and JSON with a metadata module, for stable-audio-tools",
    version=1,
    write=write,
    finish=finish,
    audio=("copy", "flac", "opus", "link"),
    unsuited={"stems": NO_AUDIO},
    usage=usage,
)
