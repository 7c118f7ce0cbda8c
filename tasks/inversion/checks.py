"""What a dataset of concepts has to be for a training, found out before it begins."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tasks.fit import FitError
from tasks.inversion import concepts
from tasks.inversion.concepts import Concepts, ConceptsError

if TYPE_CHECKING:
    from models.musicgen import MusicGenAdapter


def opened(address: str, names: Sequence[str]) -> Concepts:
    """Read a dataset, and make sure that it has concepts.

    Raises
    ------
    FitError
        If it is none, or lacks one, or one has nothing to be learnt from or validated on.
    """
    try:
        data = concepts.read(address)
    except ConceptsError as error:
        raise FitError("dataset", str(error)) from error
    for name in names:
        if name not in data.names:
            raise FitError(
                "unknown-concept",
                f"{address} has no concept {name}: there are {', '.join(data.names)}.",
            )
        for split in concepts.SPLITS:
            if not any(each.concept == name for each in data.segments(split)):
                raise FitError(
                    "no-segments",
                    f"{name} has no segment to "
                    f"{'be learnt from' if split == 'train' else 'validate on'}: give it more "
                    "recordings and run prepare_concepts.py again, or name other concepts by "
                    "--concepts.",
                )
    return data


def check_lengths(data: Concepts, seconds: float) -> None:
    """Make sure that segments are as long as examples are to be.

    Raises
    ------
    FitError
        If one is shorter.
    """
    shortest = min(
        each.duration_seconds for split in concepts.SPLITS for each in data.segments(split)
    )
    if seconds > shortest:
        raise FitError(
            "examples-len",
            f"Segments of {shortest:g} s were prepared, and examples of {seconds:g} s are asked "
            "for: give a smaller --examples-len, or prepare longer segments.",
        )


def check_codec(data: Concepts, name: str, generator: "MusicGenAdapter") -> None:
    """Make sure that a generator tells the codes that a dataset is made of.

    Raises
    ------
    FitError
        If these are others.
    """
    fields = ("codebooks", "codebook_size", "frame_rate_hz", "sample_rate_hz")
    there = tuple(data.codec[each] for each in fields)
    wanted = tuple(getattr(generator, each) for each in fields)
    if there != wanted:
        raise FitError(
            "codec-differs",
            f"The codes of {data.place.address} are of {data.codec['name']} ({_said(*there)}), and "
            f"{name} makes music of {_said(*wanted)}: they do not belong together.",
        )


def _said(codebooks: int, size: int, frame_rate_hz: float, rate_hz: int) -> str:
    return f"{codebooks} codebooks of {size:,} at {frame_rate_hz:g} frames/s, {rate_hz:,} Hz"
