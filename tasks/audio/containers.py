"""Which audio container a file is, told by its first bytes."""

EXTENSIONS = frozenset(
    {".wav", ".aif", ".aiff", ".mp3", ".flac", ".ogg", ".opus", ".m4a", ".aac", ".mp4"}
)
"""Names that promise audio: such a file is reported when its content is not."""

SNIFF_BYTES = 64
"""As much of a file as :func:`sniff` needs."""


def sniff(head: bytes) -> str | None:
    """Name of the audio container that starts with `head`, or None.

    Parameters
    ----------
    head
        At least the first ``SNIFF_BYTES`` bytes of the file, or all of it.
    """
    if head[:4] in (b"RIFF", b"RF64", b"RIFX") and head[8:12] == b"WAVE":
        return "wav"
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return "aiff"
    if head[:4] == b"fLaC":
        return "flac"
    if head[:4] == b"OggS":
        return "opus" if b"OpusHead" in head else "ogg"
    if head[4:8] == b"ftyp":
        return "mp4"
    if head[:3] == b"ID3":
        return "mp3"
    if len(head) >= 3 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0:
        layer = head[1] >> 1 & 3
        if layer == 0 and head[1] & 0xF0 == 0xF0:
            return "aac"
        # Bitrate 15 and rate 3 are reserved: no MPEG frame carries them.
        if layer and head[2] >> 4 != 15 and head[2] >> 2 & 3 != 3:
            return "mp3"
    return None
