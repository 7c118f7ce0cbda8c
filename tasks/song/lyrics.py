"""Lyrics with their times, from the sidecar file beside the song, or else from the transcript."""

import os
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from models.hallucinations import is_invented
from tasks.song.lyric_files.lines import Line, Lyrics, Word, is_word, notice
from tasks.song.lyric_files.sidecars import language_of
from tasks.song.track import SongTrack
from tasks.step import Row, Step, StepConfig, Tools, TrackError, column, per_track
from tasks.text import printable

LINE_PAUSE_SECONDS = 0.5
"""Pause between two words of a transcript that parts lines. Whisper's words follow each other
without one, except where its voice activity detector left out silence."""

_SENTENCE_ENDS = (".", "!", "?", "…", "。", "！", "？")  # noqa: RUF001
_CLOSING_QUOTES = "\"'\u201d\u2019»」』)"


class LyricsConfig(StepConfig):
    """The file or the transcript says everything: there is nothing to configure."""


COLUMNS = pa.schema(
    [
        column("text", pa.string(), "lyrics, a line per line, an empty line between stanzas"),
        column("language", pa.string(), "BCP 47 tag, from the file or detected"),
        column(
            "source",
            pa.string(),
            "lrc, lrc-enhanced, ultrastar, srt, vtt, txt, whisper-<model> or none",
        ),
        column("line_text", pa.list_(pa.string()), "lines as written"),
        column("line_start_seconds", pa.list_(pa.float64()), "start of each line", "s"),
        column("line_end_seconds", pa.list_(pa.float64()), "end of each line", "s"),
        column("word_text", pa.list_(pa.string()), "words as written, with their punctuation"),
        column("word_start_seconds", pa.list_(pa.float64()), "start of each word", "s"),
        column("word_end_seconds", pa.list_(pa.float64()), "end of each word", "s"),
        column("word_line", pa.list_(pa.int32()), "index of the line that each word is in"),
        column(
            "line_translation",
            pa.list_(pa.string()),
            "the file's translation of each line; empty if it has none",
        ),
        column("heading_text", pa.list_(pa.string()), "labels of sections, as written"),
        column(
            "heading_start_seconds",
            pa.list_(pa.float64()),
            "time of each label, or else of the line that it stands over",
            "s",
        ),
        column("heading_line", pa.list_(pa.int32()), "index of the line each label stands over"),
        column("notices", pa.list_(pa.string()), "what was repaired or left out, and why"),
        column("lines_beyond_end", pa.int32(), "lines that would start after the audio's end"),
    ]
)


def segment_lyrics(
    lyrics: Mapping[str, Any], start_seconds: float, end_seconds: float
) -> str | None:
    """Part of the lyrics that belongs to a segment.

    A word belongs to the segment ``[start_seconds, end_seconds)`` in which it starts; a word
    without a time of its own goes with the last timed word before it in its line, or else with
    its line. So every timed word is in exactly one of the segments that tile a track.

    Parameters
    ----------
    lyrics
        Row of the lyrics step.
    start_seconds, end_seconds
        Bounds of the segment.

    Returns
    -------
    str or None
        Lines parted by newlines, each as written from its first to its last word in the segment;
        empty if the lyrics are timed and nothing is sung; None if the lyrics have no times.
    """
    line_starts = lyrics["line_start_seconds"] or []
    if all(start is None for start in line_starts):
        return None
    kept: dict[int, list[str]] = {}
    skipped: dict[int, list[str]] = {}
    time: float | None = None
    previous_line = None
    for text, start, line in zip(
        lyrics["word_text"], lyrics["word_start_seconds"], lyrics["word_line"], strict=True
    ):
        if line != previous_line:
            time, previous_line = line_starts[line], line
        time = time if start is None else start
        if time is not None and start_seconds <= time < end_seconds:
            kept.setdefault(line, []).append(text)
        elif line not in kept:
            skipped.setdefault(line, []).append(text)
    return "\n".join(
        _excerpt(lyrics["line_text"][line], skipped.get(line, []), words)
        for line, words in kept.items()
    )


def as_lyrics(transcript: Mapping[str, Any]) -> Row:
    """Row of the lyrics step that a transcript amounts to.

    Segments that are hallucinations are left out, and of others the credits of subtitles. Lines
    end with their segment, with a sentence and at pauses of :data:`LINE_PAUSE_SECONDS`. What is
    no word ("♪") has no entry in the lists of words.

    Parameters
    ----------
    transcript
        Row of the transcribe step.

    Returns
    -------
    Row
        With nulls, but for its source, if nothing was heard.
    """
    lines: list[Line] = []
    previous: tuple[str, float, int] | None = None
    for text, start, end, segment in zip(
        transcript["word_text"],
        transcript["word_start_seconds"],
        transcript["word_end_seconds"],
        transcript["word_segment"],
        strict=True,
    ):
        if transcript["segment_is_hallucination"][segment]:
            continue
        if previous is None or _parts_lines(previous, start, segment):
            lines.append(Line(""))
        lines[-1].text += text
        if is_word(text.strip()):
            lines[-1].words.append(Word(text.strip(), start, end))
        previous = text, end, segment
    lines = [line for line in lines if line.words and not is_invented(line.text.strip())]
    for line in lines:
        line.text = line.text.strip()
        line.start_seconds = line.words[0].start_seconds
        line.end_seconds = line.words[-1].end_seconds
    return _row(Lyrics(lines, transcript["language"]), transcript["model"], [])


def timed_lyrics(
    lyrics: Mapping[str, Any] | None, transcript: Mapping[str, Any] | None
) -> Mapping[str, Any] | None:
    """Return the lyrics, or if they have words but no times, what the transcript makes of them.

    Parameters
    ----------
    lyrics, transcript
        Rows of these steps, or None.

    Returns
    -------
    Mapping or None
        What :func:`segment_lyrics` takes.
    """
    if not lyrics or not transcript or lyrics["text"] is None:
        return lyrics
    is_timed = any(start is not None for start in lyrics["line_start_seconds"])
    return lyrics if is_timed or transcript["text"] is None else as_lyrics(transcript)


def aligned_lyrics(
    lyrics: Mapping[str, Any] | None, aligned: Mapping[str, Any] | None
) -> Mapping[str, Any] | None:
    """Return the lyrics with the times at which their words were found in the sound, if they were.

    Parameters
    ----------
    lyrics, aligned
        Rows of the lyrics and the align steps, or None.
    """
    if not lyrics or not aligned or aligned["model"] is None:
        return lyrics
    names = (
        *("word_start_seconds", "word_end_seconds"),
        *("line_start_seconds", "line_end_seconds"),
    )
    headings = [
        aligned["line_start_seconds"][line] if start is None and line is not None else start
        for start, line in zip(lyrics["heading_start_seconds"], lyrics["heading_line"], strict=True)
    ]
    return {
        **lyrics,
        **{name: aligned[name] for name in names},
        "heading_start_seconds": headings,
        "notices": [*(lyrics["notices"] or []), *aligned["notices"]],
    }


def run(
    track: SongTrack, rows: Mapping[str, Row | None], config: LyricsConfig, tools: Tools
) -> Row:
    """Lyrics of one track; one with neither a sidecar file nor a transcript gives nulls.

    Of several files the first that holds lyrics is taken; the notices say what became of the
    others. A file that says that nothing is sung is believed, and no transcript is asked.

    Raises
    ------
    TrackError
        Why the first of the files cannot be read, if none of them can and nothing was transcribed.
    """
    transcript = rows.get("transcribe")
    duration_seconds = _duration(rows)
    notices: list[str] = []
    errors: list[TrackError] = []
    nothing: Row | None = None
    files = _in_order(track, transcript, notices)
    for at, path in enumerate(files):
        try:
            lyrics, source = _read(path, duration_seconds, tools)
        except TrackError as error:
            errors.append(error)
            named = f"{_name(path)}: " if len(files) > 1 else ""
            notices.append(f"{error.reason}: {named}{error.message}")
            continue
        if lyrics.lines or lyrics.is_instrumental:
            notices += lyrics.notices
            if others := [_name(other) for other in files[at + 1 :]]:
                sentence = f"{_name(path)} was taken, and of the same song these were not"
                notices.append(notice("not-taken", sentence, others))
            return _row(lyrics, source, notices)
        notices += [*lyrics.notices, notice("empty", f"{_name(path)} holds no lyrics")]
        nothing = nothing or _row(lyrics, source, notices)
    if transcript is not None:
        return as_lyrics(transcript) | ({"notices": notices} if notices else {})
    if nothing is not None:
        return nothing | {"notices": notices}
    if errors:
        raise errors[0]
    return _row(Lyrics([]), "none", notices)


STEP = Step(
    name="lyrics",
    version=3,
    config=LyricsConfig,
    columns=COLUMNS,
    run=per_track(run),
    optional_upstream=("probe", "features", "transcribe"),
    models=lambda config: ("py3langid",),
    attributes=("track_id", "lyrics_digest"),
)


def _in_order(
    track: SongTrack, transcript: Mapping[str, Any] | None, notices: list[str]
) -> list[str]:
    """Return the files of a track, the one to take first; without those that cannot be told apart.

    Files of several languages alone ("song.en.lrc", "song.ja.lrc") are one that is sung and its
    translations: which, only the transcript tells.
    """
    if track.lyrics_path is None:
        return []
    files = [track.lyrics_path, *track.other_lyrics_paths]
    languages = {language_of(path) for path in files}
    if None in languages or len(languages) == 1:
        return files
    heard = transcript["language"] if transcript else None
    sung = [path for path in files if language_of(path) == heard]
    if not sung:
        sentence = (
            "which of these is sung and which translate it cannot be told, and none was taken; "
            "name the sung one like the song"
        )
        notices.append(notice("not-taken", sentence, [_name(path) for path in files]))
        return []
    return sung + [path for path in files if path not in sung]


def _read(path: str, duration_seconds: float | None, tools: Tools) -> tuple[Lyrics, str]:
    """Return what of a file is sung, and the file's format."""
    # Their patterns take a twentieth of a second to compile, which a command need not wait for.
    from tasks.song.lyric_files import formats
    from tasks.song.lyric_files.cleaning import clean
    from tasks.song.lyric_files.encoding import decode
    from tasks.song.lyric_files.page import without_page

    try:
        data = tools.source.read_bytes(path)
    except (FileNotFoundError, PermissionError) as error:
        raise TrackError(
            "lyrics-unreadable",
            f"The lyrics file {printable(path)!r} cannot be read any more: "
            f"{error.strerror or error}.",
        ) from error
    decoded, notices = decode(data)
    text, furniture = without_page(decoded)
    lyrics, source = formats.read(text)
    lyrics.notices[:0] = notices + furniture
    clean(lyrics, duration_seconds)
    lyrics.language = _language(lyrics, language_of(path))
    return lyrics, source


def _name(path: str) -> str:
    return printable(os.path.basename(path))


def _duration(rows: Mapping[str, Row | None]) -> float | None:
    """Duration as decoded, or else as the header states it, in seconds."""
    row = rows.get("features") or rows.get("probe")
    return row["duration_seconds"] if row else None


def _language(lyrics: Lyrics, of_name: str | None) -> str | None:
    """Return the file's tag if it has two letters, as players write it; else what is detected."""
    tag = lyrics.language or of_name
    if tag is not None and len(tag.split("-")[0]) == 2:
        return tag
    from tasks.language import detect

    found = detect(lyrics.text, (word.text for line in lyrics.lines for word in line.words))
    return found[0] if found else tag


def _row(lyrics: Lyrics, source: str, notices: list[str]) -> Row:
    """Row of lyrics, with nulls but for their source and the notices if there are no words."""
    lines = lyrics.lines
    words = [(index, word) for index, line in enumerate(lines) for word in line.words]
    if not words:
        return dict.fromkeys(COLUMNS.names) | {
            "source": source,
            "notices": notices or None,
            "lines_beyond_end": lyrics.lines_beyond_end or None,
        }
    headings = lyrics.headings
    translations = [line.translation for line in lines]
    return {
        "text": lyrics.text,
        "language": lyrics.language,
        "source": source,
        "line_text": [line.text for line in lines],
        "line_start_seconds": [line.start_seconds for line in lines],
        "line_end_seconds": [line.end_seconds for line in lines],
        "word_text": [word.text for _, word in words],
        "word_start_seconds": [word.start_seconds for _, word in words],
        "word_end_seconds": [word.end_seconds for _, word in words],
        "word_line": [index for index, _ in words],
        "line_translation": translations if any(translations) else [],
        "heading_text": [heading.text for heading in headings],
        "heading_start_seconds": [heading.start_seconds for heading in headings],
        "heading_line": [heading.line for heading in headings],
        "notices": notices,
        "lines_beyond_end": lyrics.lines_beyond_end,
    }


def _parts_lines(previous: tuple[str, float, int], start_seconds: float, segment: int) -> bool:
    """Return whether a word begins a line, by the text, end and segment of the word before it."""
    text, end_seconds, previous_segment = previous
    return (
        segment != previous_segment
        or start_seconds - end_seconds >= LINE_PAUSE_SECONDS
        or text.rstrip(_CLOSING_QUOTES).endswith(_SENTENCE_ENDS)
    )


def _excerpt(line: str, skipped: list[str], words: list[str]) -> str:
    """Return the line as written, from the first of `words` to the last."""
    start = 0
    for word in skipped:
        start = line.index(word, start) + len(word)
    start = end = line.index(words[0], start)
    for word in words:
        end = line.index(word, end) + len(word)
    return line[start:end]
