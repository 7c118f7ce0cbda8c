"""Words for the synthesised songs, written for this project: lines of four to ten syllables.

Verses are stanzas of four lines.
"""

VERSE_LINES = (
    "morning opens on the water",
    "all the windows catch the light",
    "someone left a lamp on burning",
    "in the middle of the night",
    "I was walking by the harbor",
    "counting boats along the bay",
    "every sail was full of summer",
    "and the wind was on its way",
    "there is copper in the maples",
    "there is silver on the road",
    "I have carried all these letters",
    "I am laying down my load",
    "low the thunder over mountains",
    "slow the river running down",
    "you were waiting at the station",
    "on the other side of town",
    "paper lanterns in the garden",
    "older than the wall of stone",
    "we were singing to the swallows",
    "we were never quite alone",
)

CHORUSES = (
    (
        "oh hold me near",
        "the morning is here",
        "oh carry me over",
        "there is nothing to fear",
    ),
    (
        "run with the tide",
        "stay by my side",
        "wherever you wander",
        "I will be your guide",
    ),
    (
        "home is a song",
        "all summer long",
        "sing it together",
        "we can never go wrong",
    ),
    (
        "rise in the blue",
        "all that we knew",
        "shine like an ember",
        "I am burning for you",
    ),
)

BRIDGE_LINES = (
    "and if the snow should fall",
    "I would remember it all",
    "let the rain come down",
    "let the bells be loud",
    "low is the moon tonight",
    "leave me one small light",
    "maybe the sea will know",
    "maybe we learn to let go",
)
