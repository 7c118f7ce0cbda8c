"""What may befall a recording before a model hears it: distortions, alone and in a chain.

A distortion is drawn for one signal and can then be applied to any: its parameters hold
all levels and seeds, so that the same ones do the same to a mix with a stem and to the
mix without it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tasks.dsp import codec_artefacts, dynamics, equaliser, level, noise, room
from tasks.track import Samples

Parameters = dict[str, Any]
"""What JSON can hold: numbers, text, lists of numbers."""


@dataclass(frozen=True, slots=True)
class Distortion:
    """One kind of distortion.

    Attributes
    ----------
    draw
        ``(rng, signal, rate_hz) -> parameters``; the signal is asked for its level alone.
    apply
        ``(signal, rate_hz, **parameters) -> signal`` of the same shape, fixed by its arguments.
    """

    draw: Callable[[np.random.Generator, Samples, int], Parameters]
    apply: Callable[..., Samples]


DISTORTIONS: Mapping[str, Distortion] = {
    "band_stop": Distortion(equaliser.draw_band_stop, equaliser.band_stop),
    "room": Distortion(room.draw, room.room),
    "seven_band_eq": Distortion(equaliser.draw_seven_band_eq, equaliser.seven_band_eq),
    "compression": Distortion(dynamics.draw, dynamics.compression),
    "codec": Distortion(codec_artefacts.draw, codec_artefacts.codec),
    "gaussian_noise": Distortion(noise.draw, noise.gaussian_noise),
    "gain": Distortion(level.draw_headroom, level.gain),
}

ONE_OF = "band_stop", "room", "seven_band_eq", "compression", "codec"


def distort(
    rng: np.random.Generator,
    signal: Samples,
    rate_hz: int,
    *,
    one_of: Sequence[str] = ONE_OF,
    probability: float = 0.5,
    noise_probability: float = 0.8,
    noise_snr_db: tuple[float, float] = noise.SNR_DB,
) -> tuple[Samples, list[Parameters]]:
    """Distort a signal at random: perhaps by one of some kinds, then perhaps by noise.

    Parameters
    ----------
    rng
        Source of all that is drawn.
    signal
        Shape ``(channels, samples)``; not changed.
    rate_hz
        Sample rate.
    one_of
        Names in ``DISTORTIONS``, all as likely.
    probability
        That one of these is applied.
    noise_probability
        That noise is added.
    noise_snr_db
        Range of the ratio of the signal, as it is then, to the noise.

    Returns
    -------
    distorted
        Of the signal's shape.
    chain
        What was done, in order: ``{"name": ..., parameter: value, ...}``. :func:`apply_chain`
        does it again, to this signal or another one.
    """
    chain: list[Parameters] = []
    if one_of and rng.random() < probability:
        name = one_of[int(rng.integers(len(one_of)))]
        chain.append({"name": name, **DISTORTIONS[name].draw(rng, signal, rate_hz)})
        signal = apply_chain(signal, rate_hz, chain)
    if rng.random() < noise_probability:
        hiss = {"name": "gaussian_noise", **noise.draw(rng, signal, rate_hz, noise_snr_db)}
        chain.append(hiss)
        signal = apply_chain(signal, rate_hz, [hiss])
    return signal, chain


def apply_chain(signal: Samples, rate_hz: int, chain: Sequence[Mapping[str, Any]]) -> Samples:
    """Distort a signal as it was done to another one.

    Parameters
    ----------
    signal
        Shape ``(channels, samples)``; not changed, and returned itself by an empty chain.
    rate_hz
        Sample rate, the same as that signal's.
    chain
        As from :func:`distort`.
    """
    for step in chain:
        parameters = {key: value for key, value in step.items() if key != "name"}
        signal = DISTORTIONS[step["name"]].apply(signal, rate_hz, **parameters)
    return signal
