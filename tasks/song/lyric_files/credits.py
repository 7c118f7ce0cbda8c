# ruff: noqa: RUF001
"""Lines that say who made a song: "作词 : Some One", "Lyrics by: Ann", "Музыка: ..."."""

import re
import unicodedata

from tasks.song.lyric_files.lines import Line

_CERTAIN_ROLE = re.compile(
    r"[作填编編谱譜][词詞曲]|[词詞]曲|[制製]作|[监監][制製棚]|混音|混[录錄]|母[带帶]|[录錄]音|和[声聲音]|出品|[发發]行|"
    r"[统統][筹籌]|企[划劃]|策[划劃]|[宣文][发發]|封面|海[报報]|美工|[营營][销銷]|版[权權]|配唱|吉他|[贝貝]斯|鼓手|架子鼓|"
    r"[键鍵][盘盤]|弦[乐樂]|[钢鋼]琴|二胡|古[筝箏]|琵琶|提琴|演唱|原唱|翻唱|[后後]期|工程[师師]|[总總][监監]|歌手|翻[译譯]|"
    r"人[声聲]|音[频頻效]|[题題]字|[调調]音|[专專][辑輯]|プロデュー(?:ス|サー)|ボーカル|ギター|ベース|ドラム|ミックス|"
    r"작사|작곡|편곡|프로듀서"
)


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_SHORT_ROLES = _words("词 詞 曲 歌 唄 唱 鼓 歌词 歌詞 歌曲 歌名 曲名 노래 가사 op sp")
_ROLES = _words(
    """
    lyric lyrics lyricist lyricists words music text written writer writers songwriter songwriters
    composed composer composers composition arranged arranger arrangers arrangement arrangements
    produced producer producers production co-producer co-produced mixed mixer mixing mastered
    mastering recorded recording engineer engineers engineered performed performer performers sung
    singer singers vocal vocals vocalist guitar guitars bass drums drum piano keyboard keyboards
    keys strings violin cello percussion programming synth synths publisher publishers published
    copyright label translated translation translator subtitles subtitle captions transcribed
    synced synchronized sync lrc edited editor artist artists title album song track genre year
    released release isrc op sp source author authors distributed
    letra letras musica compositor compositores compositora autor autores autora interprete
    composicao arreglos arreglo arranjo produccion producao productor producido producida cantante
    paroles parolier musique auteur auteurs compositeur compositeurs realisation
    musik komponist komponiert texter arrangiert produziert gesang kunstler interpret
    testo testi autori compositore compositori arrangiamento produttore produzione
    слова музыка автор авторы текст композитор аранжировка исполнитель продюсер стихи муз сл
    muzyka słowa slowa tekst soz muzik beste guftekar duzenleme
    """
)
"""Roles, without accents."""

_FILLERS = _words(
    """
    executive additional lead background backing main assistant vocal by and & of de y e et und
    i и da do par por von di date engineer electric acoustic studio original recording mixing
    mastering music song all the string co performed line
    """
)
"""Words that stand between or beside roles."""

_KEYED = re.compile(r"\s*[\[(【]?\s*([^:：]{1,60}?)\s*[:：]\s*(.*)")
_BY = re.compile(r"\s*(?:([A-Za-z ,&/-]{3,50}?)\s+)?by\s+(\S.{0,200})", re.IGNORECASE)
SINGER = re.compile(
    r"(?:男女|女男|男|女|合唱|合|齐|齊|童声|众|眾|独白|獨白|旁白|male|female|both|all)\s*[:：]\s*",
    re.IGNORECASE,
)
"""Label of who sings a line."""

_CODE = re.compile(r"\s*(?:ISRC|UPC|ISWC)\s*[A-Z0-9][\w.-]{6,20}\s*")
_HEADER = re.compile(r".{1,100}(?:\s[-–—|]\s|－).{1,100}")
_SMALL_WORDS = _words(
    "and the of feat ft with by de la el le les y e et und von van der da do vs a in on to s x"
)

MAX_ROLE_SIGNS = 14
"""A longer text before a colon is a sentence, and not 母带后期处理工程师."""

MAX_CREDIT_SECONDS = 1.5
"""Longest time between the lines of a block of credits."""

MAX_HEADER_SECONDS = 0.5
"""Until when a line is at the very start of a song."""


def is_certain_credit(text: str) -> bool:
    """Return whether a line is a credit wherever it stands: an East Asian role and a colon."""
    keyed = _KEYED.fullmatch(text)
    key = re.sub(r"\s", "", keyed[1]) if keyed else ""
    signs = re.sub(r"[\x00-\x7f]", "", key)
    return len(signs) <= MAX_ROLE_SIGNS and _CERTAIN_ROLE.search(key) is not None


def is_credit(text: str) -> bool:
    """Return whether a line at the head or the tail of lyrics is a credit."""
    if is_certain_credit(text):
        return True
    if keyed := _KEYED.fullmatch(text):
        return _is_role(keyed[1])
    if _CODE.fullmatch(text):
        return True
    by = _BY.fullmatch(text)
    return by is not None and (by[1] is None or _is_role(by[1])) and _is_name(by[2])


def follows_credit(row: Line, before: Line) -> bool:
    """Return whether a row right behind a credit is one as well, of a role that is not known.

    Credits with times come within a second or so of each other, and roles are written like names
    ("E Bow: Ann"). Singers' labels do not count.
    """
    keyed = _KEYED.fullmatch(row.text)
    if keyed is None or row.start_seconds is None or before.start_seconds is None:
        return False
    is_soon = row.start_seconds - before.start_seconds <= MAX_CREDIT_SECONDS
    is_role = len(keyed[1]) <= 2 * MAX_ROLE_SIGNS and _is_name(keyed[1])
    return is_soon and is_role and not SINGER.match(row.text)


def is_header(row: Line, title: str, artist: str, *, before_credit: bool, is_apart: bool) -> bool:
    """Return whether the first row names the song, by its tags, or by its place and its form.

    Nothing is sung before credits with times, or at the very start of a song: a line there that is
    the title, or of the form "Title - Artist" with every word capitalised or in a script without
    capitals, is a header. So is one of that form over an empty row, and names before a credit.

    Parameters
    ----------
    row
        The first row that has text.
    title, artist
        As the file's tags say.
    before_credit
        Whether the next row is a credit.
    is_apart
        Whether an empty row follows.
    """
    at_start = row.start_seconds is not None and row.start_seconds <= MAX_HEADER_SECONDS
    plain, title, artist = _plain(row.text), _plain(title), _plain(artist)
    if title and title in plain and ((artist and artist in plain) or (at_start and title == plain)):
        return True
    if before_credit and (row.start_seconds is not None or _is_name(row.text)):
        return True
    may_be = at_start or before_credit or (row.start_seconds is None and is_apart)
    return may_be and bool(_HEADER.fullmatch(row.text)) and _is_name(row.text)


def _is_role(key: str) -> bool:
    key = _folded(key)
    if key in _SHORT_ROLES:
        return True
    tokens = re.findall(r"[^\W\d_]+(?:-[^\W\d_]+)*|&", re.sub(r"\([a-z]{1,2}\)", "", key))
    if not tokens or len(tokens) > 8:
        return False
    return any(token in _ROLES or token in _SHORT_ROLES for token in tokens) and all(
        token in _ROLES or token in _FILLERS or token in _SHORT_ROLES for token in tokens
    )


def _is_name(text: str) -> bool:
    """Return whether every word but small ones begins with a capital, or has none."""
    words = [word for word in re.findall(r"[^\W_]+", text) if word.lower() not in _SMALL_WORDS]
    return bool(words) and all(not word[0].islower() for word in words)


def _folded(text: str) -> str:
    """Return the text in small letters without accents."""
    decomposed = unicodedata.normalize("NFKD", text.strip().casefold())
    folded = "".join(char for char in decomposed if not unicodedata.combining(char))
    return unicodedata.normalize("NFC", folded)


def _plain(text: str) -> str:
    return "".join(
        char for char in unicodedata.normalize("NFKC", text).casefold() if char.isalnum()
    )
