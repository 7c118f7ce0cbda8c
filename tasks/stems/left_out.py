"""Which stems leave a song since another, or others, sound the same; and what is said of it."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from tasks.stems.near_copies import Relation, groups, related
from tasks.step import Row

LOSSLESS = frozenset(
    [
        ".wav",
        ".wave",
        ".aif",
        ".aiff",
        ".aifc",
        ".flac",
        ".w64",
        ".caf",
        ".au",
        ".wv",
        ".ape",
        ".tta",
        ".alac",
    ]
)
"""Suffixes of files that lose nothing."""

SAME_NAME_DB = -3.0
"""Residual below which two files of one name and different formats are one stem."""


def leave_out(stems: Sequence[Row], found: Sequence[Relation]) -> tuple[dict[int, str], list[Row]]:
    """Choose the stems that leave a song, so that none that stays is in another unnoticed.

    Of copies the best stays: one of use before others, the lossless one, that of the highest
    rate, of most channels, the longest, then the first. A sum leaves if all of its parts are of
    use; its parts stay. A stem that holds another and more stays, as does the other: the two
    are never in one example.

    Parameters
    ----------
    stems
        With ``instrument`` and ``silent``.
    found
        What the stems have to do with each other, by their numbers.

    Returns
    -------
    reasons, problems
        Why a stem leaves, by its number; and remarks.
    """
    found = [_by_name(stems, each) for each in found]
    reasons: dict[int, str] = {}
    problems: list[Row] = []
    for mates in _copies(stems, found):
        kept, *others = sorted(mates, key=lambda at: (*_rank(stems[at]), at))
        for at in sorted(others):
            reasons[at] = "near-copy"
            problems.append(
                _problem(stems[at], "near-copy", _copy_sentence(stems, found, at, kept))
            )
    first = groups(found, len(stems))
    staying = {first[at] for at, stem in enumerate(stems) if at not in reasons and _is_of_use(stem)}
    for each in found:
        at = each.stem
        if each.kind != "sum" or at in reasons or not _is_of_use(stems[at]):
            continue
        if all(first[part] in staying for part in each.others):
            reasons[at] = "sum-of-stems"
            parts = sorted({first[part] for part in each.others})
            problems.append(
                _problem(
                    stems[at],
                    "sum-of-stems",
                    f"{stems[at]['source']} is the sum of {_names(stems, parts)} "
                    f"({each.residual_db:.0f} dB are left without them): it is left out.",
                )
            )
    used = [at for at, stem in enumerate(stems) if at not in reasons and _is_of_use(stem)]
    pairs = related(found, len(stems))
    for at in used:
        # Said once, of the first of the two; which holds which, the table does not say.
        others = [other for other in used if (at, other) in pairs]
        if others:
            problems.append(
                _problem(
                    stems[at],
                    "shared-sound",
                    f"{stems[at]['source']} is heard in {_names(stems, others)}, or the other "
                    "way round: they are never in one example.",
                )
            )
    return reasons, problems


def _by_name(stems: Sequence[Row], relation: Relation) -> Relation:
    """Return a relation, as a copy if the names say what the sound leaves open.

    What is noise to an encoder sounds like another recording: cymbals in an MP3 at 40 kb/s are
    7 dB apart from themselves, as left and right of a drum kit are.
    """
    stem, other = stems[relation.stem], stems[relation.others[0]]
    if (
        relation.kind == "holds"
        and relation.residual_db < SAME_NAME_DB
        and stem["name"].casefold() == other["name"].casefold()
        and _suffix(stem) != _suffix(other)
    ):
        return replace(relation, kind="copy")
    return relation


def _suffix(stem: Row) -> str:
    return "." + str(stem["source"]).rpartition(".")[2].lower()


def _copies(stems: Sequence[Row], found: Sequence[Relation]) -> Iterator[list[int]]:
    """Yield the numbers of stems that are copies of each other."""
    first = groups(found, len(stems))
    for at in sorted(set(first)):
        mates = [each for each, place in enumerate(first) if place == at]
        if len(mates) > 1:
            yield mates


def _is_of_use(stem: Row) -> bool:
    return stem["instrument"] is not None and not stem["silent"]


def _rank(stem: Row) -> tuple[Any, ...]:
    """Return what a stem is chosen by among its copies: the smallest is the best."""
    return (
        not _is_of_use(stem),
        _suffix(stem) not in LOSSLESS,
        -stem["source_rate_hz"],
        -stem["source_channels"],
        -round(stem["duration_seconds"], 1),
    )


def _copy_sentence(stems: Sequence[Row], found: Sequence[Relation], at: int, kept: int) -> str:
    text = f"{stems[at]['source']} sounds like {stems[kept]['source']}"
    for each in found:
        if each.kind == "copy" and {each.stem, *each.others} == {at, kept}:
            lag_seconds = each.lag_seconds if each.stem == at else -each.lag_seconds
            text += f" ({each.residual_db:.0f} dB apart"
            if abs(lag_seconds) >= 0.001:
                text += f", {abs(lag_seconds):.3f} s {'later' if lag_seconds > 0 else 'earlier'}"
            text += ")"
            break
    return f"{text}: it is left out."


def _names(stems: Sequence[Row], numbers: Sequence[int]) -> str:
    *others, last = [str(stems[at]["source"]) for at in numbers]
    return f"{', '.join(others)} and {last}" if others else last


def _problem(stem: Row, reason: str, message: str) -> Row:
    return {"path": stem["source"], "reason": reason, "message": message}
