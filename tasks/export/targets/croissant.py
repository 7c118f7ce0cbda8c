"""Croissant: what hf writes, described so that programs find their way in it.

``croissant.json`` names all files with their digests, all columns with their types and
descriptions, the licences, and what is known of how the dataset was made; nothing that is not
known is there. https://docs.mlcommons.org/croissant/docs/croissant-spec-1.1.html,
https://docs.mlcommons.org/croissant/docs/croissant-rai-spec.html

A record set reads a set of files by a pattern, one file at a time; as mlcroissant 1.1 has it, a
set of Parquet files is not contained in these files as one in an archive would be.
"""

from collections.abc import Iterator
from typing import Any

import orjson
import pyarrow as pa

from tasks.dataset.split import Split
from tasks.export import card
from tasks.export.publishing.licences import address
from tasks.export.publishing.model_licences import of_manifest
from tasks.export.rows import KEY
from tasks.export.target import Finished, Target
from tasks.export.targets import hf
from tasks.export.targets.croissant_fields import field_of
from tasks.text import counted

CROISSANT = "croissant.json"

PARQUET = "application/x-parquet"

VERSION = "http://mlcommons.org/croissant/1.1"

RESPONSIBLE_AI = "http://mlcommons.org/croissant/RAI/1.0"

CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "arrayShape": "cr:arrayShape",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "description": {"@container": "@language"},
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "name": {"@container": "@language"},
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
"""The context of the specification, appendix 1; mlcroissant warns of any other."""

OF_PERSONS = {
    "artist": "Names of artists.",
    "artist_id": "Numbers by which a site knows artists.",
    "lyrics": "Words that people wrote or sang.",
    "voice_embedding": "Embeddings of voices, by which a singer can be recognised.",
    "ecapa_embedding": "Embeddings of voices, by which a speaker can be recognised.",
    hf.AUDIO: "Recordings, in which voices of people may be heard.",
}
"""What columns tell of people."""

COLLECTED = {
    "songs": "Recordings of songs, with metadata and lyrics where they were given. All other "
    "columns were computed by programs; which values people corrected is in the column corrected.",
    "unified": "Tracks and captions of public corpora, brought to the same columns; which corpus "
    "a row comes from is in the column dataset.",
    "stems": "Stems of multitrack recordings, cut into chunks and encoded by EnCodec.",
    "concepts": "Excerpts of recordings, chosen as examples of musical concepts.",
}
"""How the datasets of each job come about."""


def finish(finished: Finished) -> None:
    """Write ``croissant.json``."""
    content = orjson.dumps(_described(finished), option=orjson.OPT_INDENT_2)
    finished.write_text(CROISSANT, f"{content.decode()}\n")


def usage(finished: Finished) -> str:
    """Say how it is loaded."""
    split = next(iter(finished.splits))
    return f"""\
```python
import mlcroissant

dataset = mlcroissant.Dataset("path/of/this/folder/{CROISSANT}")
for record in dataset.records("{split}"):
    print(record["{split}/{KEY}"])
```

Texts of a record are bytes, and its columns are named after their split. `datasets` loads the
Parquet files without it:

{hf.usage(finished)}"""


def _described(finished: Finished) -> dict[str, Any]:
    columns = finished.columns
    if finished.audio != "none":
        columns = columns.insert(1, hf.AUDIO_FIELD)
    version = "1.0.0"
    if fingerprint := finished.dataset.get("fingerprint"):
        version += f"+{fingerprint}"
    said: dict[str, Any] = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": [VERSION, RESPONSIBLE_AI],
        "name": finished.name,
        "description": _description(finished),
        "version": version,
        "citeAs": f"{finished.name}, version {version}. Dataset made with Songmill.",
        "license": [
            *map(address, finished.licences.by_identifier),
            *finished.licences.unrecognised,
        ],
        "dateCreated": finished.dataset.get("created_at"),
        **_responsible(finished, columns),
        "distribution": list(_files(finished)),
        "recordSet": [_record_set(columns, split, rows) for split, rows in finished.splits.items()],
    }
    return {name: value for name, value in said.items() if value}


def _description(finished: Finished) -> str:
    splits = ", ".join(f"{split} {rows:,}" for split, rows in finished.splits.items())
    what = "segments of songs" if finished.segments else finished.kind
    sound = "separated vocals" if finished.vocals else "audio"
    having = "without audio" if finished.audio == "none" else f"with their {sound}"
    rows = counted(sum(finished.splits.values()), "row")
    return f"A dataset of {what} {having}: {rows} ({splits})."


def _responsible(finished: Finished, columns: pa.Schema) -> dict[str, Any]:
    """Return what is known for responsible AI."""
    failed = sum(len(row["failures"]) for _, row in finished.shards)
    limitations = [
        *card.limits(finished),
        card.together(finished.kind),
        *(f"{line.rstrip('.')}." for line in finished.licences.lines),
    ]
    missing = "A value that is not known, or was not computed, is null."
    if failed:
        missing += f" {counted(failed, 'row')} could not be exported: failures.jsonl says why."
    models = [
        ", ".join(part for part in (each.name, each.source, each.revision) if part)
        for each in of_manifest(finished.dataset)
    ]
    return {
        "rai:dataCollection": COLLECTED[finished.kind],
        "rai:dataCollectionMissingData": missing,
        "rai:machineAnnotationTools": models,
        "rai:dataLimitations": limitations,
        "rai:personalSensitiveInformation": [
            sentence for name, sentence in OF_PERSONS.items() if name in columns.names
        ],
    }


def _files(finished: Finished) -> Iterator[dict[str, Any]]:
    """Yield all files, and the set of each split."""
    for _, row in finished.shards:
        for file in row["files"]:
            yield {
                "@type": "cr:FileObject",
                "@id": file["path"],
                "name": file["path"].rpartition("/")[2],
                "contentUrl": file["path"],
                "contentSize": f"{file['size_bytes']} B",
                "encodingFormat": PARQUET,
                "sha256": file["sha256"],
            }
    for split in finished.splits:
        yield {
            "@type": "cr:FileSet",
            "@id": _set_of(split),
            "name": _set_of(split),
            "encodingFormat": PARQUET,
            "includes": hf.path_of(f"{split}-*"),
        }


def _record_set(columns: pa.Schema, split: Split, rows: int) -> dict[str, Any]:
    found = {column.name: field_of(column, split, _set_of(split)) for column in columns}
    without = [name for name, field in found.items() if field is None]
    description = f"The {counted(rows, 'row')} of the split {split}."
    if without:
        description += f" Croissant has no type for {', '.join(without)}: see the Parquet files."
    return {
        "@type": "cr:RecordSet",
        "@id": split,
        "name": split,
        "description": description,
        "key": {"@id": f"{split}/{KEY}"},
        "field": [field for field in found.values() if field is not None],
    }


def _set_of(split: Split) -> str:
    return f"{split}-files"


TARGET = Target(
    name="croissant",
    summary="what hf writes with a croissant.json, for mlcroissant and dataset searches",
    version=1,
    has_columns=True,
    write=hf.write,
    finish=finish,
    audio=hf.TARGET.audio,
    usage=usage,
    front_matter=hf.front_matter,
)
