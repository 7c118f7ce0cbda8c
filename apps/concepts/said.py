"""Sentences in the page."""

from html import escape


def status(sentence: str) -> str:
    """Return a sentence that says how things stand."""
    return f'<p class="said" role="status">{escape(sentence)}</p>'


def alert(sentence: str) -> str:
    """Return a sentence that says what cannot be done, and why."""
    return f'<p class="said bad" role="alert">{escape(sentence)}</p>'
