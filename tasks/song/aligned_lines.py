"""Known lines in a recording: which are sung, and when each of their words is."""

from collections.abc import Sequence
from dataclasses import replace

from models.protocols import Signal, Transcriber
from tasks.song import word_edges
from tasks.song.word_places import (
    MAX_BYTES,
    MIN_EVIDENCE,
    Ear,
    Known,
    Placed,
    PlacedLine,
    bytes_of,
    located,
    next_start,
    placed,
)


def find(
    model: Transcriber, signal: Signal, lines: Sequence[Known], language: str, *, is_vocals: bool
) -> list[PlacedLine | None]:
    """Find the words of lines in a recording.

    Parameters
    ----------
    model
        Whisper's adapter.
    signal, shape (n,)
        Mono, at 16 kHz.
    lines
        In the order in which they are sung.
    language
        BCP 47 tag of their language.
    is_vocals
        Whether the signal is separated vocals, in which pauses are heard.

    Returns
    -------
    list of PlacedLine or None
        One for each line; None if it is not sung in this recording, or has no words.
    """
    parts = [part for line in lines for part in in_parts(line)]
    if not parts or not len(signal):
        return [None] * len(lines)
    found = _find_parts(Ear(model, signal, language), signal, parts, is_vocals)
    result: list[PlacedLine | None] = []
    at = 0
    for line in lines:
        mine = found[at : at + len(in_parts(line))]
        at += len(mine)
        sung = [part for part in mine if part is not None]
        # A part of a line alone is not told apart from the rest of it.
        whole = len(sung) == len(mine) > 0
        words = tuple(word for part in sung for word in part.words)
        result.append(PlacedLine(words, min(part.evidence for part in sung)) if whole else None)
    return result


def in_parts(line: Known) -> list[Known]:
    """Cut a line where it has more words than Whisper can read at once; none of one without.

    A paragraph in a script without spaces is one word, and is looked for by its beginning.
    """
    parts: list[list[str]] = []
    for word in (_beginning(word) for word in line.words):
        if not parts or bytes_of([*parts[-1], word]) > MAX_BYTES:
            parts.append([])
        parts[-1].append(word)
    starts = [line.start_seconds, *[None] * (len(parts) - 1)]
    return [
        Known(tuple(words), start, line.end_seconds)
        for words, start in zip(parts, starts, strict=bool(parts))
    ]


def _beginning(word: str) -> str:
    return word.encode()[: MAX_BYTES - 1].decode(errors="ignore")


def _find_parts(
    ear: Ear, signal: Signal, lines: Sequence[Known], is_vocals: bool
) -> list[PlacedLine | None]:
    wordless = [word_edges.is_wordless(line.words) for line in lines]
    is_timed = any(line.start_seconds is not None for line in lines)
    starts = [line.start_seconds for line in lines] if is_timed else located(ear, lines)
    # What is not heard anywhere would take its neighbours' time.
    sung = [
        index
        for index, start in enumerate(starts)
        if is_timed or start is not None or wordless[index]
    ]
    found = placed(ear, [lines[index] for index in sung], [starts[index] for index in sung])
    if is_timed:
        # Their times are the file's, and what is said of them is whether they are heard there.
        heard = [
            line.evidence >= MIN_EVIDENCE or wordless[index]
            for index, line in zip(sung, found, strict=True)
        ]
        sung = [index for index, is_heard in zip(sung, heard, strict=True) if is_heard]
        found = [line for line, is_heard in zip(found, heard, strict=True) if is_heard]
    voice = word_edges.voiced(signal) if is_vocals else None
    found = word_edges.not_before(found) if voice is None else word_edges.at_the_voice(found, voice)
    found = word_edges.spread(found, [wordless[index] for index in sung], voice)
    result: list[PlacedLine | None] = [None] * len(lines)
    given = [line.start_seconds for line in lines]
    for index, line in zip(sung, found, strict=True):
        start = given[index]
        end = next_start(given, index + 1, ear.seconds)
        result[index] = line if start is None else _between(line, start, max(start, end))
    return result


def _between(line: PlacedLine, start: float, end: float) -> PlacedLine:
    """Return a line whose words lie between its own start and the next one's."""

    def inside(word: Placed) -> Placed:
        first = min(max(word.start_seconds, start), end)
        return replace(
            word, start_seconds=first, end_seconds=min(max(word.end_seconds, first), end)
        )

    return replace(line, words=tuple(map(inside, line.words)))
