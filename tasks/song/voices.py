"""Whose voice is heard where, by the rows of the step `activity` and by timed lyrics.

Vocals are what is sung, and what is spoken in a track that is no speech: the network hears rap as
speech over music. Each decision has a middle in which activity alone does not decide.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Span = tuple[float, float]
"""Start and end in seconds."""

UNHEARD_SHARE, HEARD_SHARE = 0.05, 0.2
"""Of a segment: below it has surely no vocals, from the other on it surely has. In 40 synthesised
songs, 45 of the 49 sections without vocals had less than 0.05, and 133 of the 136 sung ones 0.23 or
more; single instruments were taken for a voice in up to 0.17 of their time."""

PLAIN_SHARE = 0.5
"""Of a segment, from which on it has vocals whatever lyrics say: they lack calls and choruses."""

MIDDLE_SHARE = 0.1
"""What decides between the two where nothing else does: of the same sections, 2 without vocals had
more and 3 sung ones less."""

DISAGREEING_SHARE = 0.4
"""Of the time of lines, or of vocals, that has to be without the other for a notice. Soft backing
vocals are missed: 3 of 8 lines of a synthesised song were not heard at all."""

LINE_UNHEARD_SHARE = 0.1
"""Of a line, below which it is not heard at all."""

JUDGED_SECONDS = 10.0
"""Of a line, from its start: where an end is not stated the next line is, after a solo."""

LAST_LINE_SECONDS = 4.0
"""Of a last line whose end is not stated. Lines of a song were 3.3 to 4.5 s long."""

TOLERANCE_SECONDS = 1.0
"""By which vocals may lie outside of lines: ends of lines are seldom stated well."""

MIN_GAP_SECONDS = 2.0
"""Of vocals without a line, to be told: shorter ones are calls and breaths."""

TOLD_SPANS = 5
"""How many times a notice names."""


def may_be_music(activity: Mapping[str, Any] | None) -> bool:
    """Return whether a track may have a tempo, a key and chords: all but speech and silence.

    Parameters
    ----------
    activity
        Row of the step; None where there is none.
    """
    return not activity or activity["content"] not in ("speech", "silence")


def voices(activity: Mapping[str, Any]) -> list[tuple[float, float, str]]:
    """Return start, end and kind of each voice that is heard, ``singing`` or ``speech``.

    Parameters
    ----------
    activity
        Row of the step. Of times at which both are heard, or one follows the other without a
        pause, the kind is the one that is heard for longer.
    """
    spans = {kind: _spans(activity, kind) for kind in ("singing", "speech")}
    found = []
    for start, end in _united([*spans["singing"], *spans["speech"]]):
        lengths = {kind: _overlap([(start, end)], each) for kind, each in spans.items()}
        found.append((start, end, max(lengths, key=lengths.__getitem__)))
    return found


def vocals(activity: Mapping[str, Any]) -> list[Span]:
    """Return where there are vocals."""
    is_speech = activity["content"] == "speech"
    kinds = ("singing",) if is_speech else ("singing", "speech")
    return _united([span for kind in kinds for span in _spans(activity, kind)])


def vocals_share(activity: Mapping[str, Any], start_seconds: float, end_seconds: float) -> float:
    """Return the share of a segment in which there are vocals."""
    length = end_seconds - start_seconds
    segment = [(start_seconds, end_seconds)]
    return float(_overlap(segment, vocals(activity)) / length) if length > 0 else 0.0


def has_vocals(
    activity: Mapping[str, Any] | None,
    lyrics: Mapping[str, Any] | None,
    start_seconds: float,
    end_seconds: float,
) -> bool | None:
    """Return whether a segment surely has vocals; None if that cannot be told.

    Timed lyrics that agree with what is heard over the track decide, unless a voice is plainly
    heard: they know of soft voices, and of instruments that seem to sing. Others decide where
    activity is in doubt.

    Parameters
    ----------
    activity, lyrics
        Rows of these steps; None or empty where there is none.
    start_seconds, end_seconds
        The segment.
    """
    if not activity:
        return None
    share = vocals_share(activity, start_seconds, end_seconds)
    if share >= PLAIN_SHARE:
        return True
    is_sure = share < UNHEARD_SHARE or share >= HEARD_SHARE
    lines = timed_lines(lyrics)
    if lines and not (is_sure and disagreements(activity, lyrics)):
        return _is_in_lines(lines, start_seconds, end_seconds, is_heard=share >= UNHEARD_SHARE)
    return share >= HEARD_SHARE if is_sure else None


def _is_in_lines(
    lines: Sequence[Span], start_seconds: float, end_seconds: float, *, is_heard: bool
) -> bool:
    """Return whether lines lie in a segment; where nothing is heard, whether one begins there."""
    if not is_heard:
        return any(start_seconds <= start < end_seconds for start, _ in lines)
    segment = [(start_seconds, end_seconds)]
    return _overlap(segment, _begun(lines)) >= UNHEARD_SHARE * _length(segment)


def is_instrumental(
    activity: Mapping[str, Any], lyrics: Mapping[str, Any] | None, duration_seconds: float
) -> bool | None:
    """Return whether a track is music without vocals; None if that cannot be told.

    Speech and singing without accompaniment are not; what is neither music nor a voice is nothing
    of which it could be told.
    """
    if activity["content"] in ("speech", "singing"):
        return False
    sung = has_vocals(activity, lyrics, 0.0, duration_seconds)
    if sung:
        return False
    return True if sung is False and activity["content"] == "music" else None


def disagreements(
    activity: Mapping[str, Any] | None, lyrics: Mapping[str, Any] | None
) -> list[str]:
    """Return a notice for each way in which timed lyrics and what is heard disagree."""
    lines = timed_lines(lyrics)
    if not activity or not lines:
        return []
    heard = [(start, end) for start, end, _ in voices(activity)]
    begun = _begun(lines)
    unheard = [
        line for line in begun if _overlap([line], heard) < LINE_UNHEARD_SHARE * _length([line])
    ]
    near = _united((start - TOLERANCE_SECONDS, end + TOLERANCE_SECONDS) for start, end in lines)
    wordless = [span for span in _without(heard, near) if span[1] - span[0] >= MIN_GAP_SECONDS]
    notices = []
    if _length(unheard) >= DISAGREEING_SHARE * _length(begun) > 0.0:
        notices.append(f"not-heard: Lines are timed where no voice is heard: {_told(unheard)}.")
    if wordless and _length(wordless) >= DISAGREEING_SHARE * _length(heard):
        notices.append(f"no-lines: A voice is heard where no line is timed: {_told(wordless)}.")
    return notices


def timed_lines(lyrics: Mapping[str, Any] | None) -> list[Span]:
    """Return the times of the lines of lyrics; none if they are another recording's.

    They are if lines would start after the end of the audio.
    """
    row = lyrics or {}
    if row.get("line_start_seconds") is None or row.get("lines_beyond_end"):
        return []
    return [
        (start, start + LAST_LINE_SECONDS if end is None else end)
        for start, end in zip(row["line_start_seconds"], row["line_end_seconds"], strict=True)
        if start is not None
    ]


def _begun(lines: Iterable[Span]) -> list[Span]:
    return [(start, min(end, start + JUDGED_SECONDS)) for start, end in lines]


def _spans(activity: Mapping[str, Any], kind: str) -> list[Span]:
    return list(
        zip(activity[f"{kind}_start_seconds"], activity[f"{kind}_end_seconds"], strict=True)
    )


def _united(spans: Iterable[Span]) -> list[Span]:
    """Return the same without overlaps, in order of time."""
    joined: list[Span] = []
    for start, end in sorted(spans):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((start, end))
    return joined


def _without(spans: Sequence[Span], others: Sequence[Span]) -> list[Span]:
    """Return what of spans none of the others covers; both without overlaps and in order."""
    left = []
    for start, end in spans:
        for other_start, other_end in others:
            if other_start >= end:
                break
            if other_end > start:
                if other_start > start:
                    left.append((start, other_start))
                start = other_end
        if start < end:
            left.append((start, end))
    return left


def _overlap(spans: Sequence[Span], others: Sequence[Span]) -> float:
    """Return the seconds that spans and others have together; each without overlaps."""
    return sum(
        max(0.0, min(end, other_end) - max(start, other_start))
        for start, end in spans
        for other_start, other_end in others
    )


def _length(spans: Iterable[Span]) -> float:
    return sum(end - start for start, end in spans)


def _told(spans: Sequence[Span]) -> str:
    """`0:12-0:16, 1:02-1:05 and 3 more`."""
    told = [f"{_clock(start)}-{_clock(end)}" for start, end in spans[:TOLD_SPANS]]
    more = len(spans) - TOLD_SPANS
    return ", ".join(told) + (f" and {more} more" if more > 0 else "")


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
