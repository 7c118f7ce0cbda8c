"""Fundamental frequency and voicing of the vocals, by swift-f0, CREPE or pYIN."""

from collections.abc import Iterable, Mapping
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import Field, model_validator

from models.protocols import PITCH, PITCH_AND_VOICING
from tasks.step import Row, Samples, Step, StepConfig, Tools, Track, column, on_gpu, per_track

Floats = npt.NDArray[np.float64]

RATE_HZ = 16_000  # of both networks
FRAME_SAMPLES = 1024  # CREPE's; holds four periods of the lowest F0, pYIN asks for two

SILENCE_BELOW_LOUD_DB = -50.0
"""Quieter frames than this below the track's loud ones are unvoiced, whatever pitch they have.
CREPE and pYIN are blind to level and find the hum and the remains of a separation as well. Of
the frames that pYIN calls voiced in a studio recording of a singer, 98 % lie above."""

SILENCE_DBFS = -80.0
"""Quieter than the rounding noise of 14 bits; where nothing is loud, nothing is voiced."""

SWIFT_F0_LEVEL_DBFS = -30.0
"""Level to which swift-f0 hears vocals, on which its confidence depends.

Voicing recall, false alarms and overall accuracy of a studio recording of a singer (vocadito 1)
are .977/.045/.966 at -34, .978/.047/.966 at -30, .978/.050/.965 at -28 and .667/.002/.786 at -61;
of six synthetic songs, mixed with their bands at 0 dB and separated by Spleeter, .846/.019/.906,
.864/.024/.913, .872/.027/.916 and .131/.000/.535. Of five instruments alone, separated, .006 of
the frames are false alarms at each but the last."""

SWIFT_F0_CONFIDENCE = 0.5
"""From which a frame is voiced, as in the package swift-f0.

On the same recordings as they are, .4, .5 and .6 give overall accuracies of .965, .967 and .967
of the singer and .923, .919 and .906 of the separated songs. At .5, medians over 3 to 7 frames
and the likeliest path through the pitches change neither by more than .001; hysteresis from .3
to .7 makes it .961 and .923, the pitch of CREPE tiny in the voiced frames .969 and .913."""

SWIFT_F0_HALF_STEP = 2 ** (35 / 1200)
"""Half of what its pitches lie apart: a note at an end of the range is in it."""


class PitchConfig(StepConfig):
    """Pitch of the vocals.

    The range is that of the sung voice, from a bass's C2 to a soprano's C6. A wider one makes
    octave errors likelier; for whistle register set `fmax_hz` to 2000.
    """

    method: Literal["swiftf0", "crepe", "pyin"] = Field(
        "swiftf0",
        description="swiftf0: neural, with a voicing decision of its own; crepe: neural; "
        "pyin: fastest on a CPU.",
        json_schema_extra={"flag": "pitch_method"},
    )
    crepe_model: Literal["auto", "full", "tiny"] = Field(
        "auto",
        description="Capacity of CREPE; auto: full on a GPU, tiny on a CPU.",
        json_schema_extra={"flag": "crepe_model"},
    )
    hop_seconds: float = Field(
        0.01,
        ge=0.002,
        le=0.05,
        description="Time between frames.",
        json_schema_extra={"unit": "s"},
    )
    fmin_hz: float = Field(
        65.4, ge=32.0, description="Lowest F0.", json_schema_extra={"unit": "Hz"}
    )
    fmax_hz: float = Field(
        1046.5, le=2000.0, description="Highest F0.", json_schema_extra={"unit": "Hz"}
    )
    min_periodicity: float = Field(
        # Voicing recall / false alarms at 0.2, 0.3, 0.4, tiny network: a studio recording of a
        # singer (against pYIN) .97/.14, .95/.04, .93/.01; synthetic melodies with chords
        # leaking in at -10 dB .91/.11, .89/.10, .87/.07.
        0.3,
        ge=0.0,
        le=1.0,
        description="CREPE's activation from which a frame counts as voiced",
    )

    @model_validator(mode="after")
    def _range_is_an_octave(self) -> "PitchConfig":
        if self.fmax_hz < 2 * self.fmin_hz:
            raise ValueError("fmax_hz must be at least twice fmin_hz")
        return self


def pitch(
    track: Track, upstream: Mapping[str, Row | None], config: PitchConfig, tools: Tools
) -> Row:
    """Track F0 over the whole of the separated vocals."""
    separated = upstream["separate"]
    assert separated is not None  # not optional
    vocals = tools.output_blocks(separated["vocals_path"], RATE_HZ)
    hop_samples = round(config.hop_seconds * RATE_HZ)
    power = _power(vocals, hop_samples)
    if config.method == "pyin":
        f0_hz, probability = _pyin(vocals, hop_samples, config)
    elif config.method == "crepe":
        f0_hz, probability = _crepe(vocals, hop_samples, len(power), config, tools)
    else:
        f0_hz, probability = _swift_f0(vocals, hop_samples, power, config, tools)
    f0_hz = np.where(_is_audible(power), f0_hz, np.nan)
    voiced = f0_hz[~np.isnan(f0_hz)]
    return {
        "f0_hz": f0_hz.astype(np.float32),
        "voiced_probability": probability.astype(np.float32),
        "hop_seconds": hop_samples / RATE_HZ,
        "f0_mean_hz": float(voiced.mean()) if len(voiced) else None,
        "method": f"crepe-{config.crepe_model}" if config.method == "crepe" else config.method,
    }


def _pyin(
    vocals: Iterable[Samples], hop_samples: int, config: PitchConfig
) -> tuple[Floats, Floats]:
    from tasks.dsp.pyin import pyin

    found = pyin(
        vocals,
        fmin_hz=config.fmin_hz,
        fmax_hz=config.fmax_hz,
        rate_hz=RATE_HZ,
        frame_length=FRAME_SAMPLES,
        hop_samples=hop_samples,
    )
    return found.f0_hz, found.voiced_probability


def _crepe(
    vocals: Iterable[Samples], hop_samples: int, n_frames: int, config: PitchConfig, tools: Tools
) -> tuple[Floats, Floats]:
    from tasks.dsp.salience import decode_salience

    found = decode_salience(
        tools.model(f"crepe-{config.crepe_model}", PITCH).activations(vocals, hop_samples),
        n_frames,
        fmin_hz=config.fmin_hz,
        fmax_hz=config.fmax_hz,
    )
    voiced = found.periodicity >= config.min_periodicity
    return np.where(voiced, found.f0_hz, np.nan), found.periodicity


def _swift_f0(
    vocals: Iterable[Samples],
    hop_samples: int,
    power: Floats,
    config: PitchConfig,
    tools: Tools,
) -> tuple[Floats, Floats]:
    tracker = tools.model("swift-f0", PITCH_AND_VOICING)
    f0_hz, confidence = tracker.track(
        vocals, hop_samples, fmax_hz=config.fmax_hz, gain=_gain(power)
    )
    # A sound below the range is not taken for one an octave higher; a voice may have one above it.
    in_range = f0_hz >= config.fmin_hz / SWIFT_F0_HALF_STEP
    voiced = in_range & (confidence >= SWIFT_F0_CONFIDENCE)
    return np.where(voiced, f0_hz, np.nan).astype(np.float64), confidence.astype(np.float64)


def _power(vocals: Iterable[Samples], hop_samples: int) -> Floats:
    """Return per frame the mean square of the two hops around its centre."""
    from tasks.dsp.energy import hop_energies

    energies, _ = hop_energies(vocals, hop_samples, np.float64)
    # Before the signal lies silence.
    energies = np.concatenate([[0.0], energies])
    return (energies[:-1] + energies[1:]) / (2 * hop_samples)


def _is_audible(power: Floats) -> npt.NDArray[np.bool_]:
    """Return per frame whether it is loud enough to be sung."""
    floor = max(
        np.percentile(power, 95) * 10 ** (SILENCE_BELOW_LOUD_DB / 10), 10 ** (SILENCE_DBFS / 10)
    )
    return power >= floor


def _gain(power: Floats) -> float:
    """Return what brings vocals to the level at which swift-f0 hears them.

    Their level is that of the frame up to which half of all energy lies in softer ones: silence
    between phrases, however long, does not change it, nor does a click.
    """
    ordered = np.sort(power)
    energy = np.cumsum(ordered)
    level = ordered[np.searchsorted(energy, energy[-1] / 2)]
    return float(10 ** (SWIFT_F0_LEVEL_DBFS / 20) / max(level, 10 ** (SILENCE_DBFS / 10)) ** 0.5)


def _models(config: PitchConfig) -> tuple[str, ...]:
    named = {"swiftf0": ("swift-f0",), "crepe": (f"crepe-{config.crepe_model}",), "pyin": ()}
    return named[config.method]


def _cost(config: PitchConfig, device: str) -> float:
    """Return seconds per minute of audio."""
    if config.method != "crepe":
        return {"swiftf0": 0.45, "pyin": 0.15}[config.method]
    full = 32.0 if device == "cpu" else 0.33
    return full if config.crepe_model == "full" else 1.9


STEP = Step(
    name="pitch",
    version=1,
    config=PitchConfig,
    columns=pa.schema(
        [
            column("f0_hz", pa.list_(pa.float32()), "F0 per frame, NaN where unvoiced", "Hz"),
            column(
                "voiced_probability",
                pa.list_(pa.float32()),
                "How sure the method is of a pitch in the frame, 0 to 1",
            ),
            column("hop_seconds", pa.float64(), "Time between frames; frame 0 is at 0", "s"),
            column("f0_mean_hz", pa.float64(), "Mean F0 of the voiced frames", "Hz"),
            column("method", pa.string(), "swiftf0, crepe-full, crepe-tiny or pyin"),
        ]
    ),
    run=per_track(pitch),
    upstream=("separate",),
    resource=on_gpu,
    models=_models,
    cost=_cost,
)
