"""Templates of captions, by style.

A template makes a caption of the parts and of a noun (track, piece, recording); an empty one
where it does not fit. What it adds to the phrases says nothing of the track, which
:mod:`tasks.captions.check` proves.
"""

from collections.abc import Callable, Mapping

from tasks.captions.parts import Parts, nouns_after, with_article
from tasks.pieces import NOTHING, Piece, capitalised, joined, led, listed

Template = Callable[[Parts, str], Piece]

MAX_SUMMARY_INSTRUMENTS = 2


# Writing: a noun phrase of all that is known.


def canonical(parts: Parts, noun: str) -> Piece:
    """Return `An upbeat Electronic track featuring synthesizer, in F# minor at 113 BPM`."""
    return _written(parts, noun, "featuring")


def _with(parts: Parts, noun: str) -> Piece:
    return _written(parts, noun, "with")


def _written(parts: Parts, noun: str, verb: str) -> Piece:
    name = with_article(parts.name(noun, parts.adjectives))
    details = [led(verb, parts.ensemble), parts.measures, *_rest(parts)]
    return capitalised(joined(" ", [name, joined(", ", details)]))


def _measures_first(parts: Parts, noun: str) -> Piece:
    """Return `In F# minor at 113 BPM, an upbeat Electronic track featuring synthesizer`."""
    if not parts.measures.text:
        return NOTHING
    name = with_article(parts.name(noun, parts.adjectives))
    details = [led("featuring", parts.ensemble), *_rest(parts)]
    return capitalised(joined(", ", [parts.measures, joined(" ", [name, joined(", ", details)])]))


def _rest(parts: Parts) -> tuple[Piece, Piece]:
    return led("with", parts.company), led("built of", parts.structure)


# Summary: the first mood and genre, and one thing more.


def _music(parts: Parts, noun: str) -> Piece:
    """Return `Energetic Rock music with guitar and drums`."""
    before = _few_words(parts)
    return capitalised(joined(" ", [before, _music_after(before), _one_detail(parts)]))


def _this_is(parts: Parts, noun: str) -> Piece:
    """Return `This is an energetic Rock piece with guitar and drums.`."""
    before = _few_words(parts)
    nouns = nouns_after(before.text)
    named = with_article(joined(" ", [before, Piece(noun if noun in nouns else nouns[0])]))
    return _sentence(joined(" ", [led("This is", named), _one_detail(parts)]))


def _is_music(parts: Parts, noun: str) -> Piece:
    """Return `The piece is energetic Rock music with guitar and drums.`."""
    before = _few_words(parts)
    if not before.text:
        return NOTHING
    said = led(f"The {noun} is", before)
    return _sentence(joined(" ", [said, _music_after(before), _one_detail(parts)]))


def _few_words(parts: Parts) -> Piece:
    adjective = parts.moods[0] if parts.moods else parts.speed
    return joined(" ", [adjective, parts.instrumental, *parts.genres[:1]])


def _one_detail(parts: Parts) -> Piece:
    if parts.instruments:
        return led("with", listed(parts.instruments[:MAX_SUMMARY_INSTRUMENTS]))
    if parts.voice.text:
        return led("with", parts.voice_named)
    if parts.measures.text:
        return parts.measures
    return led("with", parts.theme if parts.themes else parts.structure)


def _music_after(before: Piece) -> Piece:
    """Return `music`, unless it is said already: `Folk music`."""
    return NOTHING if before.text.casefold().endswith("music") else Piece("music")


# Paraphrase: sentences of all that is known.


def _this_does(parts: Parts, noun: str) -> Piece:
    """Return `This energetic Rock track features guitar and drums and is in F# minor.`."""
    clauses, name = _clauses(parts), parts.name(noun, parts.adjectives)
    if not clauses:
        return _sentence(led("This is", with_article(name)))
    return _sentence(joined(" ", [led("This", name), listed(clauses)]))


def _this_is_and_does(parts: Parts, noun: str) -> Piece:
    """Return `This Rock track is energetic, features guitar and drums and is in F# minor.`."""
    if not parts.adjectives.text:
        return NOTHING
    clauses = [led("is", parts.adjectives), *_clauses(parts)]
    return _sentence(joined(" ", [led("This", parts.name(noun)), listed(clauses)]))


def _with_this(parts: Parts, noun: str) -> Piece:
    """Return `With guitar and drums, this energetic Rock track is in F# minor.`."""
    clauses = _clauses(parts)[1:]
    if not parts.instruments or not clauses:
        return NOTHING
    said = joined(" ", [led("this", parts.name(noun, parts.adjectives)), listed(clauses)])
    return _sentence(joined(", ", [led("With", parts.ensemble), said]))


def _that(parts: Parts, noun: str) -> Piece:
    """Return `A Rock track that is energetic and features guitar and drums.`."""
    said = led("that", listed([led("is", parts.adjectives), *_clauses(parts)]))
    if not said.text:
        return NOTHING
    return _sentence(joined(" ", [with_article(parts.name(noun)), said]))


def _clauses(parts: Parts) -> list[Piece]:
    """Return `features guitar`, `is at 113 BPM` and the like, where there is something to say."""
    clauses = (
        led("features", parts.ensemble),
        led("is", parts.measures),
        led("has", parts.company),
        led("is built of", parts.structure),
    )
    return [clause for clause in clauses if clause.text]


def _sentence(piece: Piece) -> Piece:
    return capitalised(Piece(f"{piece.text}.", piece.phrases))


# Attributes: a list.


def _attributes(parts: Parts, noun: str) -> Piece:
    """Return `energetic, Rock, guitar, drums, F# minor`."""
    return joined(", ", [parts.speed, *parts.moods, *parts.genres, *_further(parts)])


def _genre_first(parts: Parts, noun: str) -> Piece:
    """Return `Rock, energetic, guitar, drums, F# minor`."""
    return joined(", ", [*parts.genres, parts.speed, *parts.moods, *_further(parts)])


def _further(parts: Parts) -> list[Piece]:
    return [
        *(*parts.instruments, parts.instrumental, parts.voice),
        *(parts.key, parts.tempo, parts.metre, *parts.themes, *parts.sections),
    ]


def _labelled(parts: Parts, noun: str) -> Piece:
    """Return `Genre: Rock; mood: energetic; instruments: guitar, drums; key: F# minor`."""
    labelled = (
        led("genre:", joined(", ", parts.genres)),
        led("mood:", joined(", ", parts.moods)),
        led("speed:", parts.speed),
        led("instruments:", joined(", ", parts.instruments)),
        led("voice:", parts.instrumental),
        led("voice:", parts.voice),
        led("key:", parts.key),
        led("tempo:", parts.tempo),
        led("metre:", parts.metre),
        led("theme:", joined(", ", parts.themes)),
        led("sections:", joined(", ", parts.sections)),
    )
    return capitalised(joined("; ", labelled))


TEMPLATES: Mapping[str, tuple[Template, ...]] = {
    "writing": (canonical, _measures_first, _with),
    "summary": (_music, _this_is, _is_music),
    "paraphrase": (_this_does, _this_is_and_does, _with_this, _that),
    "attributes": (_attributes, _genre_first, _labelled),
}
