"""Pairs of a song: the target in the mix and the mix without it, distorted alike.

Only contexts are distorted: a model is to continue with a clean stem what it hears in some
room, through some codec. Target and contexts of a pair keep their balance: one gain for all.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
import pyarrow as pa
from pydantic import Field, model_validator

from tasks import audio
from tasks.dataset.seeding import seed_of
from tasks.stems.mixing import from_db, mixture, peak_dbfs
from tasks.step import Row, Step, StepConfig, Tools, column, digest, per_track
from tasks.track import Samples, Track

PEAK_DBFS = -1.0
"""Of the loudest context: as files are stored with whole numbers, more would be clipped."""

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
        ("stem_path", pa.string()),
        ("all_path", pa.string()),
        ("all_without_path", pa.string()),
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


@dataclass(frozen=True, slots=True)
class Mixes:
    """The signals of a pair before any distortion, shape ``(channels, samples)`` each.

    Attributes
    ----------
    stem, all_without
        The target, and its companions together.
    all
        Both: their sum, sample by sample.
    """

    stem: Samples
    all: Samples
    all_without: Samples


def distort(
    track: Track, upstream: Mapping[str, Row | None], config: DistortConfig, tools: Tools
) -> Row:
    """Mix and store the contexts of every assortment of a song in every variant."""
    augmented, assorted = upstream["augment"], upstream["assort"]
    assert augmented is not None
    assert assorted is not None
    pairs = [
        pair
        for variant in augmented["variants"]
        for target in dict.fromkeys(each["target"] for each in assorted["assortments"])
        for pair in _pairs(
            [each for each in assorted["assortments"] if each["target"] == target],
            variant,
            augmented,
            config,
            tools,
        )
    ]
    return {
        "pairs": pairs,
        "sample_rate_hz": augmented["sample_rate_hz"],
        "channels": augmented["channels"],
    }


def mixes(
    tools: Tools,
    assortment: Mapping[str, Any],
    paths: Mapping[str, str],
    *,
    gain_db: float,
    sample_rate_hz: int,
    channels: int,
    samples: int,
) -> Mixes:
    """Mix the signals of a pair before any distortion.

    Parameters
    ----------
    tools
        Where the signals are stored.
    assortment
        Target and companions.
    paths
        File of each stem in the pair's variant.
    gain_db
        Of all three.
    sample_rate_hz, channels, samples
        Of the files.
    """
    stored = {"rate_hz": sample_rate_hz, "channels": channels, "samples": samples}
    companions = [paths[stem_id] for stem_id in assortment["companions"]]
    stem = mixture(tools.outputs, [paths[assortment["target"]]], **stored)
    all_without = mixture(tools.outputs, companions, **stored)
    gain = from_db(gain_db)
    stem *= gain
    all_without *= gain
    return Mixes(stem, stem + all_without, all_without)


def _pairs(
    assortments: Sequence[Mapping[str, Any]],
    variant: Mapping[str, Any],
    augmented: Row,
    config: DistortConfig,
    tools: Tools,
) -> Iterator[dict[str, Any]]:
    """Yield the pairs of one target in one variant, which share its signal and so their gain."""
    rate_hz, channels = augmented["sample_rate_hz"], augmented["channels"]
    paths = {
        each["stem_id"]: each["path"]
        for each in augmented["signals"]
        if each["variant"] == variant["variant"]
    }

    def mixed(assortment: Mapping[str, Any], gain_db: float) -> Mixes:
        return mixes(
            tools,
            assortment,
            paths,
            gain_db=gain_db,
            sample_rate_hz=rate_hz,
            channels=channels,
            samples=variant["samples"],
        )

    # Mixed twice, since no more than one pair is to be in memory: sums cost next to nothing.
    loudest_dbfs = max(peak_dbfs(mixed(each, 0.0).all) for each in assortments)
    gain_db = min(variant["gain_db"], PEAK_DBFS - loudest_dbfs)
    for assortment in assortments:
        together = mixed(assortment, gain_db)
        seed = seed_of(
            "distort",
            config.seed,
            assortment["target"],
            *assortment["companions"],
            variant["variant"],
        )
        contexts, chain = distorted(together, rate_hz, seed, config)
        made_of = {
            "version": STEP.version,
            "stems": [paths[each] for each in (assortment["target"], *assortment["companions"])],
            "gain_db": gain_db,
            "distortions": chain,
        }
        pair_id = digest(json.dumps(made_of, sort_keys=True).encode())
        stored = {name: f"contexts/{pair_id}-{name}.flac" for name in contexts}
        for name, context in contexts.items():
            audio.write_flac(tools.outputs, stored[name], context, rate_hz)
        yield {
            "pair_id": pair_id,
            **assortment,
            **{name: variant[name] for name in ("variant", "pitch_semitones", "tempo", "samples")},
            "gain_db": gain_db,
            "seed": seed,
            "distortions": json.dumps(chain),
            "stem_path": paths[assortment["target"]],
            "all_path": stored["all"],
            "all_without_path": stored["all_without"],
        }


def distorted(
    together: Mixes, rate_hz: int, seed: str, config: DistortConfig
) -> tuple[dict[str, Samples], list[dict[str, Any]]]:
    """Distort both contexts of a pair alike; return what was done to them as well.

    Parameters
    ----------
    together
        The pair before any distortion.
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
        together.all,
        rate_hz,
        one_of=config.kinds,
        probability=config.probability,
        noise_probability=config.noise_probability,
        noise_snr_db=(config.min_snr_db, config.max_snr_db),
    )
    without = distortion.apply_chain(together.all_without, rate_hz, chain)
    # Boosted bands may go beyond full scale, where the file would be clipped.
    louder = max(context, without, key=peak_dbfs)
    headroom = level.draw_headroom(rng, louder, rate_hz, PEAK_DBFS)
    if headroom["gain_db"]:
        softer = [{"name": "gain", **headroom}]
        context = distortion.apply_chain(context, rate_hz, softer)
        without = distortion.apply_chain(without, rate_hz, softer)
        chain += softer
    return {"all": context, "all_without": without}, chain


STEP = Step(
    name="distort",
    version=1,
    config=DistortConfig,
    columns=pa.schema(
        [
            column("pairs", pa.list_(PAIR), "Pairs, with all parameters and their files"),
            column("sample_rate_hz", pa.int32(), "Rate of the files", "Hz"),
            column("channels", pa.int32(), "Channels of the files"),
        ]
    ),
    run=per_track(distort),
    upstream=("augment", "assort"),
)
