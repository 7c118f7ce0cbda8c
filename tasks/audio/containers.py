"""Which files hold audio: told by their first bytes, and in a store by their names."""

import re
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import BinaryIO, NamedTuple

# fmt: off
EXTENSIONS = frozenset({
    ".aac", ".ac3", ".adts", ".aif", ".aifc", ".aiff", ".amr", ".ape", ".au", ".bwf", ".caf",
    ".dff", ".dsf", ".dts", ".eac3", ".flac", ".m4a", ".m4b", ".m4r", ".mka", ".mp1", ".mp2",
    ".mp3", ".mp4", ".mpa", ".mpc", ".mpga", ".oga", ".ogg", ".opus", ".ra", ".rf64", ".shn",
    ".snd", ".spx", ".tak", ".tta", ".voc", ".w64", ".wav", ".wave", ".weba", ".wma", ".wv",
})
"""Names that promise audio: such a file is reported when its content is not."""

VIDEO_EXTENSIONS = frozenset({
    ".3gp", ".asf", ".avi", ".flv", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ogv",
    ".webm", ".wmv",
})
# fmt: on
"""Names of videos, whose audio is read. One that has none is no song, and no failure either."""

VIDEO_CONTAINERS = frozenset({"asf", "avi", "flv", "matroska", "mp4", "mpeg", "mpegts", "ogg"})
"""Containers that may hold pictures, or nothing but pictures."""

SNIFF_BYTES = 2**16
"""As much of a file as :func:`sniff` needs: a junk start of an MP3 is searched so far."""

MAX_TAGS = 8
"""ID3v2 tags in front of audio that are passed over; writers that append leave two or three."""

MAX_ZERO_BYTES = 2**22
"""Zeros in front of the first frame that are passed over, as interrupted downloads leave them."""

MPEG_EXTENSIONS = frozenset({".aac", ".adts", ".mp1", ".mp2", ".mp3", ".mpa", ".mpga"})
"""Names under which frames are searched for behind junk. Elsewhere, as in an archive or in a game's
resources, frames in the middle make no song."""

CHAIN_FRAMES = 4
"""Frames, each where the one before it ends, that make audio of a place behind junk. One header
fits each 700th pair of random bytes, a chain of four none of 10**8."""


def container_of(file: BinaryIO, name: str = "") -> str | None:
    """Name of the audio container that a file is, or None; its position changes.

    Parameters
    ----------
    file
        Open for reading.
    name
        Of the file: behind junk, frames are only searched for where it promises them.
    """
    begin = 0
    tagged = False
    for _ in range(MAX_TAGS):
        file.seek(begin)
        head = file.read(SNIFF_BYTES)
        size = _tag_bytes(head)
        if size == 0:
            break
        tagged = True
        begin += size
    sound = begin
    while head and sound - begin < MAX_ZERO_BYTES and not head.strip(b"\0"):
        sound += len(head)
        head = file.read(SNIFF_BYTES)
    zeros = len(head) - len(head.lstrip(b"\0"))
    if sound > begin or zeros > SNIFF_BYTES // 2:
        # From the last zero on, which tells what follows from a file that begins so.
        file.seek(max(sound + zeros - 1, begin))
        head = file.read(SNIFF_BYTES)
    # What follows a tag but is unknown may be frames behind padding that is too long.
    return sniff(head, name) or ("mp3" if tagged else None)


def sniff(head: bytes, name: str = "") -> str | None:
    """Name of the audio container that starts with `head`, or None.

    Parameters
    ----------
    head
        At least the first ``SNIFF_BYTES`` bytes of the file, or all of it.
    name
        Of the file; see :func:`container_of`.
    """
    tagged = False
    while size := _tag_bytes(head):
        tagged = True
        head = head[size:]
    for magic, container in _MAGICS:
        if magic.match(head):
            return container
    return (
        _chunked(head)
        or _transport_stream(head)
        or _frames(head, PurePosixPath(name).suffix.lower())
        or ("mp3" if tagged else None)
    )


_MAGICS = tuple(
    (re.compile(pattern, re.DOTALL), container)
    for pattern, container in (
        (rb"fLaC", "flac"),
        (rb"\x1aE\xdf\xa3", "matroska"),
        (re.escape(bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")), "asf"),
        (rb"wvpk", "wavpack"),
        (rb"TTA[12][\x01-\x03]\x00", "tta"),
        (rb"caff\x00[\x01\x02]", "caf"),
        (rb"\.snd\x00\x00|dns\...\x00\x00", "au"),
        (rb"riff" + re.escape(bytes.fromhex("2e91cf11a5d628db04c10000")), "w64"),
        # Monkey's Audio 3.80 to 3.99; a text may begin with these letters.
        (rb"MAC [\xd8-\xff]\x0e|MAC [\x00-\x96]\x0f", "ape"),
        (rb"MPCK|MP\+[\x07\x17]", "musepack"),
        (rb"DSD \x1c\x00\x00\x00", "dsf"),
        (rb"tBaK", "tak"),
        (rb"ajkg[\x00-\x03]", "shorten"),
        (rb"#!AMR", "amr"),
        (rb"Creative Voice File\x1a", "voc"),
        (rb"\.ra\xfd\x00|\.RMF\x00", "realaudio"),
        (rb"NIST_1A\n", "nist"),
        (rb"2BIT", "avr"),
        (rb" paf\x00\x00\x00|fap \x00\x00\x00", "paf"),
        (rb"PVF1\n", "pvf"),
        (rb"\x64\xa3[\x01-\x04]\x00|\x00[\x01-\x04]\xa3\x64", "ircam"),
        (rb"\x7f\xfe\x80\x01", "dts"),
        (rb"FLV\x01", "flv"),
        (rb"\x00\x00\x01\xba", "mpeg"),
    )
)

_IMAGE_BRANDS = frozenset(
    b"avif avis crx heic heim heis heix hevc hevm hevs hevx mif1 mif2 miaf msf1".split()
)
"""Major brands of pictures in the container of MP4 (HEIF, AVIF; Canon's raw files)."""


def _tag_bytes(head: bytes) -> int:
    """Size of the ID3v2 tag that `head` begins with; 0 without one (id3.org, ID3v2.4, 3.1)."""
    if len(head) < 10 or head[:3] != b"ID3" or max(head[6:10]) > 127 or 255 in head[3:5]:
        return 0
    size = 10 + (head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9])
    return size + 10 if head[5] & 0x10 else size


def _chunked(head: bytes) -> str | None:
    """Containers that name themselves behind the size of their first chunk."""
    kind, form = head[:4], head[8:12]
    if kind in (b"RIFF", b"RF64", b"RIFX", b"BW64"):
        return {b"WAVE": "wav", b"AVI ": "avi"}.get(form)
    if kind == b"FORM":
        return {b"AIFF": "aiff", b"AIFC": "aiff", b"8SVX": "svx", b"16SV": "svx"}.get(form)
    if kind == b"FRM8" and head[12:16] == b"DSD ":
        return "dff"
    if kind == b"OggS":
        return "opus" if b"OpusHead" in head[:64] else "ogg"
    if head[4:8] == b"ftyp":
        return None if form.rstrip() in _IMAGE_BRANDS else "mp4"
    # QuickTime before it had ftyp.
    return "mp4" if head[4:8] in (b"moov", b"mdat", b"wide") else None


def _transport_stream(head: bytes) -> str | None:
    """MPEG-TS: packets of 188 bytes, on Blu-ray after a time code of four."""
    for start, size in ((0, 188), (4, 192)):
        if len(head) > 4 * size and all(head[start + i * size] == 0x47 for i in range(5)):
            return "mpegts"
    return None


class _Frame(NamedTuple):
    """Header of a frame of MPEG audio, ADTS or AC-3."""

    container: str
    kind: tuple[int, ...]
    """What all frames of a stream share."""
    size: int
    """In bytes; 0 if the header does not say (free format)."""


def _frames(head: bytes, suffix: str) -> str | None:
    """Container of bare frames at the start, behind zeros, or behind junk that a name excuses."""
    named = suffix in EXTENSIONS
    zeros = len(head) - len(head.lstrip(b"\0"))
    for begin in sorted({0, zeros}):
        # A cut or damaged first frame of what is named like audio is a matter of the decoders.
        found = _chain(head, begin, 2) or (named and begin == 0 and _lone(head))
        if found:
            return found
    if suffix in MPEG_EXTENSIONS:
        for sync in re.finditer(rb"\xff[\xe2-\xff]", head):
            if found := _chain(head, sync.start(), CHAIN_FRAMES):
                return found
    return None


def _lone(head: bytes) -> str | None:
    """Container of one header, unless the two bytes are the mark of UTF-16."""
    frame = None if head[:2] == b"\xff\xfe" else _frame(head, 0)
    return frame.container if frame else None


def _chain(head: bytes, begin: int, count: int) -> str | None:
    """Container of `count` frames in a row from `begin`, or of fewer that end with the data."""
    first = None
    for index in range(count):
        frame = _frame(head, begin)
        if frame is None or (first and frame[:2] != first[:2]):
            # Data that ends, or goes on with a tag, shows less; one header alone shows nothing.
            ends = index > 1 and (len(head) - begin < 8 or head[begin : begin + 3] == b"TAG")
            return first.container if first and ends else None
        first = first or frame
        if frame.size == 0:
            return None
        begin += frame.size
    return first.container if first else None


def _frame(head: bytes, at: int) -> _Frame | None:
    header = head[at : at + 8]
    if len(header) < 8:
        return None
    for parse in _PARSERS:
        if frame := parse(header):
            return frame
    return None


_V1_KBPS = {
    3: (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    2: (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    1: (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
}
"""Bit rates by the header's layer field, 3 being Layer I (ISO 11172-3, 2.4.2.3)."""
_V2_KBPS = {
    3: (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    2: (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    1: (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
"""The same at low sampling frequencies (ISO 13818-3, 2.4.2.3)."""


def _mpeg_frame(header: bytes) -> _Frame | None:
    if header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        return None
    version, layer = header[1] >> 3 & 3, header[1] >> 1 & 3
    bitrate, rate = header[2] >> 4, header[2] >> 2 & 3
    # Reserved values: no frame carries them.
    if version == 1 or layer == 0 or bitrate == 15 or rate == 3:
        return None
    kind = (version, layer, rate)
    if bitrate == 0:
        return _Frame("mp3", kind, 0)
    rate_hz = (44_100, 48_000, 32_000)[rate] >> {3: 0, 2: 1, 0: 2}[version]
    bits = 1000 * (_V1_KBPS if version == 3 else _V2_KBPS)[layer][bitrate - 1]
    padding = header[2] >> 1 & 1
    if layer == 3:
        return _Frame("mp3", kind, (12 * bits // rate_hz + padding) * 4)
    samples = 576 if layer == 1 and version != 3 else 1152
    return _Frame("mp3", kind, samples // 8 * bits // rate_hz + padding)


def _adts_frame(header: bytes) -> _Frame | None:
    if header[0] != 0xFF or header[1] & 0xF6 != 0xF0:
        return None
    rate = header[2] >> 2 & 15
    size = (header[3] & 3) << 11 | header[4] << 3 | header[5] >> 5
    if rate > 12 or size < 8:
        return None
    return _Frame("aac", (header[1] & 8, header[2] >> 6, rate), size)


_AC3_KBPS = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640)
"""ATSC A/52, table 5.18."""


def _ac3_frame(header: bytes) -> _Frame | None:
    if header[:2] != b"\x0b\x77":
        return None
    rate, version = header[4] >> 6, header[5] >> 3
    if 10 < version <= 16:  # E-AC-3
        return _Frame("ac3", (version,), 2 * (((header[2] & 7) << 8 | header[3]) + 1))
    code = header[4] & 63
    if version > 10 or rate == 3 or code // 2 >= len(_AC3_KBPS):
        return None
    kbps = _AC3_KBPS[code // 2]
    words = (2 * kbps, 320 * kbps // 147 + (code & 1), 3 * kbps)[rate]
    return _Frame("ac3", (version, rate), 2 * words)


_PARSERS: tuple[Callable[[bytes], _Frame | None], ...] = (_mpeg_frame, _adts_frame, _ac3_frame)
