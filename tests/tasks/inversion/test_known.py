"""What prompts say of a recording."""

from typing import Any

import pytest

from tasks.inversion.known import known_of

TAGS = [
    {"tag": "electronic", "kind": "genre"},
    {"tag": "female voice", "kind": "voice"},
    {"tag": "synthesizer", "kind": "instrument"},
    {"tag": "80s", "kind": "era"},
    {"tag": "happy", "kind": "mood"},
    {"tag": "drums", "kind": "instrument"},
]


@pytest.mark.parametrize(
    ("tempo", "tonic", "mode", "tags", "said"),
    [
        (119.6, "A", "minor", TAGS, "120 BPM, A minor, electronic, synthesizer, happy"),
        (None, "F#", "major", [], "F# major"),
        (90.0, None, None, None, "90 BPM"),
        (None, None, None, None, None),
    ],
)
def test_a_description_says_what_is_known(tempo: Any, tonic: Any, mode: Any, tags: Any, said: Any):
    known = known_of({"tempo": tempo, "dominant_key": tonic, "mode": mode, "tags": tags})
    assert known["description"] == said
    assert (known["tempo_bpm"], known["key"]) == (tempo, f"{tonic} {mode}" if tonic else None)
    assert known["tags"] == (["electronic", "synthesizer", "happy", "drums"] if tags else [])
