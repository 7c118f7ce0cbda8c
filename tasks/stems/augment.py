"""Variants of a song in pitch and tempo: every stem of it, the same for all of them.

What is stretched are stems, not mixes: a song has fewer of them than pairs, pairs of any
target and companions share them, and mixed afterwards, target and companions are exactly
their mix. Pitch costs nothing beyond the resampling to the codec's rate: audio decoded at
another rate and taken as if it were at the codec's is higher or lower, and the stretching
undoes what that does to the tempo as well.

What the step stores is how each variant is made. Its audio is made where it is needed, by
:func:`varied`, and kept nowhere.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from pydantic import Field

from tasks import audio
from tasks.corpora.prepared_song import PreparedSong, PreparedStem
from tasks.dataset.seeding import generator
from tasks.stems.mixing import from_db
from tasks.step import Row, Step, StepConfig, Tools, column, digest, per_track
from tasks.track import Samples, Track

VARIANT = pa.struct(
    [
        ("variant", pa.int32()),
        ("pitch_semitones", pa.float64()),
        ("tempo", pa.float64()),
        ("gain_db", pa.float64()),
        ("decoding_rate_hz", pa.int32()),
        ("samples", pa.int64()),
    ]
)

NAMED_BY_VERSION = 1
"""In :func:`name_of`. Raised when :func:`varied` gives other samples: pairs are others then."""


class Augmentation(StepConfig):
    """Variants of each song in pitch, tempo and gain."""

    variants: int = Field(4, ge=0, description="Variants of each song, beside itself.")
    max_pitch_semitones: float = Field(
        2.0,
        ge=0,
        le=12,
        description="Furthest up or down.",
        json_schema_extra={"unit": "semitones"},
    )
    max_tempo_change: float = Field(
        0.1, ge=0, le=0.5, description="Fastest and slowest, as a share of the tempo."
    )
    max_gain_db: float = Field(
        4.0, ge=0, description="Loudest and softest.", json_schema_extra={"unit": "dB"}
    )
    seed: int = Field(42, description="Changes what is drawn.")


class AugmentConfig(StepConfig):
    """Variants, and the signals that a codec takes."""

    drawing: Augmentation = Augmentation()
    sample_rate_hz: int
    channels: int = Field(ge=1, le=2)


def augment(
    track: Track, upstream: Mapping[str, Row | None], config: AugmentConfig, tools: Tools
) -> Row:
    """Draw the variants of a song."""
    assert isinstance(track, PreparedSong)
    return {
        "variants": draw(track, config),
        "sample_rate_hz": config.sample_rate_hz,
        "channels": config.channels,
    }


def draw(song: PreparedSong, config: AugmentConfig) -> list[dict[str, Any]]:
    """Draw the parameters of each variant; the first is the song as it is."""
    drawing = config.drawing
    variants = [variant_of(song, 0, 0.0, 1.0, config.sample_rate_hz) | {"gain_db": 0.0}]
    for number in range(1, 1 + drawing.variants):
        rng = generator("augment", drawing.seed, song.track_id, number)
        semitones = rng.uniform(-drawing.max_pitch_semitones, drawing.max_pitch_semitones)
        tempo = 1 + rng.uniform(-drawing.max_tempo_change, drawing.max_tempo_change)
        gain_db = rng.uniform(-drawing.max_gain_db, drawing.max_gain_db)
        variant = variant_of(song, number, semitones, round(tempo, 6), config.sample_rate_hz)
        variants.append(variant | {"gain_db": round(gain_db, 6)})
    return variants


def variant_of(
    song: PreparedSong, number: int, semitones: float, tempo: float, rate_hz: int
) -> dict[str, Any]:
    """Return how a song is varied in pitch and tempo.

    Parameters
    ----------
    song
        The song; its longest stem decides about the length.
    number
        Of the variant, 0 being the song as it is.
    semitones, tempo
        Change of the pitch, and factor of the tempo.
    rate_hz
        Rate of the signals.
    """
    from tasks.dsp.stretch import actual_semitones, resampling_rate_hz

    decoding_rate_hz = resampling_rate_hz(rate_hz, semitones)
    seconds = max(stem.seconds for stem in song.stems)
    return {
        "variant": number,
        # Rates are whole numbers: some hundredths of a cent off what was asked for.
        "pitch_semitones": actual_semitones(rate_hz, decoding_rate_hz),
        "tempo": tempo,
        "decoding_rate_hz": decoding_rate_hz,
        "samples": round(seconds * rate_hz / tempo),
    }


def varied(
    tools: Tools, stem: PreparedStem, variant: Mapping[str, Any], config: AugmentConfig
) -> Samples:
    """Return a stem in one variant, shape ``(channels, samples)``, at the codec's rate.

    All stems of a variant have one length. Its gain is not in it: it is one for all signals of
    a pair.

    Raises
    ------
    TrackError
        If the stored stem is gone or damaged.
    """
    from tasks.dsp.stretch import stretch

    rate_hz, decoding_rate_hz = config.sample_rate_hz, variant["decoding_rate_hz"]
    signal = audio.load(
        tools.source,
        stem.path,
        rate_hz=decoding_rate_hz,
        channels=1 if config.channels == 1 else 2,
    )
    # In the order that `stretch` takes, which would hold a copy beside it.
    if stem.balance_db:
        signal = np.multiply(signal, from_db(stem.balance_db), order="C")
    else:
        signal = np.ascontiguousarray(signal)
    signal = stretch(signal, rate_hz, variant["tempo"] * decoding_rate_hz / rate_hz)
    signal = signal[:, : variant["samples"]]
    if padding := variant["samples"] - signal.shape[1]:
        signal = np.pad(signal, ((0, 0), (0, padding)))
    return signal


def name_of(stem: PreparedStem, variant: Mapping[str, Any], config: AugmentConfig) -> str:
    """Return the name of a stem in one variant: a digest of all that it depends on.

    It has the form of a file's, as which such signals were stored once: identities of pairs
    are made of it, and datasets that are there go by these.
    """
    made_of = [
        NAMED_BY_VERSION,
        stem.path,
        stem.balance_db,
        config.sample_rate_hz,
        config.channels,
        variant["decoding_rate_hz"],
        variant["tempo"],
        variant["samples"],
    ]
    return f"augmented/{digest(' '.join(map(str, made_of)).encode())}.flac"


STEP = Step(
    name="augment",
    version=2,
    config=AugmentConfig,
    columns=pa.schema(
        [
            column("variants", pa.list_(VARIANT), "Parameters of each variant, the original first"),
            column("sample_rate_hz", pa.int32(), "Rate of their signals", "Hz"),
            column("channels", pa.int32(), "Channels of their signals"),
        ]
    ),
    run=per_track(augment),
)
