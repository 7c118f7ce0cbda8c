"""The columns of a dataset of songs: one row of this table is one column.

``tracks.parquet``, ``segments.parquet``, the fields of ``X.json``, the merge of the steps'
rows, the manifest, ``--steps`` and ``docs/dataset.md`` all follow from it. A column that a
step computes already is one line here; the merge's keys change with the table, so that records
of finished tracks are made anew. Code of ``column_values.py`` that changes a value raises the
merge's version, as any step's code does.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import pyarrow as pa

from tasks.song import column_values as values

OF_FILES = ("discover", "metadata", "corrections", "splits")
"""Sources of columns that no step fills: they come from the files and tables around the songs, and
``splits`` from what all songs are beside each other."""

OF_ALL_SONGS = ("fingerprint",)
"""Steps whose rows of all songs together fill columns, where a dataset is assembled."""

BOUNDING = ("sections", "features", "probe")
"""Steps that say where segments begin and end, and so take part in every column of a segment."""


class Rounding(NamedTuple):
    """To how many decimals, or else to how many significant digits, a number is rounded."""

    decimals: int | None = None
    digits: int | None = None

    def __call__(self, value: float) -> float:
        """Round a number."""
        if self.decimals is not None:
            return round(float(value), self.decimals)
        return float(f"{value:.{self.digits}g}")


@dataclass(frozen=True)
class Column:
    """One column of the dataset.

    Attributes
    ----------
    name, type
        In the tables and, as a field, in the JSON.
    source
        ``"step.column"``: the step that fills it, and which of the step's own columns holds
        the value; for a segment's, the list of the segments' values. Without ``.column``,
        `value` computes it.
    description, unit
        What it is; they stand in the metadata of the Parquet files.
    rounding
        Of a number or of each number of a list; of structs, by the names of their fields.
    value
        Computes the value from the rows of a track by step, or of a segment from a
        :class:`~tasks.song.column_values.Segment`. Rows of a step that fills no column are
        not among them.
    instead
        The step that fills it where its own is not part of the run.
    also_from
        Other steps whose rows `value` looks at, beside those that bound the segments.
    """

    name: str
    type: pa.DataType
    source: str
    description: str
    unit: str | None = None
    rounding: Rounding | Mapping[str, Rounding] | None = None
    value: Callable[[Any], Any] | None = None
    instead: str | None = None
    also_from: tuple[str, ...] = ()

    @property
    def step(self) -> str:
        """Name of the step that fills it."""
        return self.source.partition(".")[0]

    @property
    def row_column(self) -> str:
        """Name of the step's own column; empty if the value is computed."""
        return self.source.partition(".")[2]


def _vector(size: int) -> pa.DataType:
    return pa.list_(pa.float32(), size)


TEXT, NUMBER, WHOLE, FLAG = pa.string(), pa.float64(), pa.int32(), pa.bool_()
NUMBERS, TEXTS = pa.list_(NUMBER), pa.list_(TEXT)
TIMED = [("start_time", NUMBER), ("end_time", NUMBER)]
LINE = pa.struct([("text", TEXT), *TIMED])
WORD = pa.struct([("word", TEXT), *TIMED, ("alignment_confidence", NUMBER)])
CHORD = pa.struct([("chord", TEXT), *TIMED])
HEADING = pa.struct([("label", TEXT), ("start_time", NUMBER), ("line", WHOLE)])
DOUBTS = ("average_log_probability", "no_speech_probability", "compression_ratio")
HEARD = pa.struct(
    [("text", TEXT), *TIMED, *((name, NUMBER) for name in DOUBTS), ("is_hallucination", FLAG)]
)
PHRASE = pa.struct([("text", TEXT), ("columns", TEXTS)])
VOICE = pa.struct([*TIMED, ("kind", TEXT)])
CLAP_TAG = pa.struct([("tag", TEXT), ("kind", TEXT), ("similarity", NUMBER)])
TAG = pa.struct([("tag", TEXT), ("kind", TEXT), ("score", NUMBER), ("model", TEXT)])
PHONEMES = pa.struct(
    [
        ("phonemes_ipa", TEXT),
        ("words", pa.list_(pa.struct([("word", TEXT), ("phonemes", TEXTS)]))),
        ("lines", TEXTS),
        ("backend", TEXT),
    ]
)

TIME = Rounding(decimals=3)
PITCH = Rounding(decimals=2)
VIBRATO = Rounding(decimals=3)
DIGITS = Rounding(digits=6)
TIMES = {"start_time": TIME, "end_time": TIME}

# fmt: off
TRACKS = (
    Column("track_id", TEXT, "discover", "BLAKE2b-128 of the audio file's bytes"),
    Column("source_id", TEXT, "discover", "Name of the file without its suffix"),
    Column("file_path", TEXT, "discover", "Path of the audio file"),
    Column("artist", TEXT, "metadata", "Artist, from the metadata tables"),
    Column("title", TEXT, "metadata", "Title, from the metadata tables"),
    Column("album", TEXT, "metadata", "Album, from the metadata tables"),
    Column("genre", TEXT, "metadata", "Genre, from the metadata tables"),
    Column("mood", TEXT, "metadata", "Moods, from the metadata tables"),
    Column("instruments", TEXT, "metadata", "Instruments, from the metadata tables"),
    Column("license", TEXT, "metadata", "Licence, from the metadata tables, as they state it"),
    Column("corrected", TEXTS, "corrections", "Columns whose values people corrected"),
    Column("duplicate_group", TEXT, "fingerprint", "Smallest track_id of those that are one recording; null without another"),
    Column("group", TEXT, "splits", "What must not be split: tracks of one artist or recording, and what hangs together by them"),
    Column("split", TEXT, "splits", "train, validation or test, whole groups"),
    Column("duration", NUMBER, "merge", "Duration as decoded", "s", TIME, values.duration, also_from=("features", "probe")),
    Column("sample_rate", WHOLE, "probe.sample_rate_hz", "Sample rate of the file", "Hz"),
    Column("channels", WHOLE, "probe.channels", "Channels of the file"),
    Column("format", TEXT, "probe.format", "Container and codec of the file"),
    Column("decoder", TEXT, "probe.decoder", "Library that decoded it"),
    Column("audio_notices", TEXTS, "probe", "What was wrong with the audio, and what was done: code, colon, sentence", value=values.audio_notices, also_from=("separate",)),
    Column("loudness_lufs", NUMBER, "probe.loudness_lufs", "Integrated loudness, ITU-R BS.1770-4", "LUFS", PITCH),
    Column("true_peak_dbtp", NUMBER, "probe.true_peak_dbtp", "True peak, ITU-R BS.1770-4", "dBTP", PITCH),
    Column("clipped_ratio", NUMBER, "probe.clipped_ratio", "Share of samples clipped at full scale", rounding=DIGITS),
    Column("bandwidth_hz", NUMBER, "probe.bandwidth_hz", "Highest frequency with anything to hear", "Hz", Rounding(decimals=0)),
    Column("phase_correlation", NUMBER, "probe.phase_correlation", "Correlation of left and right as found, -1 to 1", rounding=TIME),
    Column("dc_offset", NUMBER, "probe.dc_offset", "Mean of the samples as found, full scale being 1", rounding=Rounding(decimals=6)),
    Column("silence_ratio", NUMBER, "probe.silence_ratio", "Share of tenths of a second below -60 dBFS", rounding=TIME),
    Column("tempo", NUMBER, "features.tempo_bpm", "Tempo, refined from the beats", "bpm", PITCH),
    Column("tempo_confidence", NUMBER, "features.tempo_confidence", "How surely there is a beat of this tempo, 0 to 1", rounding=DIGITS),
    Column("dominant_key", TEXT, "harmony.tonic", "Tonic of the key, with sharps"),
    Column("mode", TEXT, "harmony.mode", "major or minor"),
    Column("key_confidence", NUMBER, "harmony.key_confidence", "Correlation with the key's profile, at most 1", rounding=DIGITS),
    Column("chords", pa.list_(CHORD), "harmony", "Chords: C:maj, A:min, ... or N for none", "s", TIMES, values.chords),
    Column("energy", NUMBER, "features.energy", "Mean frame RMS over the largest, 0 to 1", rounding=DIGITS),
    Column("rms", NUMBER, "features.rms", "Mean frame RMS of the mono mix", rounding=DIGITS),
    Column("spectral_centroid", NUMBER, "features.spectral_centroid_hz", "Mean spectral centroid", "Hz", DIGITS),
    Column("chroma", _vector(12), "features.chroma", "Mean chroma, C to B", rounding=DIGITS),
    Column("mel", _vector(128), "features.mel_db", "Mean mel spectrum", "dB", DIGITS),
    Column("mfcc", _vector(20), "features.mfcc", "Mean MFCC", rounding=DIGITS),
    Column("beats", NUMBERS, "features.beat_times_seconds", "Times of the beats", "s", TIME),
    Column("downbeats", NUMBERS, "beats.downbeat_times_seconds", "Times of the beats that begin a bar", "s", TIME),
    Column("time_signature", TEXT, "beats.time_signature", "3/4, 4/4 or 6/8, whose beats are dotted quarters"),
    Column("content", TEXT, "activity.content", "What it is: music, singing, speech, silence or other"),
    Column("is_instrumental", FLAG, "activity", "Whether it is music without vocals", value=values.is_instrumental, also_from=("lyrics", "probe")),
    Column("vocal_activity", pa.list_(VOICE), "activity", "When a voice is heard: singing or speech", "s", TIMES, values.vocal_activity),
    Column("tags", pa.list_(TAG), "tags", "Genres, instruments, moods, voices and eras that are sure enough, the likeliest first", None, {"score": TIME}, values.tags, also_from=("activity", "lyrics", "probe")),
    Column("clap_tags", pa.list_(CLAP_TAG), "clap_tags", "The nearest genre, mood, voice and three instruments by CLAP, sure or not", None, {"similarity": TIME}, values.clap_tags),
    Column("vocals_path", TEXT, "separate.vocals_path", "Vocals, in the folder of vocals"),
    Column("vocals_leakage_db", NUMBER, "vocal_quality.leakage_db", "Estimated energy of accompaniment in the vocals over the voice's", "dB", PITCH),
    Column("vocals_dnsmos_sig", NUMBER, "vocal_scores.sig", "Voice in the vocals, by DNSMOS P.835, 1 to 5", rounding=PITCH),
    Column("vocals_dnsmos_bak", NUMBER, "vocal_scores.bak", "Absence of other sounds in the vocals, by DNSMOS P.835, 1 to 5", rounding=PITCH),
    Column("vocals_dnsmos_ovrl", NUMBER, "vocal_scores.ovrl", "The vocals as a whole, by DNSMOS P.835, 1 to 5", rounding=PITCH),
    Column("singing_confidence", NUMBER, "vocal_quality.confidence", "Expected share of frames whose pitch and voicing are right, 0 to 1", rounding=TIME),
    Column("voice_embedding", _vector(256), "voice.voice_embedding", "Resemblyzer, unit length", rounding=DIGITS),
    Column("ecapa_embedding", _vector(192), "ecapa.ecapa_embedding", "ECAPA-TDNN, unit length", rounding=DIGITS),
    Column("clap_embedding", _vector(512), "clap.clap_embedding", "CLAP of the mix, unit length", rounding=DIGITS),
    Column("lyrics", TEXT, "lyrics.text", "Lyrics, one line per line"),
    Column("lyrics_language", TEXT, "lyrics.language", "Language, BCP 47"),
    Column("lyrics_source", TEXT, "lyrics.source", "Where the lyrics come from"),
    Column("lyrics_lines", pa.list_(LINE), "lyrics", "Lines with their times", "s", TIMES, values.lyrics_lines, also_from=("align",)),
    Column("lyrics_words", pa.list_(WORD), "lyrics", "Words with their times", "s", TIMES | {"alignment_confidence": DIGITS}, values.lyrics_words, also_from=("align",)),
    Column("lyrics_aligned_by", TEXT, "align.model", "Whisper that found the words' times; null if the lyrics have them"),
    Column("lyrics_translation", TEXTS, "lyrics.line_translation", "The lyrics file's own translation of each line, if any"),
    Column("lyrics_sections", pa.list_(HEADING), "lyrics", "Headings in the lyrics, with their times", "s", {"start_time": TIME}, values.lyrics_sections, also_from=("align",)),
    Column("lyrics_notices", TEXTS, "lyrics", "What of the lyrics file was repaired, left out or not sung, and why; where its times are not those of a voice", value=values.lyrics_notices, also_from=("align", "activity")),
    Column("transcript", pa.list_(HEARD), "transcribe", "What Whisper heard, whatever the lyrics come from", "s", TIMES | dict.fromkeys(DOUBTS, DIGITS), values.transcript),
    Column("words_heard_in", TEXT, "align", "What Whisper was given of the track: vocals or mix", value=values.words_heard, also_from=("transcribe",)),
    Column("phonemes", PHONEMES, "phonemes", "IPA of the lyrics, whole, per word and per line", value=values.phonemes),
)
"""Columns of ``tracks.parquet``, in order."""

SEGMENTS = (
    Column("track_id", TEXT, "discover", "Track that the segment belongs to"),
    Column("segment_idx", WHOLE, "merge", "Place in the track, from 0", value=values.segment_idx),
    Column("start_time", NUMBER, "merge", "Start of the segment", "s", TIME, values.start_time),
    Column("end_time", NUMBER, "merge", "End of the segment", "s", TIME, values.end_time),
    Column("section_type", TEXT, "sections.label", "intro, verse, chorus, bridge, solo, outro or inst"),
    Column("energy", NUMBER, "features", "Mean frame RMS over the track's largest", None, DIGITS, values.mean("energy")),
    Column("spectral_centroid", NUMBER, "features", "Mean spectral centroid", "Hz", DIGITS, values.mean("spectral_centroid_hz")),
    Column("rms", NUMBER, "features", "Mean frame RMS", None, DIGITS, values.mean("rms")),
    Column("chroma", _vector(12), "features", "Mean chroma, C to B", None, DIGITS, values.mean("chroma")),
    Column("mfcc", _vector(20), "features", "Mean MFCC", None, DIGITS, values.mean("mfcc")),
    Column("has_vocals", FLAG, "activity", "Whether the segment has vocals", value=values.has_vocals, instead="separate", also_from=("lyrics",)),
    Column("vocal_ratio", NUMBER, "separate", "RMS of the vocals over the mix's, at most 1", None, DIGITS, values.ratio_of_vocals),
    Column("f0_mean", NUMBER, "pitch", "Mean F0 of the voiced frames", "Hz", PITCH, values.f0_mean),
    Column("f0_contour", NUMBERS, "pitch", "F0 of each frame, null if unvoiced", "Hz", PITCH, values.f0_contour),
    Column("vibrato_rate", NUMBER, "singing", "Mean rate of the vibrato", "Hz", VIBRATO, values.vibrato("rate_hz")),
    Column("vibrato_extent", NUMBER, "singing", "Mean amplitude of it", "semitones", VIBRATO, values.vibrato("extent_semitones")),
    Column("breath_positions", NUMBERS, "singing", "Times of audible breaths", "s", TIME, values.breath_positions),
    Column("segment_lyrics", TEXT, "lyrics", "Words sung in the segment", value=values.words_sung, also_from=("align", "transcribe")),
    Column("prompt", TEXT, "prompts.prompt", "Description made from a template"),
    Column("prompt_sources", pa.list_(PHRASE), "prompts.phrases", "Phrases of the prompt, and the columns that each puts into words"),
    Column("prompt_embedding", _vector(512), "clap_text.prompt_embedding", "CLAP of the prompt, unit length", rounding=DIGITS),
    Column("prompt_enhanced", TEXT, "enhance.prompt_enhanced", "Description written by an LLM"),
    Column("corrected", TEXTS, "corrections", "Columns of the segment whose values people corrected"),
)
"""Columns of ``segments.parquet``, in order; those of a track's segments in the JSON."""
# fmt: on
