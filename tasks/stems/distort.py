"""Pairs of a song: the target in the mix and the mix without it, distorted alike.

Only contexts are distorted: a model is to continue with a clean stem what it hears in some
room, through some codec. Target and contexts of a pair keep their balance: one gain for all.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Self

import numpy as np
import pyarrow as pa
from pydantic import Field, model_validator

from tasks.dataset.seeding import seed_of
from tasks.stems.mixing import Pcm, Stems, peak_dbfs, to_pcm
from tasks.stems.schema import CONTEXTS, Context
from tasks.step import StepConfig, digest
from tasks.track import Samples

PEAK_DBFS = -1.0
"""Of the loudest context: what the codec hears is rounded to 16 bits, where more is clipped."""

NAMED_BY_VERSION = 1
"""In the identity of a pair. Raised when its signals become others from the same parameters."""

DistortionName = Literal["band_stop", "room", "seven_band_eq", "compression", "codec"]

PAIR = pa.struct(
    [
        ("pair_id", pa.string()),
        ("target", pa.string()),
        ("companions", pa.list_(pa.string())),
        ("kind", pa.string()),
        ("variant", pa.int32()),
        ("pitch_semitones", pa.float64()),
        ("tempo", pa.float64()),
        ("gain_db", pa.float64()),
        ("seed", pa.string()),
        ("distortions", pa.string()),
        ("samples", pa.int64()),
    ]
)


class DistortConfig(StepConfig):
    """How contexts are distorted."""

    kinds: tuple[DistortionName, ...] = Field(
        ("band_stop", "room", "seven_band_eq", "compression", "codec"),
        description="Distortions of which one is applied at a time.",
    )
    probability: float = Field(0.5, ge=0, le=1, description="How often one of them is applied.")
    noise_probability: float = Field(0.8, ge=0, le=1, description="How often noise is added.")
    min_snr_db: float = Field(
        20.0, description="Loudest noise, below the context.", json_schema_extra={"unit": "dB"}
    )
    max_snr_db: float = Field(
        35.0, description="Softest noise, below the context.", json_schema_extra={"unit": "dB"}
    )
    seed: int = Field(42, description="Changes what is drawn.")

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.min_snr_db > self.max_snr_db:
            raise ValueError("min_snr_db is at most max_snr_db")
        return self


def gain_of(
    stems: Stems, assortments: Sequence[Mapping[str, Any]], variant: Mapping[str, Any]
) -> float:
    """Return the gain in dB of all pairs of one target in one variant, which share its signal.

    Parameters
    ----------
    stems
        Of the variant.
    assortments
        Of the target.
    variant
        As `augment` drew it; its gain is too much where a mix would be clipped.
    """
    loudest_dbfs = max(stems.peak_dbfs(each, "all", 0.0) for each in assortments)
    gain_db: float = min(variant["gain_db"], PEAK_DBFS - loudest_dbfs)
    return gain_db


def distorted_pair(
    stems: Stems,
    names: Mapping[str, str],
    assortment: Mapping[str, Any],
    variant: Mapping[str, Any],
    gain_db: float,
    rate_hz: int,
    config: DistortConfig,
) -> tuple[dict[str, Any], dict[Context, Pcm]]:
    """Return a pair, as rows hold it, and its contexts.

    Parameters
    ----------
    stems, names
        Stems of the variant, and the name of each by its identity.
    assortment, variant
        Target and companions, and the variant.
    gain_db
        Of all signals of the pair.
    rate_hz
        Sample rate.
    config
        What may be drawn.
    """
    ids = (assortment["target"], *assortment["companions"])
    seed = seed_of("distort", config.seed, *ids, variant["variant"])
    contexts, chain = distorted(
        lambda context: stems.mixed(assortment, context, gain_db), rate_hz, seed, config
    )
    made_of = {
        "version": NAMED_BY_VERSION,
        "stems": [names[each] for each in ids],
        "gain_db": gain_db,
        "distortions": chain,
    }
    pair = {
        "pair_id": digest(json.dumps(made_of, sort_keys=True).encode()),
        **assortment,
        **{name: variant[name] for name in ("variant", "pitch_semitones", "tempo", "samples")},
        "gain_db": gain_db,
        "seed": seed,
        "distortions": json.dumps(chain),
    }
    # One after the other, for a float and a rounded copy of both not to be there at once.
    return pair, {name: to_pcm(contexts.pop(name)) for name in CONTEXTS}


def distorted(
    mixed: Callable[[Context], Samples], rate_hz: int, seed: str, config: DistortConfig
) -> tuple[dict[Context, Samples], list[dict[str, Any]]]:
    """Distort both contexts of a pair alike; return what was done to them as well.

    Parameters
    ----------
    mixed
        Gives a context before any distortion, shape ``(channels, samples)``; called once for
        each, the second time when the first is distorted.
    rate_hz
        Sample rate.
    seed
        Hexadecimal; all that is drawn follows from it.
    config
        What may be drawn.
    """
    from tasks.dsp import distortion, level

    rng = np.random.default_rng(int(seed, 16))
    context, chain = distortion.distort(
        rng,
        mixed("all"),
        rate_hz,
        one_of=config.kinds,
        probability=config.probability,
        noise_probability=config.noise_probability,
        noise_snr_db=(config.min_snr_db, config.max_snr_db),
    )
    without = distortion.apply_chain(mixed("all_without"), rate_hz, chain)
    # Boosted bands may go beyond full scale, where whole numbers would be clipped.
    louder = max(context, without, key=peak_dbfs)
    headroom = level.draw_headroom(rng, louder, rate_hz, PEAK_DBFS)
    if headroom["gain_db"]:
        softer = [{"name": "gain", **headroom}]
        del louder
        context = distortion.apply_chain(context, rate_hz, softer)
        without = distortion.apply_chain(without, rate_hz, softer)
        chain += softer
    return {"all": context, "all_without": without}, chain
