"""SubRip (.srt) and WebVTT (.vtt) as lines of LRC, which says the same."""

import re

_TIME = r"(?:(\d{1,3}):)?(\d{1,2}):(\d{1,2})[.,](\d{1,3})"
_CUE = re.compile(rf"\s*{_TIME}\s*-->\s*{_TIME}(?:\s.*)?")
_INNER_TIME = re.compile(rf"<{_TIME}>")
_TAG = re.compile(r"</?[A-Za-z][^<>]*>|\{\\[^{}]*\}")
_ENTITIES = {"&amp;": "&", "&lt;": "<", "&gt;": ">", "&nbsp;": " ", "&lrm;": "", "&rlm;": ""}
_ENTITY = re.compile("|".join(_ENTITIES))
_VTT = re.compile(r"WEBVTT(?:[ \t].*)?")


def is_vtt(text: str) -> bool:
    """Return whether a text is WebVTT."""
    return _VTT.fullmatch(text.lstrip().split("\n", 1)[0].strip()) is not None


def is_srt(text: str) -> bool:
    """Return whether a text has cues, each with a first and a last time."""
    return any(_CUE.fullmatch(line) for line in text.splitlines())


def as_lrc(text: str) -> str:
    """Lines of the cues, each between the times of its cue; styles, notes and names are dropped.

    Several lines of one cue are lines of their own with the same times.
    """
    lines = []
    for block in re.split(r"\n[ \t]*\n", text.replace("\r\n", "\n").replace("\r", "\n")):
        times: re.Match[str] | None = None
        for row in block.split("\n"):
            if match := _CUE.fullmatch(row):
                times = match
            elif times and row.strip():
                start, end = _tag(times.groups()[:4]), _tag(times.groups()[4:])
                content = _INNER_TIME.sub(lambda inner: f"<{_tag(inner.groups())}>", row)
                content = _TAG.sub("", content)
                content = _ENTITY.sub(lambda entity: _ENTITIES[entity[0]], content)
                lines.append(f"[{start}]{content.strip()}[{end}]")
    return "\n".join(lines)


def _tag(parts: tuple[str | None, ...]) -> str:
    hours, minutes, seconds, fraction = parts
    return f"{int(hours or 0):02d}:{int(minutes or 0):02d}:{int(seconds or 0):02d}.{fraction}"
