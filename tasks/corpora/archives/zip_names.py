"""Names of a zip archive's members, in the encoding that all of them are guessed to be in.

The format knows two: code page 437, and UTF-8 where a flag says so (APPNOTE.TXT, appendix D).
Windows packs in the code page of its language and sets no flag; a Japanese name read as
page 437 is not only unreadable, its bytes 5C become folders that are not there.
"""

import struct
import unicodedata
import zlib
from collections.abc import Callable, Sequence
from zipfile import ZipInfo

NAME_IS_UTF8 = 0x800
UNICODE_PATH = 0x7075
"""Extra field with the name in UTF-8 and the check sum of the other one (APPNOTE.TXT 4.6.9)."""

ENCODINGS = ("cp932", "gbk", "cp949", "cp866", "cp1251", "cp437", "cp850", "cp1252")
"""What Windows packs in, of which the first that scores best is taken: Japanese, Chinese, Korean,
Cyrillic for DOS and Windows, and Western for both."""

KNOWN_SCORE = 2.0
"""What is added where all names are known words: Korean for a drum is Chinese for something."""

LEAST_SCORE = 0.0
"""With no encoding above it, it is code page 437 as the format has it."""


COMMON_LATIN = frozenset("äöüßéèêëáàâãåæçñíìîïóòôõøúùûœÄÖÜÉÅØÑÇÁÍÓÚÀÈÊÃÕ")


def decoded(
    entries: Sequence[ZipInfo], is_known: Callable[[str], bool]
) -> tuple[list[str], list[str | None]]:
    """Return the names of all members, and which encoding was guessed for each.

    Parameters
    ----------
    entries
        As zipfile has read them.
    is_known
        Whether a name holds a word that is expected in names of members.

    Returns
    -------
    names, guessed : list
        In the order of the entries; None where nothing was guessed: the name is ASCII, UTF-8
        or declared.
    """
    names: list[str] = []
    guessed: list[str | None] = []
    raw = {
        at: entry.orig_filename.encode("cp437")
        for at, entry in enumerate(entries)
        if not entry.flag_bits & NAME_IS_UTF8
    }
    unicode_names = {at: name for at in raw if (name := _unicode_path(entries[at], raw[at]))}
    doubtful = [name for at, name in raw.items() if at not in unicode_names and not _is_utf8(name)]
    encoding = _guessed(doubtful, is_known)
    for at, entry in enumerate(entries):
        if at not in raw:
            names.append(entry.orig_filename)
        elif at in unicode_names:
            names.append(unicode_names[at])
        elif _is_utf8(raw[at]):
            names.append(raw[at].decode("utf-8"))
        else:
            names.append(raw[at].decode(encoding))
            guessed.append(encoding)
            continue
        guessed.append(None)
    return names, guessed


def _is_utf8(name: bytes) -> bool:
    try:
        name.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _unicode_path(entry: ZipInfo, name: bytes) -> str | None:
    """Return the name that an entry holds beside the other one, if it belongs to that."""
    extra = entry.extra
    while len(extra) >= 4:
        kind, size = struct.unpack_from("<HH", extra)
        field = extra[4 : 4 + size]
        if kind == UNICODE_PATH and len(field) > 5 and field[0] == 1:
            (crc32,) = struct.unpack_from("<I", field, 1)
            if crc32 == zlib.crc32(name) and _is_utf8(field[5:]):
                return field[5:].decode("utf-8")
        extra = extra[4 + size :]
    return None


def _guessed(names: Sequence[bytes], is_known: Callable[[str], bool]) -> str:
    """Return the encoding in which names read best, all of them together."""
    best, most = "cp437", LEAST_SCORE
    for encoding in ENCODINGS:
        try:
            texts = [name.decode(encoding) for name in names]
        except UnicodeDecodeError:
            continue
        score = _score("\n".join(texts), encoding)
        score += KNOWN_SCORE * sum(map(is_known, texts)) / max(len(texts), 1)
        if score > most:
            best, most = encoding, score
    return best


def _score(text: str, encoding: str) -> float:
    """Return how much a text looks like one: the mean over its characters that are not ASCII."""
    places = [at for at, each in enumerate(text) if not each.isascii()]
    if not places:
        return 0.0
    return sum(_of(text, at, encoding) for at in places) / len(places)


def _of(text: str, at: int, encoding: str) -> float:
    """Return how likely a character is where it stands."""
    each = text[at]
    beside = text[at - 1 : at] + text[at + 1 : at + 2] if at else text[1:2]
    if each in "\u30fb\u30fc\u3000\u3001\u3002" or "\u3041" <= each <= "\u30fe":
        return 1.0  # kana and what stands between them
    if "\uff61" <= each <= "\uff9f":
        return -0.3  # half-width kana, which half of all bytes are
    if "\uff01" <= each <= "\uff60":
        return 0.5
    if "\u4e00" <= each <= "\u9fff" or "\uac00" <= each <= "\ud7a3":
        if not _COMMON[encoding](each.encode(encoding)):
            return -0.5
        return 0.6 if any(other.isascii() and other.isalpha() for other in beside) else 1.0
    if "\u0400" <= each <= "\u04ff":
        is_odd = any(other.isascii() and other.isalpha() for other in beside)
        is_odd |= each.isupper() and text[at - 1 : at].islower() and at > 0
        return -1.0 if is_odd else 1.0
    if each.isalpha() and unicodedata.name(each, "").startswith("LATIN"):
        if each not in COMMON_LATIN or (each.isupper() and text[at - 1 : at].islower()):
            return -0.5
        # Accents stand among plain letters, hardly side by side.
        return 0.3 if any(other.isalpha() and not other.isascii() for other in beside) else 0.8
    if each in "\u2013\u2014\u2018\u2019\u201c\u201d\xb0\xb4\xab\xbb\u2116":
        return 0.1
    return -2.0


def _is_between(low: int, high: int) -> Callable[[bytes], bool]:
    return lambda code: low <= code[0] <= high and code[-1] >= 0x40


_COMMON: dict[str, Callable[[bytes], bool]] = dict.fromkeys(ENCODINGS, lambda code: False) | {
    # The common ideographs of JIS X 0208 and GB 2312, and the syllables of KS X 1001.
    "cp932": _is_between(0x88, 0x97),
    "gbk": lambda code: 0xB0 <= code[0] <= 0xD7 and code[-1] >= 0xA1,
    "cp949": lambda code: 0xB0 <= code[0] <= 0xC8 and code[-1] >= 0xA1,
}
