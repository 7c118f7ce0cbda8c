"""Prompts that a concept is learnt with: in each, ``%s`` stands for it.

Those of the validation are none of the training's: what is learnt is the concept, and not how
the sentences around it go.
"""

PLACEHOLDER = "%s"

TRAIN = (
    "in the style of %s",
    "a song in the style of %s",
    "music like %s",
    "%s music",
    "a piece of %s",
    "a %s song",
    "a %s track",
    "this sounds like %s",
    "the sound of %s",
    "a recording of %s",
    "some %s",
    "an instrumental of %s",
    "a loop of %s",
    "a melody played as %s",
    "a short passage of %s",
    "typical %s",
    "pure %s",
    "a tune that is %s",
    "an excerpt of %s",
    "composed as %s",
    "%s, instrumental",
    "%s, high quality",
    "a clean recording of %s",
    "a good example of %s",
    "one minute of %s",
    "the beginning of a %s piece",
    "the middle of a %s piece",
    "a theme in the manner of %s",
    "an arrangement that sounds like %s",
    "a performance of %s",
    "a beat with the feel of %s",
    "background music, %s",
    "a soundtrack of %s",
    "an album of %s",
    "a band that plays %s",
    "a producer makes %s",
    "what people call %s",
    "everything here is %s",
    "listen to %s",
    "the character of %s",
)
"""Of the training."""

VALIDATION = (
    "a composition in the style of %s",
    "sounds like %s",
    "a %s tune",
    "a %s piece of music",
    "a sample of %s",
    "a fragment of %s",
    "a new song like %s",
    "an original track with the sound of %s",
    "music in the manner of %s",
    "something close to %s",
    "a work of %s",
    "an interlude of %s",
    "a jingle in %s",
    "a %s theme",
    "a %s loop",
    "a %s recording",
    "the mood of %s",
    "the texture of %s",
    "inspired by %s",
    "reminiscent of %s",
    "played in the way of %s",
    "a demo of %s",
    "a live take of %s",
    "a studio take of %s",
    "the end of a %s song",
    "a few bars of %s",
    "a phrase of %s",
    "a variation on %s",
    "an homage to %s",
    "a game with music like %s",
    "a film with music like %s",
    "a radio that plays %s",
    "a playlist of %s",
    "a favourite piece of %s",
    "a rhythm as in %s",
    "harmonies as in %s",
    "instruments as in %s",
    "tonight they play %s",
    "all of it sounds as %s does",
    "an artist known for %s",
)
"""Of the validation and of generations by which a training is judged."""


def prompt(template: str, word: str, description: str | None = None) -> str:
    """Return a prompt: a template about a concept, and what is known of the music.

    Parameters
    ----------
    template
        With ``%s``.
    word
        That stands for the concept, as ``<8bit>``.
    description
        Of the recording, as ``120 BPM, A minor``.
    """
    said = template.replace(PLACEHOLDER, word)
    return f"{said}, {description}" if description else said
