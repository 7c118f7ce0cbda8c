# ruff: noqa: RUF001
"""Records and rows as the steps would make them, of numbers that are easy to check."""

from typing import Any

from tasks.song import schema
from tasks.step import Row


def make_record(number: int = 0, *, segments: int = 2, **changes: Any) -> dict[str, Any]:
    """Entry of a dataset; every value follows from `number`, and columns added later are null."""
    return {
        **dict.fromkeys(schema.TRACKS.names),
        "track_id": f"{number:032x}",
        "source_id": f"song{number}",
        "file_path": f"songs/song{number:04d}.mp3",
        "artist": "Ana",
        "title": None,
        "album": None,
        "genre": "Folk",
        "corrected": [],
        "duration": 10.0 * segments,
        "sample_rate": 44_100,
        "channels": 2,
        "format": "MP3 MPEG_LAYER_III",
        "decoder": "libsndfile",
        "audio_notices": [],
        "loudness_lufs": -14.25,
        "true_peak_dbtp": -0.75,
        "clipped_ratio": 0.0,
        "bandwidth_hz": 16_000.0,
        "phase_correlation": 0.875,
        "dc_offset": 0.0,
        "silence_ratio": 0.125,
        "tempo": 90.5 + number,
        "dominant_key": "A",
        "mode": "minor",
        "tempo_confidence": 0.5,
        "key_confidence": 0.75,
        "chords": [{"chord": "A:min", "start_time": 0.0, "end_time": 20.0}],
        "energy": 0.25,
        "rms": 0.125,
        "spectral_centroid": 2145.5,
        "chroma": [at / 16 for at in range(12)],
        "mel": [-at / 2 for at in range(128)],
        "mfcc": [at - 10.5 for at in range(20)],
        "beats": [0.5, 1.25],
        "vocals_path": f"{number:032x}.flac",
        "singing_confidence": 0.875,
        "voice_embedding": [at / 256 for at in range(256)],
        "ecapa_embedding": None,
        "clap_embedding": None,
        "lyrics": "la la",
        "lyrics_language": "en",
        "lyrics_source": "lrc",
        "lyrics_lines": [{"text": "la la", "start_time": 0.5, "end_time": None}],
        "lyrics_words": [
            {"word": "la", "start_time": 0.5, "end_time": 0.75, "alignment_confidence": None}
        ],
        "transcript": [
            {
                "text": "la la",
                "start_time": 0.5,
                "end_time": 1.0,
                "average_log_probability": -0.25,
                "no_speech_probability": 0.125,
                "compression_ratio": 1.5,
                "is_hallucination": False,
            }
        ],
        "phonemes": {
            "phonemes_ipa": "lɑː lɑː",
            "words": [{"word": "la", "phonemes": ["l", "ɑː"]}],
            "lines": ["lɑː lɑː"],
            "backend": "gruut",
        },
        "segments": [make_segment(at) for at in range(segments)],
        **changes,
    }


def make_segment(at: int = 0, **changes: Any) -> dict[str, Any]:
    return {
        **{name: None for name in schema.SEGMENTS.names if name != "track_id"},
        "segment_idx": at,
        "start_time": 10.0 * at,
        "end_time": 10.0 * (at + 1),
        "section_type": "verse",
        "energy": 0.25,
        "spectral_centroid": 2145.5,
        "rms": 0.125,
        "chroma": [0.5] * 12,
        "mfcc": [1.5] * 20,
        "has_vocals": True,
        "vocal_ratio": 0.5,
        "f0_mean": 220.25,
        "f0_contour": [220.0, None, 220.5],
        "vibrato_rate": 5.5,
        "vibrato_extent": None,
        "breath_positions": [1.5],
        "segment_lyrics": "la la",
        "prompt": "A song.",
        "prompt_sources": [],
        "prompt_embedding": [at / 512 for at in range(512)],
        "prompt_enhanced": None,
        "corrected": [],
        **changes,
    }


def make_activity(content: str = "music", **spans: list[tuple[float, float]]) -> Row:
    """Row of activity, from spans in seconds of ``speech``, ``singing`` and ``music``."""
    row: Row = {"content": content}
    for kind in ("speech", "singing", "music"):
        row[f"{kind}_start_seconds"] = [start for start, _ in spans.get(kind, [])]
        row[f"{kind}_end_seconds"] = [end for _, end in spans.get(kind, [])]
    return row


def make_rows(duration_seconds: float = 20.0) -> dict[str, Row]:
    """Rows of every step for a track of two equal sections, in blocks of half a second."""
    blocks = round(duration_seconds * 2)
    hop_seconds = 0.01
    frames = round(duration_seconds / hop_seconds)
    half = duration_seconds / 2
    return {
        "probe": {
            "duration_seconds": duration_seconds + 0.04,
            "sample_rate_hz": 44_100,
            "channels": 2,
            "format": "WAV PCM_16",
            "decoder": "libsndfile",
            "audio_notices": [],
            "loudness_lufs": -14.254,
            "true_peak_dbtp": -0.75,
            "clipped_ratio": 0.0,
            "bandwidth_hz": 16_000.4,
            "phase_correlation": 0.875,
            "dc_offset": 0.0,
            "silence_ratio": 0.125,
        },
        "separate": {
            "vocals_path": "abc.flac",
            "vocal_rms": [0.05] * round(duration_seconds * 10),
            "mix_rms": [0.1] * round(duration_seconds * 10),
            "envelope_hop_seconds": 0.1,
            "method": "repet-centre",
        },
        "features": {
            "duration_seconds": duration_seconds,
            "tempo_bpm": 95.67891,
            "tempo_confidence": 0.61234567,
            "beat_times_seconds": [0.123456, 0.75],
            "energy": 0.3,
            "rms": 0.0123456789,
            "spectral_centroid_hz": 2145.34567,
            "chroma": [1 / 3] * 12,
            "mel_db": [-40.123456789] * 128,
            "mfcc": [-1 / 3] * 20,
            "grid_seconds": [at / 2 for at in range(blocks + 1)],
            "grid_rms": [0.1] * (blocks // 2) + [0.3] * (blocks - blocks // 2),
            "grid_energy": [0.2] * blocks,
            "grid_centroid_hz": [1000.0] * blocks,
            "grid_chroma": [0.5] * (blocks * 12),
            "grid_mfcc": [1.0] * (blocks * 20),
            "grid_frames": [21] * blocks,
        },
        "harmony": {
            "tonic": "A",
            "mode": "minor",
            "key_confidence": 0.123456789,
            "chord_start_seconds": [0.0, 0.123456],
            "chord_end_seconds": [0.123456, duration_seconds],
            "chord_label": ["N", "A:min"],
        },
        "sections": {
            "start_seconds": [0.0, half],
            "end_seconds": [half, duration_seconds],
            "label": ["verse", "chorus"],
        },
        "pitch": {
            "f0_hz": [220.123456 if at % 4 else float("nan") for at in range(frames)],
            "voiced_probability": [0.9] * frames,
            "hop_seconds": hop_seconds,
            "f0_mean_hz": 220.123456,
            "method": "pyin",
        },
        "singing": {
            "vibrato_start_seconds": [1.0, 4.0, half + 1],
            "vibrato_end_seconds": [2.0, 7.0, half + 2],
            "vibrato_rate_hz": [5.0, 6.0, 7.0],
            "vibrato_extent_semitones": [0.5, 0.9, 1.1],
            "breath_times_seconds": [3.1234567, half, half + 5],
            "breath_durations_seconds": [0.2, 0.2, 0.2],
        },
        "vocal_quality": {"leakage_db": -12.3456, "confidence": 0.8525},
        "vocal_scores": {"sig": 2.5, "bak": 3.25, "ovrl": 2.125},
        "voice": {"voice_embedding": [1 / 16] * 256, "voiced_seconds": 9.0},
        "ecapa": {"ecapa_embedding": [1 / 14] * 192, "embedded_seconds": 9.0},
        "clap": {"clap_embedding": [1 / 23] * 512, "clap_windows": 2},
        "transcribe": {
            "text": "one too\nthree",
            "language": "en",
            "language_probability": 0.9,
            "model": "whisper-large-v3",
            "segment_text": ["one too", "three"],
            "segment_start_seconds": [1.1234567, half + 1],
            "segment_end_seconds": [3.0, half + 2],
            "segment_average_log_probability": [-0.123456789, -1.5],
            "segment_no_speech_probability": [0.01, 0.7],
            "segment_compression_ratio": [0.9, 0.8],
            "segment_is_hallucination": [False, True],
            "word_text": ["one", "too", "three"],
            "word_start_seconds": [1.0, 2.0, half + 1],
            "word_end_seconds": [2.0, 3.0, half + 2],
            "word_probability": [0.9, 0.5, 0.1],
            "word_segment": [0, 0, 1],
        },
        "lyrics": {
            "text": "one two\nthree",
            "language": "en",
            "source": "lrc-enhanced",
            "line_text": ["one two", "three"],
            "line_start_seconds": [1.0, half + 1],
            "line_end_seconds": [3.0, None],
            "word_text": ["one", "two", "three"],
            "word_start_seconds": [1.0, 2.0, half + 1],
            "word_end_seconds": [2.0, 3.0, half + 2],
            "word_line": [0, 0, 1],
            "line_translation": None,
            "heading_text": ["Verse"],
            "heading_start_seconds": [0.5],
            "heading_line": [0],
            "notices": ["credits: left out"],
            "lines_beyond_end": None,
        },
        "phonemes": {
            "phonemes_ipa": "wʌn tuː θɹiː",
            "word": ["one", "two", "three"],
            "word_phonemes": [["w", "ʌ", "n"], ["t", "uː"], ["θ", "ɹ", "iː"]],
            "line_ipa": ["wʌn tuː", "θɹiː"],
            "backend": "gruut",
            "language": "en",
        },
        "prompts": {
            "prompt": ["A verse.", "A chorus."],
            "phrases": [
                [{"text": label, "columns": ["section_type"]}] for label in ("verse", "chorus")
            ],
        },
        "clap_text": {"prompt_embedding": [[1 / 23] * 512, [-1 / 23] * 512]},
    }
