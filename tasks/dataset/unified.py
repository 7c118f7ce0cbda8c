"""The unified dataset: captioned tracks of many corpora, as a JSON of the reference and as Parquet.

The JSON is a list of objects. The first ten fields are those of the reference, as it has them;
a reader that knows only these reads it. Parquet has the same columns and those of ``COLUMNS``
beyond, lists as lists.
"""

from collections.abc import Sequence

import pyarrow as pa

from tasks.step import column

REFERENCE_FIELDS = (
    "id",
    "audio_path",
    "caption",
    "alt_captions",
    "duration",
    "dataset",
    "artist",
    "title",
    "tags",
    "license",
)
REQUIRED_FIELDS = ("id", "audio_path", "caption", "duration")

CAPTION_SOURCE = pa.struct([("text", pa.string()), ("columns", pa.list_(pa.string()))])
"""A phrase of a caption that says something of the track, and the columns it comes from."""

COLUMNS = pa.schema(
    [
        column("id", pa.string(), "Corpus and the corpus' own id, joined by _"),
        column("audio_path", pa.string(), "Absolute path of the audio file"),
        column("caption", pa.string(), "Main description"),
        column("alt_captions", pa.list_(pa.string()), "Other descriptions, all different"),
        column(
            "duration", pa.float64(), "Length of the audio, of its header where it was read", "s"
        ),
        column("dataset", pa.string(), "Corpus"),
        column("artist", pa.string(), "Artist"),
        column("title", pa.string(), "Title"),
        column("tags", pa.list_(pa.string()), "All tags, in the order of the corpus"),
        column("license", pa.string(), "Licence of the track as the corpus states it"),
        column("split", pa.string(), "train, validation or test; no group is in two"),
        column("group", pa.string(), "What must not be split: artist, shared id, near-duplicate"),
        column("license_spdx", pa.string(), "SPDX identifier of the licence; null if it has none"),
        column("evaluation_only", pa.bool_(), "Whether the row may never be trained on"),
        column(
            "caption_styles",
            pa.list_(pa.string()),
            "Of caption and alt_captions: human, writing, summary, paraphrase or attributes",
        ),
        column(
            "caption_sources",
            pa.list_(pa.list_(CAPTION_SOURCE)),
            "Of caption and alt_captions: phrases made of columns; empty for human captions",
        ),
        column("language", pa.string(), "ISO 639-1 of human captions, where stated"),
        column("genres", pa.list_(pa.string()), "Tags that are genres"),
        column("moods", pa.list_(pa.string()), "Tags that are moods"),
        column("instruments", pa.list_(pa.string()), "Tags that are instruments"),
        column("themes", pa.list_(pa.string()), "Tags that are uses or scenes"),
        column("voice", pa.string(), "female, male, mixed, child, vocal or instrumental"),
        column("speed", pa.string(), "slow, medium or fast"),
        column("tempo_bpm", pa.float64(), "Tempo, where measured or stated", "BPM"),
        column("key", pa.string(), "Tonic and mode, where measured or stated"),
        column("metre", pa.string(), "Metre, where measured or stated"),
        column("sections", pa.list_(pa.string()), "Names of the sections in their order"),
        column("album", pa.string(), "Album"),
        column("artist_id", pa.string(), "Artist as a site numbers it: jamendo:1234"),
        column("album_id", pa.string(), "Album as a site numbers it"),
        column(
            "shared_ids", pa.list_(pa.string()), "Ids by which other corpora know the recording"
        ),
        column(
            "start_seconds", pa.float64(), "Where in the file the row begins; null: all of it", "s"
        ),
        column("end_seconds", pa.float64(), "Where in the file the row ends", "s"),
        column("audio_digest", pa.string(), "Quick digest of the file: of its size and both ends"),
    ]
)

assert tuple(COLUMNS.names[: len(REFERENCE_FIELDS)]) == REFERENCE_FIELDS


def captions_of(row: dict[str, object]) -> Sequence[str]:
    """All captions of a row, the main one first."""
    alternatives = row["alt_captions"] or ()
    assert isinstance(alternatives, Sequence)
    return [str(row["caption"]), *map(str, alternatives)]
