"""Vocals of a song, by a trained network or, without one, by repetition and position."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from pydantic import Field, model_validator

from models import registry
from models.protocols import SEPARATION
from models.weights import NAME_DIGITS
from tasks.audio import Repair
from tasks.step import (
    Resource,
    Row,
    Samples,
    Step,
    StepConfig,
    Tools,
    Track,
    column,
    digest,
    per_track,
)
from tasks.weights import ModelError

ENVELOPE_HOP_SECONDS = 0.1
NETWORK_RATE_HZ = 44_100

HEADROOM = 1 - 2.0**-15
"""The largest sample that 16 bits hold."""

WITHOUT_WEIGHTS = "repet-centre"

SEPARATORS = (
    WITHOUT_WEIGHTS,
    *(card.name for card in registry.CARDS.values() if card.task == SEPARATION.name),
)
"""Separators that need no model of the user's own."""

_OWN = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._-]*-[0-9a-f]{{{NAME_DIGITS}}}")


class SeparateConfig(StepConfig):
    """How vocals are told from accompaniment.

    Attributes
    ----------
    separator
        A registered model; one of the user's own, by the name that
        :meth:`tasks.weights.Weights.with_own` gives it; or
        ``repet-centre``: what repeats and what comes from the sides is accompaniment
        (see ``tasks/dsp/separation.py``). A mono track has no sides, and a solo voice
        or a track below 2.8 s nothing that repeats under it: then the other half of the
        method decides alone, and a solo voice in mono passes through a high-pass.
    sample_rate_hz
        Rate at which the track is separated and the vocals are stored; a network has one
        of its own, all the registered ones 44.1 kHz.
    """

    separator: str = WITHOUT_WEIGHTS
    sample_rate_hz: int = Field(default=NETWORK_RATE_HZ, ge=8_000, le=192_000)

    @model_validator(mode="after")
    def _is_consistent(self) -> "SeparateConfig":
        if self.separator not in SEPARATORS and not _OWN.fullmatch(self.separator):
            raise ValueError(
                f"{self.separator} is no separator; there are {', '.join(SEPARATORS)}, and models "
                "of your own"
            )
        if self.separator in registry.CARDS and self.sample_rate_hz != NETWORK_RATE_HZ:
            raise ValueError(f"{self.separator} separates at {NETWORK_RATE_HZ} Hz only")
        return self

    def keyed(self) -> dict[str, Any]:
        """Return what it was when a model of the user's own had a field: old rows are found."""
        return {
            "separator": self.separator,
            "checkpoint_sha256": None,
            "sample_rate_hz": self.sample_rate_hz,
        }


def separate(
    track: Track, upstream: Mapping[str, Row | None], config: SeparateConfig, tools: Tools
) -> Row:
    """Store a track's vocals as stereo FLAC beside the tables."""
    from tasks.audio import write_flac

    rate_hz = config.sample_rate_hz
    hop = round(ENVELOPE_HOP_SECONDS * rate_hz)
    repair = Repair.of(upstream["probe"])
    path = vocals_path(track, config, _revisions(config, tools))

    def stored(gain: float) -> tuple[RmsEnvelope, RmsEnvelope, float]:
        mix_rms, vocal_rms = RmsEnvelope(hop), RmsEnvelope(hop)
        # Nothing is kept whole: the mix is decoded while its vocals are written.
        mix = mix_rms.measuring(tools.mix_stereo_blocks(track, rate_hz, repair))
        if config.separator == WITHOUT_WEIGHTS:
            from tasks.dsp.separation import separate_blocks

            blocks = separate_blocks(mix, rate_hz)
        else:
            blocks = _by_network(track, mix, repair, config, tools)
        written = Amplified(gain)
        write_flac(tools.outputs, path, written.passing(vocal_rms.measuring(blocks)), rate_hz)
        return mix_rms, vocal_rms, written.peak

    gain = 1.0
    mix_rms, vocal_rms, peak = stored(gain)
    if peak > 1:
        # Rare: of mixes beyond full scale. Once more, since vocals are never clipped.
        gain = HEADROOM / peak
        mix_rms, vocal_rms, _ = stored(gain)
    return {
        "vocals_path": path,
        "vocals_gain_db": 20 * float(np.log10(gain)),
        "vocal_rms": vocal_rms.values(),
        "mix_rms": mix_rms.values(),
        "envelope_hop_seconds": hop / rate_hz,
        "method": config.separator,
    }


def vocals_path(track: Track, config: SeparateConfig, revisions: tuple[str, ...] = ()) -> str:
    """Name of a track's vocals: a digest of all that they depend on.

    Parameters
    ----------
    track, config
        What was separated, and how.
    revisions
        Of the models that `config` uses.
    """
    keyed = json.dumps(config.keyed(), separators=(",", ":"))
    made_by = digest(" ".join([str(STEP.version), keyed, *revisions]).encode())
    return f"{track.track_id}-{made_by[:8]}.flac"


def _by_network(
    track: Track, mix: Iterable[Samples], repair: Repair, config: SeparateConfig, tools: Tools
) -> Iterator[Samples]:
    """Vocals of a track, shape ``(2, n)`` each, by a network.

    Raises
    ------
    ModelError
        If the network cannot be used, knows no vocals, or has another rate.
    """
    adapter = tools.model(config.separator, SEPARATION)
    rate_hz, name = config.sample_rate_hz, config.separator
    place = tools.weights.trained.get(name, name)
    if "vocals" not in adapter.sources:
        raise ModelError(f"The model {place} knows no vocals, only: {', '.join(adapter.sources)}")
    if adapter.sample_rate_hz != rate_hz:
        raise ModelError(
            f"The model {place} separates at {adapter.sample_rate_hz} Hz, not at {rate_hz} Hz"
        )
    mean, std = 0.0, 1.0
    if adapter.needs_level:
        from models.demucs import level

        # Decoding twice costs less than keeping the track.
        mean, std = level(tools.mix_stereo_blocks(track, rate_hz, repair))
    stems = adapter.separate(mix, ["vocals"], mean=mean, std=std, batch_size=tools.batch_size)
    for (vocals,) in stems:
        yield vocals


def _models(config: SeparateConfig) -> tuple[str, ...]:
    """Models that a configuration uses."""
    return () if config.separator == WITHOUT_WEIGHTS else (config.separator,)


def _resource(config: SeparateConfig) -> Resource:
    return "CPU" if config.separator == WITHOUT_WEIGHTS else "GPU"


def _revisions(config: SeparateConfig, tools: Tools) -> tuple[str, ...]:
    return tuple(tools.weights.revision(name) for name in _models(config))


class Amplified:
    """A signal that passes with a gain.

    Parameters
    ----------
    gain
        Factor of all samples.

    Attributes
    ----------
    peak
        Largest sample of what has passed.
    """

    def __init__(self, gain: float) -> None:
        self._gain = np.float32(gain)
        self.peak = 0.0

    def passing(self, pieces: Iterable[Samples]) -> Iterator[Samples]:
        """Pass on the pieces of a signal, of any shape."""
        for piece in pieces:
            amplified = piece if self._gain == 1 else piece * self._gain
            self.peak = max(self.peak, float(np.abs(amplified).max(initial=0.0)))
            yield amplified


class RmsEnvelope:
    """RMS of the mono sum of a stereo signal, per block of `hop` samples.

    Parameters
    ----------
    hop
        Samples per block; the last block of the signal may be shorter.
    """

    def __init__(self, hop: int) -> None:
        self._hop = hop
        self._rms: list[np.float32] = []
        self._rest = np.empty(0, np.float32)

    def measuring(self, pieces: Iterable[Samples]) -> Iterator[Samples]:
        """Pass on the pieces of a signal, shape ``(2, n)`` each, and measure them."""
        for piece in pieces:
            mono = (piece[0] + piece[1]) * np.float32(0.5)
            mono = np.concatenate([self._rest, mono])
            whole = len(mono) - len(mono) % self._hop
            self._rms += [_rms(block) for block in mono[:whole].reshape(-1, self._hop)]
            self._rest = mono[whole:].copy()
            yield piece

    def values(self) -> Samples:
        """RMS of every block so far, shape ``(blocks,)``."""
        last = [_rms(self._rest)] if len(self._rest) else []
        return np.array(self._rms + last, np.float32)


def _rms(mono: Samples) -> np.float32:
    return np.float32(np.sqrt(np.dot(mono, mono) / len(mono)))


def _cost(config: SeparateConfig, device: str) -> float:
    """Return seconds per minute of audio; a model of the user's own may cost anything."""
    cpu = {WITHOUT_WEIGHTS: 0.85, "spleeter": 1.35, "spleeter-wiener": 2.0, "mdx_extra": 160.0}
    if config.separator in cpu and (device == "cpu" or _resource(config) == "CPU"):
        return cpu[config.separator]
    return 39.0 if device == "cpu" else 0.8


STEP = Step(
    name="separate",
    version=2,
    config=SeparateConfig,
    columns=pa.schema(
        [
            column("vocals_path", pa.string(), "Vocals as stereo FLAC, below the outputs"),
            column(
                "vocals_gain_db",
                pa.float64(),
                "Gain of the stored vocals; 0 unless they would be clipped",
                "dB",
            ),
            column(
                "vocal_rms",
                pa.list_(pa.float32()),
                "RMS of the vocals in mono per block; 1 is full scale",
            ),
            column(
                "mix_rms",
                pa.list_(pa.float32()),
                "RMS of the mix in mono per block; 1 is full scale",
            ),
            column("envelope_hop_seconds", pa.float64(), "Length of a block", "s"),
            column("method", pa.string(), "How the vocals were separated"),
        ]
    ),
    run=per_track(separate),
    upstream=("probe",),
    resource=_resource,
    models=_models,
    cost=_cost,
)
