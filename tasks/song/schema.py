"""Schema of a dataset of songs: what the Parquet tables and the JSON hold.

One definition for ``tracks.parquet``, ``segments.parquet`` and the fields of
``X.json``; the step that fills a column stands in its metadata.
"""

import pyarrow as pa


def _field(
    name: str, type_: pa.DataType, step: str, description: str, unit: str | None = None
) -> pa.Field:
    metadata = {"step": step, "description": description}
    return pa.field(name, type_, metadata=metadata | ({"unit": unit} if unit else {}))


def _vector(size: int) -> pa.DataType:
    return pa.list_(pa.float32(), size)


_TIMED = [("start_time", pa.float64()), ("end_time", pa.float64())]
_TEXT, _NUMBER, _NUMBERS = pa.string(), pa.float64(), pa.list_(pa.float64())

TRACKS = pa.schema(
    [
        _field("track_id", _TEXT, "discover", "BLAKE2b-128 of the audio file's bytes"),
        _field("source_id", _TEXT, "discover", "Name of the file without its suffix"),
        _field("file_path", _TEXT, "discover", "Path of the audio file"),
        _field("artist", _TEXT, "metadata", "Artist, from the metadata tables"),
        _field("title", _TEXT, "metadata", "Title, from the metadata tables"),
        _field("album", _TEXT, "metadata", "Album, from the metadata tables"),
        _field("genre", _TEXT, "metadata", "Genre, from the metadata tables"),
        _field("duration", _NUMBER, "merge", "Duration as decoded", "s"),
        _field("sample_rate", pa.int32(), "probe", "Sample rate of the file", "Hz"),
        _field("channels", pa.int32(), "probe", "Channels of the file"),
        _field("format", _TEXT, "probe", "Container and codec of the file"),
        _field("decoder", _TEXT, "probe", "Library that decoded it"),
        _field("tempo", _NUMBER, "features", "Tempo, refined from the beats", "bpm"),
        _field("dominant_key", _TEXT, "features", "Tonic of the key, with sharps"),
        _field("mode", _TEXT, "features", "major or minor"),
        _field("key_confidence", _NUMBER, "features", "Confidence of the key, 0 to 1"),
        _field("energy", _NUMBER, "features", "Mean frame RMS over the largest, 0 to 1"),
        _field("rms", _NUMBER, "features", "Mean frame RMS of the mono mix"),
        _field("spectral_centroid", _NUMBER, "features", "Mean spectral centroid", "Hz"),
        _field("chroma", _vector(12), "features", "Mean chroma, C to B"),
        _field("mel", _vector(128), "features", "Mean mel spectrum", "dB"),
        _field("mfcc", _vector(20), "features", "Mean MFCC"),
        _field("beats", _NUMBERS, "features", "Times of the beats", "s"),
        _field("vocals_path", _TEXT, "separate", "Vocals, in the folder of vocals"),
        _field("singing_confidence", _TEXT, "singing", "low after weight-free separation"),
        _field("voice_embedding", _vector(256), "voice", "Resemblyzer, unit length"),
        _field("ecapa_embedding", _vector(192), "ecapa", "ECAPA-TDNN, unit length"),
        _field("clap_embedding", _vector(512), "clap", "CLAP of the mix, unit length"),
        _field("lyrics", _TEXT, "lyrics", "Lyrics, one line per line"),
        _field("lyrics_language", _TEXT, "lyrics", "Language, BCP 47"),
        _field("lyrics_source", _TEXT, "lyrics", "Where the lyrics come from"),
        _field(
            "lyrics_lines",
            pa.list_(pa.struct([("text", _TEXT), *_TIMED])),
            "lyrics",
            "Lines with their times",
            "s",
        ),
        _field(
            "lyrics_words",
            pa.list_(pa.struct([("word", _TEXT), *_TIMED])),
            "lyrics",
            "Words with their times",
            "s",
        ),
        _field(
            "transcript",
            pa.list_(
                pa.struct(
                    [
                        ("text", _TEXT),
                        *_TIMED,
                        ("average_log_probability", pa.float64()),
                        ("no_speech_probability", pa.float64()),
                        ("compression_ratio", pa.float64()),
                        ("is_hallucination", pa.bool_()),
                    ]
                )
            ),
            "transcribe",
            "What Whisper heard, whatever the lyrics come from",
            "s",
        ),
        _field(
            "phonemes",
            pa.struct(
                [
                    ("phonemes_ipa", _TEXT),
                    (
                        "words",
                        pa.list_(pa.struct([("word", _TEXT), ("phonemes", pa.list_(_TEXT))])),
                    ),
                    ("lines", pa.list_(_TEXT)),
                    ("backend", _TEXT),
                ]
            ),
            "phonemes",
            "IPA of the lyrics, whole, per word and per line",
        ),
    ]
)

SEGMENTS = pa.schema(
    [
        _field("track_id", _TEXT, "discover", "Track that the segment belongs to"),
        _field("segment_idx", pa.int32(), "merge", "Place in the track, from 0"),
        _field("start_time", _NUMBER, "merge", "Start of the segment", "s"),
        _field("end_time", _NUMBER, "merge", "End of the segment", "s"),
        _field(
            "section_type",
            _TEXT,
            "sections",
            "intro, verse, chorus, bridge, solo, outro or inst",
        ),
        _field("energy", _NUMBER, "features", "Mean frame RMS over the track's largest"),
        _field("spectral_centroid", _NUMBER, "features", "Mean spectral centroid", "Hz"),
        _field("rms", _NUMBER, "features", "Mean frame RMS"),
        _field("chroma", _vector(12), "features", "Mean chroma, C to B"),
        _field("mfcc", _vector(20), "features", "Mean MFCC"),
        _field("has_vocals", pa.bool_(), "separate", "Whether the segment is sung"),
        _field("vocal_ratio", _NUMBER, "separate", "RMS of the vocals over the mix's, at most 1"),
        _field("f0_mean", _NUMBER, "pitch", "Mean F0 of the voiced frames", "Hz"),
        _field("f0_contour", _NUMBERS, "pitch", "F0 of each frame, null if unvoiced", "Hz"),
        _field("vibrato_rate", _NUMBER, "singing", "Mean rate of the vibrato", "Hz"),
        _field("vibrato_extent", _NUMBER, "singing", "Mean amplitude of it", "semitones"),
        _field("breath_positions", _NUMBERS, "singing", "Times of audible breaths", "s"),
        _field("segment_lyrics", _TEXT, "lyrics", "Words sung in the segment"),
        _field("prompt", _TEXT, "prompts", "Description made from a template"),
        _field("prompt_embedding", _vector(512), "clap_text", "CLAP of the prompt, unit length"),
        _field("prompt_enhanced", _TEXT, "enhance", "Description written by an LLM"),
    ]
)

METADATA_COLUMNS = ("artist", "title", "album", "genre")
