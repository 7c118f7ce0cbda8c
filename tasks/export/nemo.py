"""NeMo: a manifest per split, whose lines are utterances with their audio.

The fields are those of its reader (``nemo/collections/common/parts/preprocessing/manifest.py`` of
NeMo 2.6): ``audio_filepath``, relative to the manifest, ``offset`` and ``duration`` in seconds,
``text`` and ``lang``. https://github.com/NVIDIA-NeMo/NeMo
"""

from tasks.export.described import describe
from tasks.export.target import NO_AUDIO, Finished, Shard, Target
from tasks.export.utterances import utterances
from tasks.text import printable

NO_WORDS = "its rows have no lyrics, and NeMo learns words; lhotse and webdataset take them."


def write(shard: Shard) -> None:
    """Write the audio of a shard, and leave a line for each utterance."""
    for example, sound in shard.examples():
        assert sound is not None, "the target has no audio none"
        said = describe(example)
        sung = utterances(example, said, sound.seconds)
        if not sung:
            reason, why = (
                ("instrumental", "is instrumental")
                if said.is_instrumental
                else ("no-lyrics", "has no lyrics")
            )
            message = f"{printable(example.id)} {why}, and NeMo learns words."
            shard.skip(example, reason, message)
            continue
        path = f"audio/{shard.split}/{example.key}.{sound.suffix}"
        shard.put(sound, path)
        for each in sung:
            line = {
                "audio_filepath": path,
                "offset": each.start_seconds,
                "duration": round(each.end_seconds - each.start_seconds, 8),
                "text": each.text,
            }
            shard.line(line | ({"lang": said.language} if said.language else {}))


def finish(finished: Finished) -> None:
    """Write the manifest of each split."""
    for split in finished.splits:
        with finished.writing(_manifest(split)) as path, open(path, "wb") as file:
            file.writelines(finished.lines(split))


def _manifest(split: str) -> str:
    return f"{split}_manifest.jsonl"


def usage(finished: Finished) -> str:
    """Say how it is loaded."""
    splits = list(finished.splits)
    of_training = [
        f"model.{name}_ds.manifest_filepath=$PWD/{_manifest(split)}"
        for split, name in (("train", "train"), ("validation", "validation"), ("test", "test"))
        if split in splits
    ]
    lines = " \\\n  ".join([*of_training, "+model.train_ds.channel_selector=average"])
    return f"""Paths are relative to the manifests, and NeMo puts their folder before them.

```python
from nemo.collections.common.parts.preprocessing.manifest import item_iter

for item in item_iter("{_manifest(splits[0])}"):
    print(item["audio_file"], item["offset"], item["duration"], item["text"], item["lang"])
```

To the training scripts of NeMo, in this folder:

```bash
python /path/to/NeMo/examples/asr/asr_ctc/speech_to_text_ctc_bpe.py \\
  {lines}
```

NeMo wants one channel: `channel_selector` mixes them down. Each line of a manifest is a line of
lyrics that has times, read by `offset` and `duration` from the file of its song; of a segment, or
of a song without timed lines, it is the whole text, which may be longer than the `max_duration` of
the training. Lines without times of a song that has others are left out. Texts are as the lyrics
have them, with case and punctuation, on one line.
"""


TARGET = Target(
    name="nemo",
    summary="manifests of sung lines, for training recognizers of speech with NVIDIA NeMo",
    version=1,
    write=write,
    finish=finish,
    audio=("copy", "flac", "opus", "link"),
    unsuited={"stems": NO_AUDIO, "unified": NO_WORDS, "concepts": NO_WORDS},
    usage=usage,
)
