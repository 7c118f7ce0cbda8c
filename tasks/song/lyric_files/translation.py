"""Lines that translate or romanise the sung ones: at the same time, in turn, or in one line."""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

from tasks.language import detect
from tasks.song.lyric_files.lines import Line, Lyrics, notice

MIN_PAIRED = 0.5
"""Share of the times that two lines or more have from which one of them is a translation. What a
second voice sings meanwhile is in few of them."""

MIN_DIFFERENT = 0.7
"""Share of the pairs whose lines are in different scripts; a line of a Japanese song may be
English, or kanji alone, as its translation is."""

MIN_INLINE = 0.8
"""Share of lines of the form "line (translation)" from which that is what it is."""

MAX_INLINE_CHARACTERS = 500
MIN_ALTERNATING_PAIRS = 4
MIN_LANGUAGE_PAIRS = 3
MIN_LANGUAGE_PROBABILITY = 0.9
MIN_ROMANISED = 0.85
"""Share of words that read as syllables of Japanese or Korean. Of English lyrics 0.2 to 0.45 do."""

_ROMAJI = re.compile(
    r"(?:(?:kk|ss|tt|pp|cch|ssh|tts|sh|ch|ts|[kgsztdnhbpmrjf]y|[kgsztdnhbpmyrwjfv])?"
    r"[aiueoāīūēōâîûêô](?:n'?(?![aiueoy])|m(?=[bp]))?)++|n"
)
_KOREAN = re.compile(
    r"(?:(?:kk|gg|tt|dd|pp|bb|ss|jj|ch|sh|[gkndtrlmbpsjh])?"
    r"(?:yae|yeo|wae|ae|ya|eo|ye|wa|oe|yo|wo|we|wi|yu|eu|ui|oo|[aeiou])"
    r"(?:ng|[kgntdlrmbps](?![aeiouyw]))?)++"
)
_PINYIN = re.compile(r"[a-zü]*[āáǎàēéěèīíǐìōóǒòūúǔùǖǘǚǜ][a-zü]*", re.I)
_INLINE = re.compile(r"(.+?)\s*(?:\s[/|]\s+(.+)|[／｜]\s*(.+)|[(（【\[](.+)[)）】\]])")  # noqa: RUF001
_SCRIPTS_OF_LANGUAGES = {"zh": "han", "ja": "kana", "ko": "hangul", "ru": "CYRILLIC", "th": "THAI"}


def set_aside(lyrics: Lyrics) -> None:
    """Move translations out of the lines of lyrics, into the lines that they translate.

    Only what is certain is moved. Sung is the script of the first line, unless the file names its
    language, or the other one is romanised in it.
    """
    rows = [row for row in lyrics.rows if row.text and not row.is_heading]
    found = _in_groups(_groups(rows), lyrics) if lyrics.timed_lines else _in_turn(rows)
    if not found:
        _inline(rows, lyrics)
        return
    romanised = [row.text for row, sung in found if sung is None]
    translated = [row.text for row, sung in found if sung is not None]
    for row, sung in found:
        if sung is not None:
            sung.translation = f"{sung.translation} {row.text}" if sung.translation else row.text
    gone = {id(row) for row, _ in found}
    lyrics.rows = [row for row in lyrics.rows if id(row) not in gone]
    _say(lyrics, translated, romanised)


def _say(lyrics: Lyrics, translated: list[str], romanised: list[str]) -> None:
    if translated:
        sentence = "set aside, since it translates what is sung"
        lyrics.notices.append(notice("translation", sentence, translated))
    if romanised:
        sentence = "left out, since it romanises what is sung"
        lyrics.notices.append(notice("romanisation", sentence, romanised))


Found = list[tuple[Line, Line | None]]
"""Lines that are not sung, each with the line that it translates; None if it romanises it."""


def _groups(rows: Sequence[Line]) -> list[list[Line]]:
    """Rows that start together; one without a time goes with the row before it."""
    groups: list[list[Line]] = []
    for row in rows:
        together = groups and (
            row.start_seconds is None or row.start_seconds == groups[-1][0].start_seconds
        )
        if together:
            groups[-1].append(row)
        else:
            groups.append([row])
    return groups


def _in_groups(groups: list[list[Line]], lyrics: Lyrics) -> Found:
    several = [group for group in groups if len(group) > 1]
    if not several or len(several) < MIN_PAIRED * len(groups):
        return []
    size = Counter(len(group) for group in several).most_common(1)[0][0]
    columns = list(zip(*(group for group in several if len(group) == size), strict=True))
    if size > 3 or not columns:
        return []
    scripts = [_script_of([row.text for row in column]) for column in columns]
    different = sum(len({_script(row.text) for row in group}) > 1 for group in several)
    if len(set(scripts)) == 1 or different < MIN_DIFFERENT * len(several):
        return _by_language(groups, columns, lyrics) if size == 2 else []
    texts = [" ".join(row.text for row in column) for column in columns]
    romanised = {
        at
        for at, script in enumerate(scripts)
        if script == "LATIN" and any(_romanises(texts[at], other) for other in scripts)
    }
    sung = _sung_script(groups, scripts, romanised, lyrics.language)
    # Some tools give a translation the time at which the next line starts.
    is_late = _script(groups[0][0].text) == sung and len(groups[0]) == 1
    is_late = is_late and scripts[0] != sung
    found: Found = []
    before: Line | None = None
    for at, group in enumerate(groups):
        own = next((row for row in group if _script(row.text) == sung), None)
        if len(group) == 1:
            if own is None and is_late and at == len(groups) - 1:
                found.append((group[0], before))
            else:
                before = group[0]
            continue
        own = own or group[min(scripts.index(sung), len(group) - 1)]
        for place, row in enumerate(group):
            if row is own:
                continue
            is_romanised = place in romanised and _script(row.text) == "LATIN"
            found.append((row, None if is_romanised else before if is_late else own))
        before = own
    return found


def _sung_script(
    groups: list[list[Line]], scripts: list[str], romanised: set[int], language: str | None
) -> str:
    named = _SCRIPTS_OF_LANGUAGES.get((language or "").split("-")[0], "LATIN" if language else "")
    if named in scripts:
        return named
    if romanised:
        return next(script for script in scripts if script != "LATIN")
    first = _script(groups[0][0].text)
    first = first if first in scripts else scripts[0]
    alone = Counter(_script(group[0].text) for group in groups if len(group) == 1)
    others = [script for script in scripts if script != first and alone[script] >= 3]
    return others[0] if others and not alone[first] else first


def _by_language(
    groups: list[list[Line]], columns: Sequence[Sequence[Line]], lyrics: Lyrics
) -> Found:
    """Tell sung lines from translations in the same script, by the languages of all of them."""
    if len(columns[0]) < MIN_LANGUAGE_PAIRS:
        return []
    languages = []
    for column in columns:
        words = [word.text for row in column for word in row.words]
        found = detect("\n".join(row.text for row in column), words)
        if found is None or found[1] < MIN_LANGUAGE_PROBABILITY:
            return []
        languages.append(found[0])
    if languages[0] == languages[1]:
        return []
    named = (lyrics.language or "").split("-")[0]
    sung = languages.index(named) if named in languages else 0
    return [(group[1 - sung], group[sung]) for group in groups if len(group) == 2]


def _in_turn(rows: Sequence[Line]) -> Found:
    """Tell sung lines from translations in plain text, where they stand line by line in turn."""
    if len(rows) < 2 * MIN_ALTERNATING_PAIRS or len(rows) % 2:
        return []
    first, second = rows[0::2], rows[1::2]
    scripts = [{_script(row.text) for row in half} for half in (first, second)]
    if max(map(len, scripts)) > 1 or scripts[0] == scripts[1]:
        return []
    (before,), (after,) = scripts
    if _romanises(" ".join(row.text for row in first), after):
        return [(row, None) for row in first]
    if _romanises(" ".join(row.text for row in second), before):
        return [(row, None) for row in second]
    return list(zip(second, first, strict=True))


def _inline(rows: Sequence[Line], lyrics: Lyrics) -> None:
    """Tell what is sung from its translation in the same line, where nearly all are so."""
    halves = []
    for row in rows:
        match = _INLINE.fullmatch(row.text) if len(row.text) <= MAX_INLINE_CHARACTERS else None
        group = match.lastindex if match else None
        if match and group and _script(match[1]) != _script(match[group]):
            halves.append((row, match.span(1), match.span(group)))
    if len(halves) < 2 or len(halves) < MIN_INLINE * len(rows):
        return
    scripts = [{_script(row.text[slice(*spans[at])]) for row, *spans in halves} for at in (0, 1)]
    if max(map(len, scripts)) > 1 or "" in scripts[0] | scripts[1]:
        return
    (before,), (after,) = scripts
    firsts = " ".join(row.text[slice(*first)] for row, first, _ in halves)
    seconds = " ".join(row.text[slice(*second)] for row, _, second in halves)
    first_romanises, second_romanises = _romanises(firsts, after), _romanises(seconds, before)
    aside = []
    for row, first, second in halves:
        sung, other = (second, first) if first_romanises else (first, second)
        text = row.text[slice(*other)]
        part = row.part(*sung)
        row.text, row.words = part.text, part.words
        aside.append(text)
        if not (first_romanises or second_romanises):
            row.translation = text
    if first_romanises or second_romanises:
        _say(lyrics, [], aside)
    else:
        _say(lyrics, aside, [])


def _script_of(texts: Sequence[str]) -> str:
    scripts = Counter(_script(text) for text in texts)
    if scripts["kana"] and scripts["han"] and scripts["kana"] + scripts["han"] > len(texts) / 2:
        return "kana"
    return scripts.most_common(1)[0][0]


def _script(text: str) -> str:
    """Return the script of most of a text: kana if it is Japanese, han, hangul, LATIN, …."""
    counts: Counter[str] = Counter()
    for char in text:
        if not char.isalpha():
            continue
        name = unicodedata.name(char, "").split(" ")[0]
        if name in ("HIRAGANA", "KATAKANA", "HALFWIDTH"):
            counts["kana"] += 3
        elif name in ("CJK", "HANGUL"):
            # A sign of these is as much text as three letters.
            counts["han" if name == "CJK" else "hangul"] += 3
        else:
            counts[name] += 1
    if counts["kana"] and counts["kana"] + counts["han"] > counts["LATIN"]:
        return "kana"
    return counts.most_common(1)[0][0] if counts else ""


def _romanises(text: str, script: str) -> bool:
    """Return whether words in Latin letters are syllables of the language of a script."""
    pattern = {"kana": _ROMAJI, "hangul": _KOREAN, "han": _PINYIN}.get(script)
    words = re.findall(r"[^\W\d_]+(?:'[^\W\d_]+)*", text.lower())
    if pattern is None or not words or _script(text) != "LATIN":
        return False
    read = sum(pattern.fullmatch(word.replace("'", "")) is not None for word in words)
    return read >= MIN_ROMANISED * len(words)
