"""Generated pieces of concepts against recordings of them, by embeddings of both."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tasks.dsp.embedding_distances import frechet_distance, kernel_distance

Float32 = npt.NDArray[np.float32]

LEAST = 2
"""Embeddings on each side of a distance: one has no covariance, and no pairs."""

FIGURES = ("fad", "kad", "clap_similarity", "clap_similarity_to_others")
"""Whose means over the concepts are told as ``<name>_avg``."""


@dataclass(frozen=True)
class Comparison:
    """The pieces of one concept beside recordings.

    Attributes
    ----------
    n, n_reference
        Pieces, and recordings of the concept: what the distances rest on.
    fad, kad
        Fréchet and kernel distance of the pieces from the recordings of the concept, as
        :mod:`tasks.dsp.embedding_distances` has them; None of fewer than two on a side.
    similarities
        Mean cosine of a piece and a recording over all pairs, by the concept of the recordings.
    """

    n: int
    n_reference: int
    fad: float | None
    kad: float | None
    similarities: Mapping[str, float]

    def figures(self, concept: str) -> dict[str, float]:
        """Return the figures of a concept by name, those that there are."""
        others = [value for name, value in self.similarities.items() if name != concept]
        found = {
            "fad": self.fad,
            "kad": self.kad,
            "clap_similarity": self.similarities[concept],
            "clap_similarity_to_others": float(np.mean(others)) if others else None,
        }
        return {name: value for name, value in found.items() if value is not None}


def compared(
    pieces: Mapping[str, Float32], recordings: Mapping[str, Float32]
) -> dict[str, Comparison]:
    """Compare the pieces of each concept with recordings of all.

    Parameters
    ----------
    pieces, recordings
        Embeddings of unit norm of each concept, shape ``(n, dimensions)``.
    """
    return {name: _compared(rows, recordings[name], recordings) for name, rows in pieces.items()}


def _compared(rows: Float32, references: Float32, recordings: Mapping[str, Float32]) -> Comparison:
    is_enough = min(len(rows), len(references)) >= LEAST
    # Of unit vectors, the mean cosine over all pairs is the product of the means.
    means = {name: each.mean(axis=0, dtype=np.float64) for name, each in recordings.items()}
    centre = rows.mean(axis=0, dtype=np.float64)
    return Comparison(
        n=len(rows),
        n_reference=len(references),
        fad=frechet_distance(rows, references).value if is_enough else None,
        kad=kernel_distance(rows, references).value if is_enough else None,
        similarities={name: float(centre @ mean) for name, mean in means.items()},
    )


def metrics(found: Mapping[str, Comparison]) -> dict[str, float]:
    """Return the figures of each concept as ``<name>/<concept>``, with their ``n``."""
    named: dict[str, float] = {}
    for concept, each in found.items():
        named |= {f"{name}/{concept}": value for name, value in each.figures(concept).items()}
        named[f"n/{concept}"] = each.n
        named[f"n_reference/{concept}"] = each.n_reference
    return named


def averages(found: Mapping[str, Comparison]) -> dict[str, float]:
    """Return the means over the concepts, ``<name>_avg`` of each figure that there is."""
    figures = [each.figures(concept) for concept, each in found.items()]
    means = {}
    for name in FIGURES:
        if values := [each[name] for each in figures if name in each]:
            means[f"{name}_avg"] = float(np.mean(values))
    return means
