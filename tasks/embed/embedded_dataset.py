"""From finished rows of steps to the files of a dataset of embeddings."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from blocks.storage import Storage
from tasks.dataset import embeddings
from tasks.dataset.embeddings import ITEM_TEXTS, Embeddings, EmbeddingsError, Encoded
from tasks.dataset.failures import (
    FAILURES,
    Failure,
    count_by_reason,
    failure,
    write_failures,
)
from tasks.dataset.manifest import (
    Manifest,
    declare_unfinished,
    now,
    read_manifest,
    write_manifest,
)
from tasks.dataset.split import SPLITS
from tasks.dataset.unified import captions_of
from tasks.embed import embedded_table
from tasks.embed.captions import TextEncoder
from tasks.embed.chosen_rows import ChosenRows
from tasks.engine import provenance
from tasks.engine.results import Results
from tasks.engine.stage import Stage
from tasks.step import Row, Step, digest
from tasks.text import counted
from tasks.weights import Weights

FORMAT_VERSION = 1
"""Raised when the layout of the files changes."""

HDF5 = "embeddings.h5"

NO_WEIGHTS = "none: no weights"
"""What stands for the licence of an encoder without any."""

Float32 = npt.NDArray[np.float32]


def write(
    results: Results,
    chosen: ChosenRows,
    folder: Path,
    weights: Weights,
    *,
    audio: Mapping[str, Stage],
    text: Mapping[TextEncoder, Stage],
    said: Mapping[str, Any],
) -> Manifest:
    """Write the dataset of a run, and return its manifest.

    Encoders that the folder has of the same rows and audio stay; nothing is written where it
    has all of this already.

    Parameters
    ----------
    results
        What the run made.
    chosen
        What it was made of.
    folder
        Where the files go.
    weights
        Where the models lie.
    audio, text
        Step by encoder.
    said
        What else the manifest is to say.
    """
    storage = Storage(str(folder))
    keys = {
        f"{kind}/{name}": digest(",".join(results.keys[stage.step.name]).encode())
        for kind, stages in (("audio", audio), ("text", text))
        for name, stage in stages.items()
    }
    failures = [*chosen.failures, *_failures(results, chosen)]
    before = read_manifest(storage)
    if before and _is_the_same(before, chosen, keys, failures, folder):
        return before
    content = _content(results, chosen, weights, audio, text, said)
    content, kept = _with_earlier(content, before, folder)
    failures = _marked(failures, content)
    manifest = {
        "format_version": FORMAT_VERSION,
        "created_at": now(),
        "dataset": chosen.dataset,
        "audio_digest": chosen.audio,
        "placed": _placed(chosen),
        "keys": {name: key for name, key in (before or {}).get("keys", {}).items() if name in kept}
        | keys,
        **said,
        "counts": _counts(content, chosen, failures),
        "items_by_split": _by_split(content),
        "encoders": {
            kind: {name: dict(each.attributes) | _size(each) for name, each in encoders.items()}
            for kind, encoders in (("audio", content.audio), ("text", content.text))
        },
        "failures_by_reason": count_by_reason(failures),
        "failures_digest": _digest_of(failures),
        "notes": [*chosen.notes, *_said_of_splits(chosen)],
        "seconds": provenance.seconds(results),
    }
    declare_unfinished(storage)
    embeddings.write(folder / HDF5, content)
    embedded_table.write(storage, content)
    write_failures(storage, failures)
    write_manifest(storage, manifest)
    return manifest


def _is_the_same(
    before: Manifest,
    chosen: ChosenRows,
    keys: Mapping[str, str],
    failures: Sequence[Failure],
    folder: Path,
) -> bool:
    return (
        before.get("format_version") == FORMAT_VERSION
        and before.get("placed") == _placed(chosen)
        and (before.get("dataset"), before.get("audio_digest")) == (chosen.dataset, chosen.audio)
        and keys.items() <= before.get("keys", {}).items()
        and before.get("failures_digest") == _digest_of(failures)
        and all((folder / name).is_file() for name in (HDF5, embedded_table.PARQUET, FAILURES))
    )


def _placed(chosen: ChosenRows) -> str:
    """Digest of where the audio of rows lies, and of how they are split."""
    said = [[row["audio_path"], row["split"], row["group"]] for row in chosen.rows]
    return digest(json.dumps(said).encode())


def _digest_of(failures: Sequence[Failure]) -> str:
    # Whether a row is in the dataset all the same follows from the others.
    said = [[each["track_id"], each["step"], each["reason"]] for each in failures]
    return digest(json.dumps(said).encode())


def _content(
    results: Results,
    chosen: ChosenRows,
    weights: Weights,
    audio: Mapping[str, Stage],
    text: Mapping[TextEncoder, Stage],
    said: Mapping[str, Any],
) -> Embeddings:
    texts = {name: _caption_vectors(results, stage) for name, stage in text.items()}
    # Of items that met a bug in a step of texts, nothing is known that could be trained on.
    places = [
        at
        for at, item_id in enumerate(chosen.item_ids)
        if all(item_id in vectors for vectors in texts.values())
    ]
    rows = [chosen.rows[at] for at in places]
    item_ids = [chosen.item_ids[at] for at in places]
    captions = [captions_of(row) for row in rows]
    return Embeddings(
        dataset=chosen.dataset,
        items={name: [row[name] or "" for row in rows] for name in ITEM_TEXTS}
        | {"duration": [float(row["duration"]) for row in rows]},
        caption_text=[caption for each in captions for caption in each],
        caption_item=np.repeat(np.arange(len(rows)), [len(each) for each in captions]).astype(
            np.int32
        ),
        caption_is_main=np.array([not at for each in captions for at in range(len(each))], bool),
        audio={
            name: _audio(results, stage, item_ids, _attributes(stage, weights))
            for name, stage in audio.items()
        },
        text={
            name: _text(texts[name], item_ids, captions, _attributes(stage, weights))
            for name, stage in text.items()
        },
        provenance=dict(said) | {"audio_digest": chosen.audio},
    )


def _audio(
    results: Results, stage: Stage, item_ids: Sequence[str], attributes: Mapping[str, str]
) -> Encoded:
    found: dict[str, Row] = {}
    for item, row in results.rows(stage.step.name, list(stage.step.columns.names)):
        found[item.track_id] = {
            "embedding": np.asarray(row["embedding"], np.float32),
            "windows": row["windows"] and np.asarray(row["windows"], np.float32),
            "starts": row["window_start_seconds"],
        }
    places = [at for at, item_id in enumerate(item_ids) if item_id in found]
    rows = [found[item_ids[at]] for at in places]
    encoded = Encoded(
        _stacked([row["embedding"] for row in rows]), np.array(places, np.int32), attributes
    )
    if not getattr(stage.config, "windows", False):
        return encoded
    return replace(
        encoded,
        windows=np.concatenate([row["windows"] for row in rows])
        if rows
        else np.zeros((0, 0), np.float32),
        window_item=np.repeat(places, [len(row["starts"]) for row in rows]).astype(np.int32),
        window_start=np.array([start for row in rows for start in row["starts"]], np.float32),
    )


def _caption_vectors(results: Results, stage: Stage) -> dict[str, dict[str, Float32]]:
    """Embeddings by item and caption."""
    return {
        item.track_id: dict(
            zip(
                getattr(item, "captions", ()),
                (np.asarray(each, np.float32) for each in row["caption_embedding"]),
                strict=True,
            )
        )
        for item, row in results.rows(stage.step.name, ["caption_embedding"])
    }


def _text(
    vectors: Mapping[str, Mapping[str, Float32]],
    item_ids: Sequence[str],
    captions: Sequence[Sequence[str]],
    attributes: Mapping[str, str],
) -> Encoded:
    rows = [
        vectors[item_id][caption]
        for item_id, texts in zip(item_ids, captions, strict=True)
        for caption in texts
    ]
    return Encoded(_stacked(rows), np.arange(len(rows), dtype=np.int32), attributes)


def _stacked(rows: Sequence[Float32]) -> Float32:
    return np.stack(rows) if rows else np.zeros((0, 0), np.float32)


def _attributes(stage: Stage, weights: Weights) -> dict[str, str]:
    made = provenance.made_by(stage, weights)
    config = json.dumps(made["config"] | {"step_version": stage.step.version}, sort_keys=True)
    for model in made["models"]:
        kept = {name: str(model[name]) for name in ("revision", "licence")}
        return {"model": model["name"], **kept, "config": config}
    return {
        "model": stage.step.name,
        "revision": revision_of(stage.step),
        "licence": NO_WEIGHTS,
        "config": config,
    }


def revision_of(step: Step) -> str:
    """Return what stands for the revision of a step without a model."""
    return f"{step.name}-{step.version}"


def _with_earlier(
    content: Embeddings, manifest: Manifest | None, folder: Path
) -> tuple[Embeddings, set[str]]:
    """Add the encoders that a folder has of the same rows and audio; names those added."""
    try:
        before = embeddings.read(folder / HDF5, windows=True)
    except EmbeddingsError:
        return content, set()
    same_audio = before.provenance.get("audio_digest") == content.provenance["audio_digest"]
    same_items = list(before.items["id"]) == list(content.items["id"])
    same_texts = list(before.caption_text) == list(content.caption_text)
    if manifest is None or before.dataset != content.dataset or not (same_audio and same_items):
        return content, set()
    audio = {name: each for name, each in before.audio.items() if name not in content.audio}
    text = {
        name: each for name, each in before.text.items() if same_texts and name not in content.text
    }
    kept = {f"audio/{name}" for name in audio} | {f"text/{name}" for name in text}
    merged = replace(content, audio=audio | dict(content.audio), text=text | dict(content.text))
    return merged, kept


def _failures(results: Results, chosen: ChosenRows) -> Iterator[Failure]:
    """Yield a failure for each row of an item that a step failed on."""
    rows_of: dict[str, list[Row]] = {}
    for row, item_id in zip(chosen.rows, chosen.item_ids, strict=True):
        rows_of.setdefault(item_id, []).append(row)
    for item, step, entry in results.failures():
        for row in rows_of[item.track_id]:
            yield failure(
                row["id"], row["audio_path"], step, entry.reason, entry.error, in_dataset=False
            )


def _marked(failures: Sequence[Failure], content: Embeddings) -> list[Failure]:
    """Say of failures whether the row has an embedding all the same."""
    embedded = {
        content.items["id"][at] for each in content.audio.values() for at in each.item.tolist()
    }
    return [each | {"in_dataset": each["track_id"] in embedded} for each in failures]


def _counts(content: Embeddings, chosen: ChosenRows, failures: Sequence[Failure]) -> dict[str, int]:
    embedded = {at for each in content.audio.values() for at in each.item.tolist()}
    return {
        "tracks": len(embedded),
        "captions": len(content.caption_text),
        "audio_files": len({item.path for item in chosen.items}),
        "failed": len({each["track_id"] for each in failures if not each["in_dataset"]}),
    }


def _by_split(content: Embeddings) -> dict[str, int]:
    counts = Counter(content.items["split"])
    return {name: counts[name] for name in SPLITS}


def _size(encoded: Encoded) -> dict[str, Any]:
    rows, dimensions = encoded.embedding.shape
    windows = {} if encoded.windows is None else {"windows": len(encoded.windows)}
    return {"embeddings": rows, "dimensions": dimensions} | windows


def _said_of_splits(chosen: ChosenRows) -> list[str]:
    splits, notes = chosen.splits, []
    if splits.assigned:
        notes.append(
            f"{counted(splits.assigned, 'row')} had no split and took one by group, 80/10/10."
        )
    if splits.is_trial:
        notes.append(
            "All rows are for evaluation only, and split for a trial: no figure of what is trained "
            "on them can be compared with a published one."
        )
    if kept := splits.kept_from_training:
        notes.append(
            f"{counted(len(kept), 'row')} for evaluation only, such as {kept[0]}, went from train "
            "to test."
        )
    if crossing := splits.crossing:
        notes.append(
            f"{counted(len(crossing), 'group')}, such as {crossing[0]!r}, cross splits: the rows' "
            "own splits are obeyed, but what is measured on them is too good."
        )
    return notes
