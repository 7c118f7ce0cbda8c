"""Zero-shot tags: what CLAP's own vectors of sound and descriptions make nearest."""

import numpy as np
import pytest

from blocks.storage import Storage
from models.protocols import AUDIO_TEXT_EMBEDDING
from models.tiny.write import write
from tasks.song.clap_tags import STEP, VOCABULARY, ClapTagsConfig, nearest
from tasks.step import Tools, Track
from tasks.weights import Weights
from tests.tasks.song.records import make_activity


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Tools:
    folder = tmp_path_factory.mktemp("models")
    write(folder, "clap-music-and-speech")
    storage = Storage(str(folder))
    return Tools(storage, storage, weights=Weights(str(folder)))


def test_a_sound_that_is_a_description_is_nearest_to_it(tools: Tools):
    model = tools.model("clap-music-and-speech", AUDIO_TEXT_EMBEDDING)
    asked = {
        ("folk", "genre"): "This is a folk song.",
        ("harp", "instrument"): "This is the sound of harp.",
        ("sad", "mood"): "This is sad music.",
        ("choir", "voice"): "This is a song with choir.",
    }
    sounds = [next(model.embed_text([text])) for text in asked.values()]
    tracks = [Track(str(at), "") for at in range(len(sounds) + 2)]
    claps = [{"clap_embedding": sound} for sound in [*sounds, None, sounds[0]]]
    activity = [None] * (len(sounds) + 1) + [make_activity("speech", speech=[(0.0, 9.0)])]
    rows = STEP.run(tracks, {"clap": claps, "activity": activity}, ClapTagsConfig(), tools)
    for tag, row in zip(asked, rows, strict=False):
        assert isinstance(row, dict)
        (first, *_) = nearest(row["similarity"])
        assert first[:2] == tag
        assert first[2] == pytest.approx(1.0, abs=1e-5)
    assert [row["similarity"] for row in rows[-2:]] == [None, None]  # type: ignore[index]


def test_of_each_kind_only_the_nearest_are_told():
    values = np.linspace(0.5, 0.1, len(VOCABULARY))
    told = nearest(values.tolist())
    assert [kind for _, kind, _ in told].count("instrument") == 3
    assert sorted({kind for _, kind, _ in told}) == ["genre", "instrument", "mood", "voice"]
    assert [value for *_, value in told] == sorted((value for *_, value in told), reverse=True)
    for kind in ("genre", "instrument", "mood", "voice"):
        first = next(tag for tag, other in VOCABULARY if other == kind)
        assert next(tag for tag, other, _ in told if other == kind) == first
