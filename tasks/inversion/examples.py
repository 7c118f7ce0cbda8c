"""What concepts are learnt from: segments of recordings as codes, each with a prompt.

What is drawn for a concept is a function of the seed, of its name and of its own segments: a
concept is learnt the same alone and beside others.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from models.inversion.tokens import entropy, token
from tasks.fit import FitError
from tasks.inversion.concepts import Concepts, ConceptsError, Segment, Split
from tasks.inversion.templates import TRAIN, prompt
from tasks.training import randomness

if TYPE_CHECKING:
    from torch import Tensor

Codes = npt.NDArray[np.uint16]

SEGMENT_BITS = 31
"""Of the number of an example, those that tell the segment; the 32 above tell the concept."""


@dataclass(frozen=True)
class Segments:
    """Segments of a concept.

    Attributes
    ----------
    concept
        Its name.
    codes
        Shape ``(segments, codebooks, frames)``.
    descriptions
        What is known of the recording of each; None where nothing is.
    """

    concept: str
    codes: Codes
    descriptions: Sequence[str | None]

    def __len__(self) -> int:
        return len(self.codes)


def chosen(
    dataset: Concepts, split: Split, concept: str, most: int, seed: int, *, beside: bool = False
) -> list[Segment]:
    """Return segments of a concept, drawn where it has more than are wanted.

    Parameters
    ----------
    dataset, split, concept
        Whose.
    most
        How many at most.
    seed
        Of what is drawn.
    beside
        Whether of all other concepts of the dataset instead.
    """
    found = [each for each in dataset.segments(split) if (each.concept == concept) is not beside]
    if len(found) <= most:
        return found
    rng = randomness.generator(seed, entropy(concept), len(split), int(beside))
    return [found[at] for at in sorted(rng.choice(len(found), most, replace=False))]


def read(dataset: Concepts, concept: str, segments: Sequence[Segment], seconds: float) -> Segments:
    """Read the codes of segments, of each the first seconds.

    Raises
    ------
    FitError
        If codes are gone or damaged.
    """
    frames = round(seconds * dataset.codec["frame_rate_hz"])
    codes = np.empty((len(segments), dataset.codec["codebooks"], frames), np.uint16)
    for at, segment in enumerate(segments):
        try:
            found = dataset.codes(segment)
        except ConceptsError as error:
            raise FitError("codes", str(error)) from error
        if found.shape[1] < frames:
            raise FitError(
                "codes",
                f"{dataset.place.address}/{segment.codes_path} is shorter than its table says: "
                "run prepare_concepts.py again.",
            )
        codes[at] = found[:, :frames]
    return Segments(concept, codes, [each.description for each in segments])


@dataclass(frozen=True)
class Examples:
    """Examples of concepts, in turn: as many of each, however many segments each has.

    An epoch goes once through the segments of the concept that has the most; those of the
    others are gone through again.

    Attributes
    ----------
    segments
        Of each concept.
    counts
        Vectors of each concept, by its name, in the order of their numbers.
    words
        Words before the first vector.
    shuffled
        Whether the vectors of a concept are put in another order in each example.
    """

    segments: Sequence[Segments]
    counts: Mapping[str, int]
    words: int
    shuffled: bool

    def __len__(self) -> int:
        """Return the number of examples of an epoch."""
        return len(self.segments) * max(map(len, self.segments))

    def order(self, seed: int, epoch: int) -> npt.NDArray[np.int64]:
        """Return the numbers of the examples of an epoch: one of each concept after the other."""
        longest = max(map(len, self.segments))
        numbers = np.empty((longest, len(self.segments)), np.int64)
        for column, segments in enumerate(self.segments):
            own = entropy(segments.concept)
            rng = randomness.generator(seed, epoch, own)
            rounds = -(-longest // len(segments))
            drawn = np.concatenate([rng.permutation(len(segments)) for _ in range(rounds)])
            # Whatever concepts are beside it, and so is what is random in the example.
            numbers[:, column] = (own << SEGMENT_BITS) + drawn[:longest]
        return numbers.ravel()

    def example(self, index: int, rng: np.random.Generator) -> dict[str, Any]:
        """Return codes, a prompt, and which vector stands in the place of which word."""
        own, at = divmod(index, 1 << SEGMENT_BITS)
        names = [entropy(each.concept) for each in self.segments]
        segments = self.segments[names.index(own)]
        template = TRAIN[rng.integers(len(TRAIN))]
        places = np.arange(sum(self.counts.values()))
        if self.shuffled:
            first, count = self._vectors(segments.concept)
            places[first : first + count] = first + rng.permutation(count)
        return {
            "codes": segments.codes[at].astype(np.int32),
            "prompt": prompt(template, token(segments.concept), segments.descriptions[at]),
            "places": self.words + places,
        }

    def collate(self, examples: Sequence[Mapping[str, Any]]) -> "dict[str, Tensor | list[str]]":
        """Return a batch of examples."""
        import torch

        return {
            "codes": torch.from_numpy(np.stack([each["codes"] for each in examples])),
            "places": torch.from_numpy(np.stack([each["places"] for each in examples])),
            "prompts": [each["prompt"] for each in examples],
        }

    def _vectors(self, concept: str) -> tuple[int, int]:
        """Return which is the first vector of a concept, and how many it has."""
        names = list(self.counts)
        before = names[: names.index(concept)]
        return sum(self.counts[each] for each in before), self.counts[concept]


def placed(ids: "Tensor", places: "Tensor", words: int) -> "Tensor":
    """Return the words of prompts with vectors in other places.

    Parameters
    ----------
    ids
        Numbers of words, shape ``(prompts, words of a prompt)``.
    places
        Of each prompt the number of the vector that stands where each one should, shape
        ``(prompts, vectors)``.
    words
        Words before the first vector.
    """
    import torch

    changed = places.gather(1, (ids - words).clamp(min=0))
    return torch.where(ids >= words, changed, ids)
