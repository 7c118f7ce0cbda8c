"""What lyrics sites and services put around lyrics, taken away from the text of a file."""

import json
import re

from tasks.song.lyric_files.lines import notice

MAX_ROW_CHARACTERS = 500
"""A longer line is no site's own."""

_GENIUS_HEAD = re.compile(
    r"\s*(?:\d{1,5}\s*Contributors?[^\n]{0,400}?Lyrics(?=[\[\n“\"A-Z¿¡(]|\s*$)"
    r"|[^\n\[]{1,150}?\sLyrics(?=\[))"
)
"""First row of a page of Genius as text: "12 ContributorsFrançaisTitle Lyrics[Intro]"."""

_GENIUS_ABOUT = re.compile(r"[^\n\[]{0,2000}?Read More\s*")
_GENIUS_TICKETS = re.compile(r"See [^\n]{1,80}? Live\s*Get tickets as low as \$[\d.,]+")
_GENIUS_ALSO = re.compile(
    r"^[ \t]*You might also like[ \t]*$"
    r"|You might also like(?=[\[A-Z¿¡“\"(])"
    r"|(?<![\s,;-])You might also like[ \t]*$",
    re.MULTILINE,
)
_GENIUS_EMBED = re.compile(
    r"(?:(?<!\d)\d{1,5}(?:\.\d)?[KM]?)?(?<!\s)Embed\s*\Z|^Embed\s*\Z", re.MULTILINE
)
_DOMAIN = r"[\w-]+(?:\.[\w-]+)*\.(?:com|net|org|ru|cn|io|me|de|fr|es|it|br|kr|jp|uk|info|co)"
_PAGE_ROWS = (
    # Musixmatch, AZLyrics, Genius, LyricFind, subtitles.
    r"this lyrics? (?:is|are) not for commercial use\b.*",
    r"\(\d{10,16}\)",
    r"submit corrections?",
    r"thanks to\b.{1,200}\bfor (?:correcting|adding|submitting|sending)\b.*",
    r"(?:how to format lyrics|edit lyrics|about this song|sign up|log in|add to playlist)",
    r"(?:print|translate|correct these|related|view all|show all) lyrics|share this song",
    r"(?:see also|popular songs?|play video|advertisements?|translations?)",
    r"(?:lyrics?|paroles|letras?|testo|songtext) (?:provided|powered|licen[sc]ed|courtesy)\b.*",
    r"(?:lyrics?\s*)?(?:©|\(c\)|℗).*",
    r"(?:lyrics )?copyright\b.*|all (?:lyrics|rights) (?:are )?(?:reserved|property)\b.*",
    r"advertise your product or brand here.*|support us and become vip member.*",
    # Addresses.
    r".*(?:https?://|\bwww\.)\S+.*",
    rf"(?:lyrics?|lrc|subtitles?)?\s*(?:by|from|at|source:?)?\s*{_DOMAIN}(?:/\S*)?",
    r"(?:downloaded|taken|copied|sourced?|retrieved|imported|synced|synchronized|powered|sponsored)"
    rf" (?:from|at|on|by|with)\b.*\b{_DOMAIN}\b.*",
    rf"(?:find )?more lyrics (?:at|on)\b.*|visit {_DOMAIN}\b.*",
    # QQ Music and others.
    r".*(?:享有本翻[译譯]作品的著作[权權]|歌[词詞]翻[译譯]由.*提供).*",
    r".*未[经經].{0,12}(?:[许許]可|授[权權]).{0,24}(?:翻唱|翻[录錄]|使用).*",
    r"(?:歌[词詞][来來]自|lrc歌[词詞]|更多歌[词詞]|版[权權]所有|本歌曲(?:[来來]自|版[权權])).*",
)
_PAGE_ROW = re.compile(rf"[*\s]*(?:{'|'.join(_PAGE_ROWS)})[*\s]*", re.IGNORECASE)


def without_page(text: str) -> tuple[str, list[str]]:
    """Text of a lyrics file without what a site or a service put around it.

    Rows of JSON (NetEase: ``{"t":0,"c":[{"tx":...}]}``), and what is glued to lyrics when a page
    of Genius is copied as text.

    Returns
    -------
    tuple of str and list of str
        The text, and notices of what was left out.
    """
    notices: list[str] = []
    rows = text.splitlines()
    found = [(row, _json_row(row)) for row in rows]
    if left_out := [said for _, said in found if said is not None]:
        text = "\n".join(row for row, said in found if said is None)
        notices.append(notice("credits", "left out rows of JSON", left_out))
    text, furniture = _without_genius(text)
    if furniture:
        sentence = "left out what a web page says around lyrics"
        notices.append(notice("page-furniture", sentence, furniture))
    return text, notices


def is_page_row(text: str) -> bool:
    """Return whether a line is a site's own, an address or a licence."""
    return len(text) <= MAX_ROW_CHARACTERS and _PAGE_ROW.fullmatch(text) is not None


def _json_row(row: str) -> str | None:
    """Return what a row of JSON says; None for any other row."""
    stripped = row.strip()
    if not (stripped.startswith('{"') and stripped.endswith("}")):
        return None
    try:
        content = json.loads(stripped)
    except (ValueError, RecursionError):
        return None
    pieces = content.get("c")
    if not isinstance(pieces, list) or "t" not in content:
        return None
    said = "".join(str(piece.get("tx", "")) for piece in pieces if isinstance(piece, dict))
    # An escape may be half of a pair, which no table can hold.
    return said.encode("utf-8", "replace").decode()


def _without_genius(text: str) -> tuple[str, list[str]]:
    furniture: list[str] = []

    def take(match: re.Match[str]) -> str:
        furniture.append(match[0].strip())
        return "\n"

    if head := _GENIUS_HEAD.match(text):
        text = take(head) + text[head.end() :].lstrip(" ")
        if about := _GENIUS_ABOUT.match(text.lstrip("\n")):
            text = take(about) + text.lstrip("\n")[about.end() :]
    for pattern in (_GENIUS_TICKETS, _GENIUS_ALSO, _GENIUS_EMBED):
        text = pattern.sub(take, text)
    return text, furniture
