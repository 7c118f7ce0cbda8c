"""What is scored: a separator, and what its scores are to be held against.

A candidate is a name: ``mixture``, which takes every source to be the mixture; ``irm`` and ``ibm``,
masks that know the truth; ``repet-centre``, which needs no weights; a registered separator, or one
of the user's own.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from models.protocols import SEPARATION, Separator
from tasks.separator.training_song import MIXTURE, REST
from tasks.step import Tools
from tasks.track import Samples
from tasks.weights import ModelError

RATIO_MASK, BINARY_MASK = "irm", "ibm"
IDEAL: Mapping[str, Literal["irm", "ibm"]] = {RATIO_MASK: "irm", BINARY_MASK: "ibm"}
"""Masks that know the truth."""

WITHOUT_WEIGHTS = "repet-centre"

WITHOUT_MODEL = (MIXTURE, RATIO_MASK, BINARY_MASK, WITHOUT_WEIGHTS)
"""Candidates that no weights are needed for."""

BLOCK_SECONDS = 10

Signals = npt.NDArray[Any]


@dataclass(frozen=True)
class Material:
    """A song as candidates get it.

    Attributes
    ----------
    references
        Its sources, shape ``(sources, channels, samples)``; integers of 16 bits are fine.
    mixture
        Shape ``(channels, samples)``.
    names
        Of the sources.
    rate_hz
        Sample rate.
    """

    references: Signals
    mixture: Samples
    names: tuple[str, ...]
    rate_hz: int

    def stereo(self) -> Iterator[Samples]:
        """Yield the mixture in blocks of shape ``(2, n)``."""
        from tasks.dsp.separation_scores import read

        step = BLOCK_SECONDS * self.rate_hz
        for start in range(0, self.mixture.shape[1], step):
            stop = min(start + step, self.mixture.shape[1])
            block = read(self.mixture, start, stop).astype(np.float32)
            yield block if len(block) == 2 else np.repeat(block, 2, axis=0)


@dataclass(frozen=True)
class Separation:
    """What a candidate makes of a song.

    Attributes
    ----------
    sources
        Of those of the song, which it has, by their places.
    blocks
        Shape ``(sources, channels, n)``, altogether as long as the song.
    """

    sources: Sequence[int]
    blocks: Iterator[Samples]


def separated(candidate: str, material: Material, tools: Tools) -> Separation:
    """Return the sources that a candidate takes out of a mixture.

    Raises
    ------
    ModelError
        If a separator cannot be used, works at another rate, or has none of the sources.
    """
    everything = range(len(material.names))
    if candidate == MIXTURE:
        return Separation(everything, _mixture(material))
    if candidate in IDEAL:
        from tasks.dsp.ideal_masks import masked

        kind = IDEAL[candidate]
        return Separation(everything, masked(material.references, material.mixture, kind))
    if candidate == WITHOUT_WEIGHTS:
        taken = parts(material.names, ("vocals", "accompaniment"))
        return Separation(list(taken), _added(_without_weights(material), taken, material))
    adapter = tools.model(candidate, SEPARATION)
    place = tools.weights.trained.get(candidate, candidate)
    if adapter.sample_rate_hz != material.rate_hz:
        raise ModelError(
            f"{place} separates at {adapter.sample_rate_hz} Hz, and the songs are decoded at "
            f"{material.rate_hz} Hz: give --sample_rate_hz {adapter.sample_rate_hz}."
        )
    taken = parts(material.names, adapter.sources)
    if not taken:
        raise ModelError(
            f"{place} knows {', '.join(adapter.sources)}, of which the songs have none as "
            f"a source of its own: {', '.join(material.names)}; --sources names others."
        )
    return Separation(list(taken), _added(_by_model(adapter, material, tools), taken, material))


def parts(names: Sequence[str], known: Sequence[str]) -> Mapping[int, list[int]]:
    """Tell which of a separator's sources add up to which of a song's.

    ``other`` and ``accompaniment`` are all that is no other source of the song: a separator has
    them only if it has all of these, and it has them as the sum of the rest.

    Parameters
    ----------
    names
        Sources of the song.
    known
        Sources of the separator.

    Returns
    -------
    dict
        Place of a song's source to the places of the separator's; those it lacks are not there.
    """
    named = [name for name in names if name not in REST]
    rest = [at for at, name in enumerate(known) if name not in named]
    taken: dict[int, list[int]] = {}
    for at, name in enumerate(names):
        if name in named:
            if name in known:
                taken[at] = [known.index(name)]
        elif rest and set(named) <= set(known):
            taken[at] = rest
    return taken


def _mixture(material: Material) -> Iterator[Samples]:
    channels = len(material.mixture)
    for block in material.stereo():
        yield np.repeat(block[None, :channels], len(material.names), axis=0)


def _without_weights(material: Material) -> Iterator[Samples]:
    """Yield vocals and the rest, shape ``(2, 2, n)``."""
    from tasks.dsp.separation import separate_blocks
    from tasks.dsp.separation_scores import read

    place = 0
    for vocals in separate_blocks(material.stereo(), material.rate_hz):
        mixture = read(material.mixture, place, place + vocals.shape[1]).astype(np.float32)
        place += vocals.shape[1]
        yield np.stack([vocals, mixture - vocals])


def _by_model(adapter: Separator, material: Material, tools: Tools) -> Iterator[Samples]:
    mean, std = 0.0, 1.0
    if adapter.needs_level:
        from models.demucs import level

        mean, std = level(material.stereo())
    yield from adapter.separate(
        material.stereo(), adapter.sources, mean=mean, std=std, batch_size=tools.batch_size
    )


def _added(
    blocks: Iterator[Samples], taken: Mapping[int, list[int]], material: Material
) -> Iterator[Samples]:
    """Add up a separator's stereo sources, and bring them to the song's channels."""
    for block in blocks:
        added: Samples = np.stack([block[places].sum(axis=0) for places in taken.values()])
        yield added.mean(axis=1, keepdims=True) if len(material.mixture) == 1 else added
