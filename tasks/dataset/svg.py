"""Elements of SVG, as text: what charts are drawn with. Texts from outside are escaped here."""

from collections.abc import Sequence
from html import escape


def cut(text: str, characters: int) -> str:
    """Return a text of so many characters at most, its end replaced by an ellipsis."""
    return text if len(text) <= characters else text[: characters - 1] + "…"


def element(width: float, height: float, name: str, parts: Sequence[str]) -> str:
    """Return an ``<svg>`` element of a size, with a name for those who do not see it."""
    return (
        f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{escape(name)}">'
        f"{''.join(parts)}</svg>"
    )


def line(x1: float, y1: float, x2: float, y2: float, css: str) -> str:
    """Return a line of a CSS class."""
    return f'<line class="{css}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def rect(x: float, y: float, width: float, height: float, css: str, hint: str) -> str:
    """Return a rectangle of a CSS class, which says `hint` when it is pointed at."""
    return (
        f'<rect class="{escape(css)}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" '
        f'height="{height:.1f}"><title>{escape(hint)}</title></rect>'
    )


def text(x: float, y: float, text: str, anchor: str, css: str = "tick") -> str:
    """Return a text at a place, anchored at its ``start``, ``middle`` or ``end``."""
    return (
        f'<text class="{css}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
    )
