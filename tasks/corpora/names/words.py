"""A name as words: letters and digits only, and where words begin and end."""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

# A word ends before a capital that begins another: "KickIn", "EGtr".
_WORD = re.compile(r"[A-Z]+(?![a-z])|\d+|[^\W\d_][^\W\d_A-Z]*")
MAX_CHARACTERS = 256
"""A file's name has no more on any system; those of archives may."""


def squeezed(name: str) -> str:
    """Return the letters and digits of a name, in lower case and without accents."""
    return "".join(match.group().casefold() for match in _WORD.finditer(_plain(name)))


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a name.

    Attributes
    ----------
    text
        Its letters or digits, in lower case and without accents.
    start, end
        Where it lies among the letters and digits of the name.
    before
        What stands between the word before and it: spaces, dashes, brackets.
    """

    text: str
    start: int
    end: int
    before: str

    @property
    def is_number(self) -> bool:
        """Whether it is of digits."""
        return self.text.isdigit()


class Words:
    """The words of a name.

    Parameters
    ----------
    name
        Of a stem, a file or a folder.

    Attributes
    ----------
    squeezed
        The letters and digits, in lower case and without accents.
    words
        The words, in order.
    ends
        Where words begin and end in `squeezed`.
    """

    def __init__(self, name: str) -> None:
        self.name = unicodedata.normalize("NFC", name[:MAX_CHARACTERS])
        plain = _plain(self.name)
        self.words: list[Word] = []
        at = last = 0
        for match in _WORD.finditer(plain):
            text = match.group().casefold()
            self.words.append(Word(text, at, at + len(text), plain[last : match.start()]))
            at, last = at + len(text), match.end()
        self.squeezed = "".join(word.text for word in self.words)
        self.ends = frozenset({0, *(word.end for word in self.words)})

    def occurrences(self, text: str) -> Iterator[tuple[int, int]]:
        """Yield where letters and digits are found, be it within words or over several."""
        start = self.squeezed.find(text)
        while start >= 0:
            yield start, start + len(text)
            start = self.squeezed.find(text, start + 1)

    def whole(self, texts: Sequence[str]) -> Iterator[tuple[int, int]]:
        """Yield where one of some texts is found, from the start of a word to the end of one."""
        for text in texts:
            for start, end in self.occurrences(text):
                if start in self.ends and end in self.ends:
                    yield start, end

    def within_a_word(self, start: int, end: int) -> bool:
        """Return whether no word begins or ends between two places."""
        return self.ends.isdisjoint(range(start + 1, end))

    def as_written(self, words: Sequence[Word]) -> str:
        """Return some of the words as the name writes them, with what stands between any two.

        Where other words stand between them, that is a space.
        """
        said = list(_WORD.finditer(self.name))
        if len(said) != len(self.words):  # "&" is a word, an accent may be one
            return " ".join(word.text for word in words)
        wanted = {word.start for word in words}
        text, last = "", -1
        for at, (match, word) in enumerate(zip(said, self.words, strict=True)):
            if word.start in wanted:
                text += word.before if at == last + 1 and text else " "
                text, last = text + match.group(), at
        return text.strip()


def _plain(name: str) -> str:
    decomposed = unicodedata.normalize("NFKD", name[:MAX_CHARACTERS])
    plain = "".join(each for each in decomposed if not unicodedata.combining(each))
    # Two instruments in one file are told by what is between them.
    return plain.replace("&", " and ").replace("+", " and ")
