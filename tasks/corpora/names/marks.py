"""What in a name tells an instrument, or a mixture, and where it stands."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from tasks.corpora.names.instrument_words import (
    CONNECTORS,
    FALSE_FRIENDS,
    GLUED_NEGATIONS,
    GUIDES,
    LOUDER,
    MIXTURES,
    MIXTURES_UNLESS_OF_ONE,
    MUTABLE,
    MUTED,
    NEGATIONS,
    NEGATIONS_AFTER,
    NEUTRAL,
    PARTS_OF_A_CHOIR,
    PARTS_OF_A_KIT,
    WHOLE_WORD_LETTERS,
    WHOLE_WORDS,
    WITH,
    Instrument,
    Synonyms,
)
from tasks.corpora.names.words import Word, Words

Span = tuple[int, int]
Spans = Sequence[Span]


@dataclass(frozen=True, slots=True)
class Hit:
    """The name of an instrument within a name, from `start` to `end`."""

    start: int
    end: int
    instrument: Instrument


class Marks:
    """What a name tells, of which some places may be told to count for nothing.

    Parameters
    ----------
    words
        The name.
    synonyms
        Words for the instruments.
    """

    def __init__(self, words: Words, synonyms: Synonyms) -> None:
        self.words = words
        self._false = [
            span
            for friend in FALSE_FRIENDS
            for span in words.occurrences(friend)
            if words.within_a_word(*span)
        ]
        self.hits = [
            Hit(start, end, instrument)
            for instrument, names in synonyms.items()
            for name in names
            for start, end in words.occurrences(name)
            if self._counts(name, start, end) and not self._is_by_chance(start, end)
        ]

    def instrument(self, shared: Spans) -> Instrument | None:
        """Return the instrument of the longest name; of equals, that of the first in the table."""
        alive = [hit for hit in self.hits if not _inside(hit, shared)]
        # Of equals, max takes the first.
        return max(alive, key=lambda hit: hit.end - hit.start).instrument if alive else None

    def alive_instruments(self, shared: Spans) -> set[Instrument]:
        """Return every instrument that is named."""
        return {hit.instrument for hit in self.hits if not _inside(hit, shared)}

    def two_instruments(self, shared: Spans) -> tuple[Instrument, ...]:
        """Return two instruments that a word like "and" joins; nothing if there are none such."""
        for first in self.longest_hits:
            for second in self.longest_hits:
                if first.instrument == second.instrument or second.start < first.end:
                    continue
                between = [
                    word.text
                    for word in self.words.words
                    if first.end <= word.start and word.end <= second.start
                ]
                joined = CONNECTORS.intersection(between)
                rest = set(between) - CONNECTORS - NEUTRAL - {"s"}
                if joined and not rest and not (_inside(first, shared) or _inside(second, shared)):
                    return first.instrument, second.instrument
        return ()

    def has_mixture(self, shared: Spans) -> bool:
        """Return whether a mixture is told, whatever else is."""
        return any(not _within(span, shared) for span in self._mixtures)

    def has_weak_mixture(self, shared: Spans) -> bool:
        """Return whether a word is there that tells a mixture if there is no instrument."""
        return any(not _within(span, shared) for span in self.weak_mixtures)

    def is_bare(self, shared: Spans) -> bool:
        """Return whether nothing is left of a name but numbers, without what counts for nothing."""
        return bool(shared) and all(
            word.is_number or _within((word.start, word.end), shared) for word in self.words.words
        )

    @cached_property
    def longest_hits(self) -> list[Hit]:
        """Names of instruments that lie in no longer one, in the order of the name."""
        longest: list[Hit] = []
        for hit in sorted(self.hits, key=lambda hit: (hit.start - hit.end, hit.start)):
            if all(hit.end <= other.start or other.end <= hit.start for other in longest):
                longest.append(hit)
        return sorted(longest, key=lambda hit: hit.start)

    @cached_property
    def mixtures(self) -> list[Span]:
        """Where mixtures are told, be it that there is no instrument beside."""
        return [*self._mixtures, *self.weak_mixtures]

    @cached_property
    def weak_mixtures(self) -> list[Span]:
        """Where words stand that tell a mixture if there is no instrument."""
        numbered = {word.start for word in self.words.words if word.is_number}
        return [
            span
            for span in self.words.whole(MIXTURES_UNLESS_OF_ONE)
            # "Inst 1" is what Logic calls a track.
            if not (self.words.squeezed[slice(*span)].startswith("inst") and span[1] in numbered)
        ]

    @cached_property
    def _mixtures(self) -> list[Span]:
        found = list(self.words.whole(MIXTURES))
        for hit in self.longest_hits:
            found += self._without(hit)
            found += self._louder(hit)
            found += self._beside(hit)
        return found

    def _without(self, hit: Hit) -> Iterator[Span]:
        """Yield the place of a negated instrument."""
        text = self.words.squeezed
        others = [other for other in self.longest_hits if other != hit]
        if others and hit.instrument == "fx":
            # Vocals without effects are a stem.
            return
        before = self._before(hit)
        while before and before[-1].text in PARTS_OF_A_CHOIR:
            before = before[:-1]
        if before and _negates(before, is_next=before[-1].end == hit.start):
            # And so are drums without the kick.
            start = before[-1].start
            ends = {each.end for each in others if each.instrument == hit.instrument}
            if start not in ends and not (start - 1 in ends and text[start - 1] == "s"):
                yield start, hit.end
        for word in self.words.words:
            if word.start < hit.start < word.end and text[word.start : hit.start] in (
                GLUED_NEGATIONS
            ):
                yield word.start, hit.end
        for start in {hit.end, hit.end + text.startswith("s", hit.end)}:
            for said in NEGATIONS_AFTER:
                if text.startswith(said, start) and start + len(said) in self.words.ends:
                    yield hit.start, start + len(said)
        after = self._after(hit, apart=("(", "["))
        if (
            after
            and (after[0].text == "off" or (after[0].text in MUTED and hit.instrument in MUTABLE))
            and all(word.is_number or word.text in NEUTRAL for word in after[1:])
            and text[hit.start : hit.end] not in PARTS_OF_A_KIT
        ):
            yield hit.start, after[0].end

    def _louder(self, hit: Hit) -> Iterator[Span]:
        """Yield the place of an instrument of which a mixture has more or less."""
        after = self._after(hit, apart=("(", "["))
        texts = [word.text for word in after if word.text not in ("and", "minus", "plus")]
        if self.words.squeezed[hit.start : hit.end] in PARTS_OF_A_KIT or not texts:
            return
        in_decibels = texts[0].isdigit() and "".join(texts[1:3]).startswith("db")
        if in_decibels or (
            texts[0] in LOUDER and all(text in NEUTRAL or text.isdigit() for text in texts[1:])
        ):
            yield hit.start, after[-1].end

    def _beside(self, hit: Hit) -> Iterator[Span]:
        """Yield the place of an instrument that is told to be in a mixture, or to be a guide."""
        before, after = self._before(hit), self._after(hit)
        if before and before[-1].text in WITH and not any(o.end <= hit.start for o in self.hits):
            yield before[-1].start, hit.end
        while before and before[-1].text in NEUTRAL:
            before = before[:-1]
        if before and before[-1].text in GUIDES:
            yield before[-1].start, hit.end
        if after and after[0].text in GUIDES:
            yield hit.start, after[0].end

    def _before(self, hit: Hit) -> list[Word]:
        """Return the words before the name of an instrument that nothing sets apart from it."""
        found: list[Word] = []
        gap = next((word.before for word in self.words.words if word.start == hit.start), "")
        for word in reversed(self.words.words):
            if word.end > hit.start:
                continue
            if _sets_apart(gap):
                break
            found.insert(0, word)
            gap = word.before
        return found

    def _after(self, hit: Hit, apart: Sequence[str] = ()) -> list[Word]:
        """Return the words after the name of an instrument that nothing sets apart from it.

        The brackets in `apart` do not.
        """
        end = hit.end
        if end not in self.words.ends:
            end += self.words.squeezed.startswith("s", end)
        found: list[Word] = []
        for word in self.words.words:
            if word.start < end:
                continue
            if _sets_apart("".join(each for each in word.before if each not in apart)):
                break
            found.append(word)
        return found

    def _counts(self, name: str, start: int, end: int) -> bool:
        """Return whether a name is there as a word, or within one where it may be."""
        is_long = len(name) > WHOLE_WORD_LETTERS and name not in WHOLE_WORDS
        if is_long and self.words.within_a_word(start, end):
            return True
        ends, text = self.words.ends, self.words.squeezed
        plural = end + text.startswith("s", end)
        if start in ends and (end in ends or plural in ends):
            return True
        # Chinese and Japanese leave no space between words.
        beside = text[max(start - 1, 0) : start] + text[end : end + 1]
        return not name.isascii() and _is_ideographic(name) and not _has_letters_of_words(beside)

    def _is_by_chance(self, start: int, end: int) -> bool:
        return any(low < start < high or low == start < end < high for low, high in self._false)


def _is_ideographic(text: str) -> bool:
    return all("\u3040" <= each <= "\u30ff" or "\u4e00" <= each <= "\u9fff" for each in text)


def _has_letters_of_words(text: str) -> bool:
    return any(each.isalpha() and not _is_ideographic(each) for each in text)


def _negates(before: Sequence[Word], *, is_next: bool) -> bool:
    """Return whether words before an instrument say all but it."""
    one, two = before[-1].text, " ".join(word.text for word in before[-2:])
    if one == "off":  # "off vocal", and not "off the vocal mic"
        return is_next
    return one in NEGATIONS or two in ("all but", "everything but", "w o")


def _sets_apart(gap: str) -> bool:
    return " - " in gap or any(each in "()[]" for each in gap)


def _inside(hit: Hit, spans: Spans) -> bool:
    return _within((hit.start, hit.end), spans)


def _within(span: Span, spans: Spans) -> bool:
    return any(start <= span[0] and span[1] <= end for start, end in spans)
