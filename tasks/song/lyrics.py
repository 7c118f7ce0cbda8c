"""Lyrics with their times, from the sidecar file beside the song, or else from the transcript."""

import unicodedata
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from models import adapters, registry
from tasks.song import lrc
from tasks.song.track import SongTrack
from tasks.step import Row, Step, StepConfig, Tools, TrackError, column, per_track

MIN_LANGUAGE_PROBABILITY = 0.5
"""Below it the language stays null. Of 45 lyric lines in 27 languages py3langid named 42 rightly,
at 0.5 to 1, and two of its three errors lay below; "la la la" and "oh yeah" stay below 0.3."""

MIN_LANGUAGE_BYTES = 12
"""Distinct words shorter than this together ("ooh ah") belong to no language."""

LINE_PAUSE_SECONDS = 0.5
"""Pause between two words of a transcript that parts lines. Whisper's words follow each other
without one, except where its voice activity detector left out silence."""

_SENTENCE_ENDS = (".", "!", "?", "…", "。", "！", "？")  # noqa: RUF001
_CLOSING_QUOTES = "\"'\u201d\u2019»」』)"

MAX_FILE_BYTES = 1_000_000
"""Largest lyrics file that is read. Two hours of opera, every word timed, are some 400 kB."""

MAX_CONTROL_FRACTION = 0.01
"""Share of control characters above which decoded bytes are no text."""

_LEGACY = {
    # Code pages that charset-normalizer confuses on texts as short as lyrics (it takes Spanish in
    # cp1252 for cp1250), with languages written in them: where the text makes sense tells which.
    "cp1252": "en es fr de it pt ca nl sv da no nn fi is id ms sw gl eu",
    "cp1250": "pl cs sk hu ro hr sl bs sq",
    "cp1254": "tr az",
    "cp1257": "lt lv et",
    "cp1251": "ru uk bg sr mk be",
    "koi8_r": "ru uk bg sr mk be",
    "cp866": "ru uk bg sr mk be",
    "cp932": "ja",
    "euc_jp": "ja",
    "gb18030": "zh",
    "big5": "zh yue",
    "cp949": "ko",
}
_LEGACY_BY_SCRIPT = {
    # Half-width kana are Cyrillic letters taken for Japanese.
    **dict.fromkeys(("CYRILLIC", "HALFWIDTH"), ("cp1251", "koi8_r", "cp866")),
    "LATIN": ("cp1252", "cp1250", "cp1254", "cp1257"),
    **dict.fromkeys(
        ("CJK", "HIRAGANA", "KATAKANA", "HANGUL"), ("cp932", "euc_jp", "gb18030", "big5", "cp949")
    ),
}

_INVISIBLE = dict.fromkeys((0x200B, 0x200E, 0x200F, *range(0x202A, 0x202F), 0x2060, 0xFEFF))


class LyricsConfig(StepConfig):
    """The file or the transcript says everything: there is nothing to configure."""


COLUMNS = pa.schema(
    [
        column("text", pa.string(), "lyrics, a line per line, an empty line between stanzas"),
        column("language", pa.string(), "BCP 47 tag, from the file or detected"),
        column("source", pa.string(), "lrc, lrc-enhanced, txt, whisper-<model> or none"),
        column("line_text", pa.list_(pa.string()), "lines as written"),
        column("line_start_seconds", pa.list_(pa.float64()), "start of each line", "s"),
        column("line_end_seconds", pa.list_(pa.float64()), "end of each line", "s"),
        column("word_text", pa.list_(pa.string()), "words as written, with their punctuation"),
        column("word_start_seconds", pa.list_(pa.float64()), "start of each word", "s"),
        column("word_end_seconds", pa.list_(pa.float64()), "end of each word", "s"),
        column("word_line", pa.list_(pa.int32()), "index of the line that each word is in"),
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

    Segments that are hallucinations are left out. Lines end with their segment, with a sentence
    and at pauses of :data:`LINE_PAUSE_SECONDS`. What is no word ("♪") has no entry in the
    lists of words.

    Parameters
    ----------
    transcript
        Row of the transcribe step.

    Returns
    -------
    Row
        With nulls, but for its source, if nothing was heard.
    """
    lines: list[lrc.Line] = []
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
            lines.append(lrc.Line(""))
        lines[-1].text += text
        if lrc.is_word(text.strip()):
            lines[-1].words.append(lrc.Word(text.strip(), start, end))
        previous = text, end, segment
    lines = [line for line in lines if line.words]
    for line in lines:
        line.text = line.text.strip()
        line.start_seconds = line.words[0].start_seconds
        line.end_seconds = line.words[-1].end_seconds
    text = "\n".join(line.text for line in lines)
    return _row(text, lines, transcript["language"], transcript["model"])


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


def decode(data: bytes) -> str:
    """Text of a lyrics file.

    UTF-8, UTF-16 and UTF-32 with a byte order mark, UTF-16 without one where zero bytes betray
    it, UTF-8, then legacy 8-bit and multi-byte code pages.

    Raises
    ------
    TrackError
        ``lyrics-too-large`` above :data:`MAX_FILE_BYTES`; ``lyrics-unreadable`` if it is no text.
    """
    if len(data) > MAX_FILE_BYTES:
        raise TrackError(
            "lyrics-too-large",
            f"The lyrics file has {len(data):,} bytes, more than the {MAX_FILE_BYTES:,} that are "
            "read; is it really lyrics?",
        )
    encoding = _encoding(data)
    try:
        text = data.decode(encoding) if encoding else None
    except UnicodeDecodeError:
        text = None
    if text is not None:
        controls = sum(unicodedata.category(char) == "Cc" and not char.isspace() for char in text)
        if controls <= MAX_CONTROL_FRACTION * len(text):
            clean = "".join(
                char for char in text if char.isspace() or unicodedata.category(char) != "Cc"
            )
            return unicodedata.normalize("NFC", clean.translate(_INVISIBLE))
    raise TrackError(
        "lyrics-unreadable",
        "The lyrics file is no text in any encoding that is recognised; save it as UTF-8.",
    )


def run(
    track: SongTrack, rows: Mapping[str, Row | None], config: LyricsConfig, tools: Tools
) -> Row:
    """Lyrics of one track; one with neither a sidecar file nor a transcript gives nulls."""
    if track.lyrics_path is None:
        transcript = rows.get("transcribe")
        if transcript is not None:
            return as_lyrics(transcript)
        return dict.fromkeys(COLUMNS.names) | {"source": "none"}
    try:
        data = tools.source.read_bytes(track.lyrics_path)
    except (FileNotFoundError, PermissionError) as error:
        raise TrackError(
            "lyrics-unreadable",
            f"The lyrics file {track.lyrics_path!r} cannot be read any more: "
            f"{error.strerror or error}.",
        ) from error
    lyrics = lrc.parse(decode(data))
    source = "lrc-enhanced" if lyrics.timed_words else "lrc" if lyrics.timed_lines else "txt"
    return _row(lyrics.text, lyrics.lines, _language(lyrics), source)


STEP = Step(
    name="lyrics",
    version=1,
    config=LyricsConfig,
    columns=COLUMNS,
    run=per_track(run),
    optional_upstream=("transcribe",),
    models=lambda config: ("py3langid",),
    attributes=("track_id", "lyrics_digest"),
)


def _row(text: str, lines: list[lrc.Line], language: str | None, source: str) -> Row:
    """Row of lyrics, with nulls but for their source if there are no words."""
    words = [(index, word) for index, line in enumerate(lines) for word in line.words]
    if not words:
        return dict.fromkeys(COLUMNS.names) | {"source": source}
    return {
        "text": text,
        "language": language,
        "source": source,
        "line_text": [line.text for line in lines],
        "line_start_seconds": [line.start_seconds for line in lines],
        "line_end_seconds": [line.end_seconds for line in lines],
        "word_text": [word.text for _, word in words],
        "word_start_seconds": [word.start_seconds for _, word in words],
        "word_end_seconds": [word.end_seconds for _, word in words],
        "word_line": [index for index, _ in words],
    }


def _parts_lines(previous: tuple[str, float, int], start_seconds: float, segment: int) -> bool:
    """Return whether a word begins a line, by the text, end and segment of the word before it."""
    text, end_seconds, previous_segment = previous
    return (
        segment != previous_segment
        or start_seconds - end_seconds >= LINE_PAUSE_SECONDS
        or text.rstrip(_CLOSING_QUOTES).endswith(_SENTENCE_ENDS)
    )


def _language(lyrics: lrc.Lyrics) -> str | None:
    """Return the file's tag if it has two letters, as players write it; else what is detected."""
    tag = lyrics.language
    if tag is not None and len(tag.split("-")[0]) == 2:
        return tag
    words = {word.text.lower() for line in lyrics.lines for word in line.words}
    if sum(len(word.encode()) for word in words) < MIN_LANGUAGE_BYTES:
        return tag
    language, probability = _languages(lyrics.text)[0]
    if probability < MIN_LANGUAGE_PROBABILITY or language == "zxx":
        return tag
    return language


def _languages(text: str) -> list[tuple[str, float]]:
    ranked: list[tuple[str, float]] = adapters.load(registry.card("py3langid")).languages(text)
    return ranked


def _excerpt(line: str, skipped: list[str], words: list[str]) -> str:
    """Return the line as written, from the first of `words` to the last."""
    start = 0
    for word in skipped:
        start = line.index(word, start) + len(word)
    start = end = line.index(words[0], start)
    for word in words:
        end = line.index(word, end) + len(word)
    return line[start:end]


def _encoding(data: bytes) -> str | None:
    if data.startswith((b"\xff\xfe\x00\x00", b"\x00\x00\xfe\xff")):
        return "utf-32"
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    try:
        data.decode("utf-8")
        if data.count(0) <= MAX_CONTROL_FRACTION * len(data):
            return "utf-8-sig"
    except UnicodeDecodeError:
        pass
    if 0 in data:
        # ASCII in UTF-16 has its zeros in every second place; binary data has them anywhere.
        even, odd = data[0::2].count(0), data[1::2].count(0)
        if odd > 10 * even:
            return "utf-16-le"
        return "utf-16-be" if even > 10 * odd else None
    return _legacy_encoding(data)


def _legacy_encoding(data: bytes) -> str | None:
    from charset_normalizer import from_bytes

    best = from_bytes(data).best()
    if best is None:
        return None
    scripts = Counter(
        unicodedata.name(char, "").split(" ")[0]
        for char in str(best)
        if char.isalpha() and not char.isascii()
    )
    script = scripts.most_common(1)[0][0] if scripts else "LATIN"
    if script not in _LEGACY_BY_SCRIPT:
        return best.encoding
    return max(_LEGACY_BY_SCRIPT[script], key=lambda encoding: _language_fit(data, encoding))


def _language_fit(data: bytes, encoding: str) -> float:
    """Probability that the data, so decoded, are in a language written in that encoding."""
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        return -1.0
    languages = _LEGACY[encoding].split()
    return sum(
        probability
        for language, probability in _languages(lrc.ANY_TIME.sub(" ", text))
        if language in languages
    )
