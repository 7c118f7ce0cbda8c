"""The text of a lyrics file, whatever it is encoded in."""

import re
import unicodedata
from collections import Counter

from tasks.language import ranked
from tasks.song.lyric_files import lrc
from tasks.song.lyric_files.lines import notice
from tasks.step import TrackError

MAX_FILE_BYTES = 1_000_000
"""Largest lyrics file that is read. Two hours of opera, every word timed, are some 400 kB."""

MAX_CONTROL_FRACTION, MAX_CONTROLS = 0.01, 2
"""Share and number of control characters above both of which decoded bytes are no text."""

MAX_BAD_FRACTION = 0.4
"""Share of bad bytes among these and the characters of several bytes, up to which a text is UTF-8
with faults. Of 22 lines of lyrics in 14 older code pages the share, read as UTF-8, was 0.67 (Thai)
to 1, and in no single word of theirs with four such characters was it below 0.5."""

MIN_MOJIBAKE_FRACTION, MIN_MOJIBAKE_LETTERS = 0.5, 8
"""Share and number of letters beyond ASCII above which a text of Latin-1 alone is another code
page's bytes, each taken for a letter. Of lyrics in Latin letters Vietnamese ones have most, 0.33;
a Czech pangram has 0.46."""

MIN_ALONE_FRACTION, MIN_LETTERS_PER_BYTE = 0.8, 3
"""Share of the runs of bytes beyond ASCII that are one byte, and letters of ASCII to each such
byte, from which a text is in Latin letters. Ten of twelve lines of lyrics in such languages had 1,
and 3.4 to 15; of the others charset-normalizer tells the script."""

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
_BAD_BYTE = re.compile(r"[\udc80-\udcff]")
_SMART_QUOTES = (
    # Punctuation of cp1252, pasted into a file of UTF-8, where nothing else can stand.
    (re.compile(r"(?<=[^\W\d_])\udc92(?=[^\W\d_])"), "\u2019"),
    (re.compile(r"(?<![^\W_])\udc93(?=\w)"), "\u201c"),
    (re.compile(r"(?<=[\w.,!?])\udc94(?!\w)"), "\u201d"),
    (re.compile(r"(?<=\s)\udc96(?=\s)"), "\u2013"),
    (re.compile(r"(?<=\s)\udc97(?=\s)"), "\u2014"),
    (re.compile(r"(?<=\w)\udc85(?!\w)"), "\u2026"),
)
_REFUSED = ((b"%PDF", "a PDF"), (b"PK\x03\x04", "a ZIP archive (.docx, .odt, .zip)"))


def decode(data: bytes) -> tuple[str, list[str]]:
    """Text of a lyrics file, and notices of what was guessed or repaired.

    UTF-8, UTF-16 and UTF-32 with a byte order mark, UTF-16 without one where zero bytes betray
    it, UTF-8, then legacy 8-bit and multi-byte code pages. A few bad bytes make UTF-8 no other
    code page: each becomes U+FFFD, or the quotation mark that it is in cp1252. UTF-8 that was
    taken for another code page and encoded once more is restored.

    Raises
    ------
    TrackError
        ``lyrics-too-large`` above :data:`MAX_FILE_BYTES`; ``lyrics-unreadable`` if it is no text;
        ``lyrics-format`` for documents of other programs.
    """
    if len(data) > MAX_FILE_BYTES:
        raise TrackError(
            "lyrics-too-large",
            f"The lyrics file has {len(data):,} bytes, more than the {MAX_FILE_BYTES:,} that are "
            "read; is it really lyrics?",
        )
    for magic, name in _REFUSED:
        if data.startswith(magic):
            raise TrackError(
                "lyrics-format", f"The lyrics file is {name}, no text; save it as plain text."
            )
    notices: list[str] = []
    text = _text(data, notices)
    if text is not None:
        text = _restored(text, notices)
        controls = sum(unicodedata.category(char) == "Cc" and not char.isspace() for char in text)
        if controls <= max(MAX_CONTROL_FRACTION * len(text), MAX_CONTROLS):
            clean = "".join(
                char for char in text if char.isspace() or unicodedata.category(char) != "Cc"
            )
            return unicodedata.normalize("NFC", clean.translate(_INVISIBLE)), notices
    raise TrackError(
        "lyrics-unreadable",
        "The lyrics file is no text in any encoding that is recognised; save it as UTF-8.",
    )


def _text(data: bytes, notices: list[str]) -> str | None:
    encoding = _unicode_encoding(data)
    if encoding == "utf-8":
        return _utf8(data, notices)
    if encoding is not None:
        width = 4 if encoding == "utf-32" else 2
        if len(data) % width:
            notices.append(notice("bad-bytes", f"the {encoding} file ends within a character"))
            data = data[: -(len(data) % width)]
        decoded = data.decode(encoding, "replace")
        bad = decoded.count("\ufffd")
        if bad > MAX_CONTROL_FRACTION * len(decoded):
            return None
        if bad:
            notices.append(
                notice("bad-bytes", f"characters that are no {encoding} ({bad}) became U+FFFD")
            )
        return decoded
    if 0 in data:
        return None
    legacy = _legacy_encoding(data)
    try:
        text = data.decode(legacy) if legacy else None
    except UnicodeDecodeError:
        return None
    if text is not None:
        sentence = f"the file is not UTF-8 and was read as {legacy}, by how it then reads"
        notices.append(notice("encoding-guessed", sentence))
    return text


def _unicode_encoding(data: bytes) -> str | None:
    """Return which encoding of Unicode the data are in; None for none, or for binary data."""
    if data.startswith((b"\xff\xfe\x00\x00", b"\x00\x00\xfe\xff")):
        return "utf-32"
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    zeros = data.count(0)
    # A short text of UTF-16 in another script has two zeros as well, but is no UTF-8.
    if zeros <= max(MAX_CONTROL_FRACTION * len(data), min(MAX_CONTROLS, len(data) / 20)):
        text = data.decode("utf-8", "surrogateescape")
        several = sum(char > "\x7f" and not _BAD_BYTE.match(char) for char in text)
        for pattern, mark in _SMART_QUOTES if several else ():
            text = pattern.sub(mark, text)
        bad = len(_BAD_BYTE.findall(text))
        if bad == 0 or bad <= MAX_BAD_FRACTION * (bad + several):
            return "utf-8"
    # ASCII in UTF-16 has its zeros in every second place; binary data has them anywhere.
    even, odd = data[0::2].count(0), data[1::2].count(0)
    if odd > 10 * even:
        return "utf-16-le"
    return "utf-16-be" if even > 10 * odd else None


def _utf8(data: bytes, notices: list[str]) -> str:
    text = data.decode("utf-8", "surrogateescape").removeprefix("\ufeff")
    quotes = 0
    for pattern, mark in _SMART_QUOTES:
        text, count = pattern.subn(mark, text)
        quotes += count
    if quotes:
        sentence = f"restored punctuation of cp1252 in a file of UTF-8 ({quotes})"
        notices.append(notice("bad-bytes", sentence))
    if bad := len(_BAD_BYTE.findall(text)):
        lines = [line.strip() for line in text.splitlines() if _BAD_BYTE.search(line)]
        text = _BAD_BYTE.sub("\ufffd", text)
        shown = [_BAD_BYTE.sub("\ufffd", line) for line in lines]
        sentence = f"bytes that are no UTF-8 ({bad}) became U+FFFD, in lines"
        notices.append(notice("bad-bytes", sentence, shown))
    return text


def _restored(text: str, notices: list[str]) -> str:
    """Return a text that was encoded twice as it was before."""
    data = _as_cp1252(text)
    if data is None or data.isascii():
        return text
    try:
        restored = data.decode("utf-8")
    except UnicodeDecodeError:
        letters = [char for char in text if char.isalpha()]
        beyond = sum(char > "\x7f" for char in letters)
        legacy = None
        if beyond > MIN_MOJIBAKE_FRACTION * len(letters) and beyond >= MIN_MOJIBAKE_LETTERS:
            legacy = _legacy_encoding(data)
        if legacy not in _LEGACY or legacy in _LEGACY_BY_SCRIPT["LATIN"]:
            return text
        restored = data.decode(legacy, "replace")
    notices.append(
        notice("encoded-twice", "characters that had been taken for cp1252 were restored")
    )
    return restored


def _as_cp1252(text: str) -> bytes | None:
    """Return bytes that make this text in cp1252, or in Latin-1 where that has no character."""
    data = bytearray()
    for char in text:
        try:
            data += char.encode("cp1252")
        except UnicodeEncodeError:
            if char > "\xff":
                return None
            data.append(ord(char))
    return bytes(data)


def _legacy_encoding(data: bytes) -> str | None:
    from charset_normalizer import from_bytes

    if _is_latin(data):
        script = "LATIN"
    else:
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


def _is_latin(data: bytes) -> bool:
    """Return whether bytes beyond ASCII stand alone among its letters, as letters with accents do.

    Of a line with one of them, charset-normalizer makes Chinese.
    """
    beyond = re.findall(rb"[\x80-\xff]+", data)
    letters = len(re.findall(rb"[A-Za-z]", data))
    alone = sum(len(run) == 1 for run in beyond)
    are_few = letters >= MIN_LETTERS_PER_BYTE * sum(map(len, beyond))
    return are_few and alone >= MIN_ALONE_FRACTION * len(beyond)


def _language_fit(data: bytes, encoding: str) -> float:
    """Probability that the data, so decoded, are in a language written in that encoding."""
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        return -1.0
    languages = _LEGACY[encoding].split()
    return sum(
        probability
        for language, probability in ranked(lrc.ANY_TIME.sub(" ", text))
        if language in languages
    )
