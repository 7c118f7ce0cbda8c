# ruff: noqa: RUF001
"""What of a lyrics file is sung: without credits, furniture, headings, translations."""

import re
from collections.abc import Callable
from itertools import pairwise

from tasks.song.lyric_files import credits, translation
from tasks.song.lyric_files.headings import leading_heading
from tasks.song.lyric_files.lines import Line, Lyrics, is_word, notice
from tasks.song.lyric_files.page import is_page_row

CREDITS, PAGE, INSTRUMENTAL = "credits", "page-furniture", "instrumental"
"""Codes of notices."""

MIN_UNTIMED = 3
"""So many lines at one and the same time, and none at another, have no times."""

_INSTRUMENTAL = re.compile(
    r"(?:此|该|該|本|这)?(?:歌曲|曲|首歌)?(?:为|為|是)?(?:一首)?(?:没有填词的|沒有填詞的|無填詞的)?(?:纯音乐|純音樂)(?:请您?欣赏|請您?欣賞|敬请欣赏)?"
    r"|(?:this|the)?(?:songis|trackis|pieceis|is|song|track)?(?:an?)?(?:purely)?instrumental(?:track|song|music|only|piece|version)?(?:nolyrics)?"
    r"|インスト(?:ゥルメンタル|ルメンタル)?|연주곡|instrumentale?s?|strumentale|инструментал|puremusic|(?:no|without)(?:lyrics|vocals)",
    re.I,
)
_NO_LYRICS = re.compile(
    r"(?:暂无|暫無|没有|沒有|未找到|暂时没有)歌[词詞].*|(?:lyrics|songtext)(?:are|is)?(?:not|un)(?:yet)?available.*|nolyrics(?:found|available|yet).*"
    r"|lyricscomingsoon.*|unfortunatelywearenot(?:licensed|authorized).*|(?:lyricsforthissong|thissong).*(?:haveyettobereleased|notyetbeentranscribed).*"
    r"|歌词(?:正在)?(?:加载|搜索|贡献)中.*|等待歌词贡献.*|歌詞未登録.*",
    re.I,
)
_TITLE_ROW = re.compile(
    r"[\"“«].{1,100}[\"”»]\s+[Ll]yrics|(?:\S+\s+){1,11}Lyrics(?:\s*[-–|].*)?"
    r"|Lyrics\s*(?:to|for|of)\s.{1,100}"
)
_OF_SONG = re.compile(
    r"(?:letra|testo|paroles|lyrics|songtext|tekst|текст|şarkı sözleri|liedtext)\b.{0,12}[\"“«„]",
    re.IGNORECASE,
)
"""What Genius writes over lyrics: [Testo di "Winter Road"]."""

_TIMES = r"(?:[x×*]\s*\d{1,2}|\d{1,2}\s*[x×*]|\d{1,2}\s*(?:times|veces|vezes|fois|mal))"
_REPEAT = re.compile(
    rf"\s*[(（\[【]\s*(?:{_TIMES}|bis|repeat(?:\s+x?\d{{1,2}})?)\s*[)）\]】]|\s+[x×]\d{{1,2}}$",
    re.IGNORECASE,
)
_REPEAT_ALONE = re.compile(
    rf"[(（\[【]?\s*(?:{_TIMES}|repeat(?:\s+(?:chorus|verse|{_TIMES}|\d{{1,2}}))+)\s*[)）\]】]?",
    re.IGNORECASE,
)


def clean(lyrics: Lyrics, duration_seconds: float | None) -> None:
    """Leave in lyrics what is sung, and add a notice of each kind that was not.

    Parameters
    ----------
    lyrics
        What the file says; changed.
    duration_seconds
        Duration of the audio; None if it is not known.
    """
    _without_void_times(lyrics)
    _with_headings(lyrics)
    _without_credits(lyrics)
    _without_marks(lyrics)
    translation.set_aside(lyrics)
    if duration_seconds is not None:
        _within(lyrics, duration_seconds)


def _without_void_times(lyrics: Lyrics) -> None:
    """Take times away that are all the same: placeholders of lyrics that were never timed."""
    starts = [line.start_seconds for line in lyrics.lines]
    if len(starts) < MIN_UNTIMED or len(set(starts)) > 1 or starts[0] is None:
        return
    for row in lyrics.rows:
        row.start_seconds = row.end_seconds = None
        for word in row.words:
            word.start_seconds = word.end_seconds = None
    sentence = f"all lines have the time {starts[0]:g} s, which is none: their times were left out"
    lyrics.notices.append(notice("times", sentence))


def _with_headings(lyrics: Lyrics) -> None:
    """Part headings ("(Chorus)", "[Verse 1] rise", "Chorus:") from lines."""
    rows: list[Line] = []
    for row in lyrics.rows:
        heading, end = ("", 0) if row.is_heading else leading_heading(row.text)
        if not heading:
            rows.append(row)
            continue
        rows.append(Line(heading, row.start_seconds, is_heading=True))
        rest = row.part(end)
        if rest.text:
            rows.append(rest)
    lyrics.rows = rows


def _without_credits(lyrics: Lyrics) -> None:
    """Leave out credits, headers, and what sites and services add."""
    rows = [row for row in lyrics.rows if row.text and not row.is_heading]
    codes = {id(row): code for row in rows if (code := _certain_code(row.text))}
    _add_head_and_tail(rows, codes, lyrics)
    titles = [row for row in lyrics.rows if row.is_heading and _OF_SONG.match(row.text)]
    codes |= {id(row): PAGE for row in titles}
    rows += titles
    lyrics.rows = [row for row in lyrics.rows if id(row) not in codes]
    for code, sentence in (
        (CREDITS, "left out, since it says who made the song"),
        (PAGE, "left out, since it is a site's or a service's own"),
        (INSTRUMENTAL, "left out, since it says that nothing is sung"),
    ):
        if left_out := [row.text for row in rows if codes.get(id(row)) == code]:
            lyrics.notices.append(notice(code, sentence, left_out))
    if any(_is_sung(row) for row in lyrics.lines):
        return
    headings = [row.text for row in lyrics.rows if row.is_heading]
    says = [text for text in headings if _certain_code(text) == INSTRUMENTAL]
    lyrics.is_instrumental = bool(says) or INSTRUMENTAL in codes.values()
    if says:
        lyrics.notices.append(notice(INSTRUMENTAL, "the file says that nothing is sung", says))


def _certain_code(text: str) -> str | None:
    """Return why a row is no lyrics wherever it stands; None if nothing says so."""
    letters = _letters(text)
    if _INSTRUMENTAL.fullmatch(letters):
        return INSTRUMENTAL
    if is_page_row(text) or _NO_LYRICS.fullmatch(letters):
        return PAGE
    return CREDITS if credits.is_certain_credit(text) else None


def _add_head_and_tail(rows: list[Line], codes: dict[int, str], lyrics: Lyrics) -> None:
    """Add the rows before the first sung one, and behind the last, that are no lyrics there."""
    before_empty = {id(row) for row, below in pairwise(lyrics.rows) if not below.text}
    for at, row in enumerate(rows):
        if id(row) in codes:
            continue
        before_credit = at + 1 < len(rows) and credits.is_credit(rows[at + 1].text)
        is_first = at == 0 or (before_credit and row.start_seconds is not None)
        if (
            credits.is_credit(row.text)
            or (
                at > 0
                and codes.get(id(rows[at - 1])) == CREDITS
                and credits.follows_credit(row, rows[at - 1])
            )
            or (
                is_first
                and credits.is_header(
                    row,
                    lyrics.title,
                    lyrics.artist,
                    before_credit=before_credit,
                    is_apart=id(row) in before_empty,
                )
            )
        ):
            codes[id(row)] = CREDITS
        elif row.start_seconds is None and _TITLE_ROW.fullmatch(row.text):
            codes[id(row)] = PAGE
        else:
            break
    for row in reversed(rows):
        if id(row) not in codes and not credits.is_credit(row.text):
            break
        codes.setdefault(id(row), CREDITS)


def _without_marks(lyrics: Lyrics) -> None:
    """Leave out ornaments, marks of repetition and labels of singers."""
    _cut(
        lyrics,
        "marks",
        "left out, since there is no word in it",
        lambda row: None if _is_sung(row) else (0, 0),
    )
    _cut(lyrics, "marks", "left out the mark of repetition", _before_repeat)
    _cut(lyrics, "singers", "left out the label of the singer", _behind_singer)


def _cut(
    lyrics: Lyrics, code: str, sentence: str, find: Callable[[Line], tuple[int, int] | None]
) -> None:
    """Cut each line to the characters that `find` returns; a line of none parts stanzas."""
    left_out = []
    for row in lyrics.rows:
        if not row.text or row.is_heading:
            continue
        kept = find(row)
        if kept is None:
            continue
        part = row.part(*kept)
        left_out.append(row.text)
        row.text, row.words = part.text, part.words
    if left_out:
        lyrics.notices.append(notice(code, sentence, left_out))


def _before_repeat(row: Line) -> tuple[int, int] | None:
    if _REPEAT_ALONE.fullmatch(row.text):
        return 0, 0
    match = list(_REPEAT.finditer(row.text))
    return (0, match[-1].start()) if match and match[-1].end() == len(row.text) else None


def _behind_singer(row: Line) -> tuple[int, int] | None:
    match = credits.SINGER.match(row.text)
    return (match.end(), len(row.text)) if match else None


def _within(lyrics: Lyrics, duration_seconds: float) -> None:
    """Leave out lines and words that would start after the end of the audio."""
    lines = lyrics.lines
    beyond = [row for row in lines if (row.start_seconds or 0.0) >= duration_seconds]
    if lyrics.timed_lines:
        # What has no time goes with the line before it.
        is_beyond = False
        for row in lines:
            is_beyond = (
                is_beyond if row.start_seconds is None else row.start_seconds >= duration_seconds
            )
            if is_beyond and row.start_seconds is None:
                beyond.append(row)
    gone = {id(row) for row in beyond}
    lyrics.rows = [
        row
        for row in lyrics.rows
        if id(row) not in gone
        and not (row.is_heading and (row.start_seconds or 0.0) >= duration_seconds)
    ]
    for row in lyrics.rows:
        _end_words(row, duration_seconds)
        if row.end_seconds is not None:
            row.end_seconds = min(row.end_seconds, duration_seconds)
    lyrics.lines_beyond_end = len(beyond)
    if beyond:
        sentence = (
            f"{len(beyond)} of {len(lines)} lines left out, since they would start after the end "
            f"of the audio, at {duration_seconds:.1f} s; the times are those of a longer recording "
            "and do not say where anything is sung"
        )
        lyrics.notices.append(notice("beyond-end", sentence, [row.text for row in beyond]))


def _end_words(row: Line, duration_seconds: float) -> None:
    """Cut a line before its first word that starts after the end of the audio."""
    position = 0
    for word in row.words:
        first = row.text.index(word.text, position)
        if word.start_seconds is not None and word.start_seconds >= duration_seconds:
            part = row.part(0, first)
            row.text, row.words = part.text, part.words
            return
        position = first + len(word.text)
        if word.end_seconds is not None:
            word.end_seconds = min(word.end_seconds, duration_seconds)


def _is_sung(row: Line) -> bool:
    return any(is_word(word.text) for word in row.words)


def _letters(text: str) -> str:
    return "".join(char for char in text if char.isalnum())
