import numpy as np
import pyarrow as pa
import pytest

from blocks.storage import Storage
from models.protocols import AUDIO_TEXT_EMBEDDING
from models.tiny.write import write
from tasks.embed.clap import ClapConfig
from tasks.embed.clap_text import STEP, ClapTextConfig
from tasks.step import Tools, Track
from tasks.weights import Weights

LOUD, SOFT, LONG = "Loud verse in A minor", "soft intro", "gentle chorus with vocals, " * 300


@pytest.fixture(scope="module")
def tools(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    write(folder, "clap-music-and-speech")
    storage = Storage(str(folder))
    return Tools(storage, storage, weights=Weights(str(folder)))


def run(tools, *prompts):
    tracks = [Track(track_id=str(number), path="") for number in range(len(prompts))]
    rows = [{"prompt": list(texts)} for texts in prompts]
    return STEP.run(tracks, {"prompts": rows}, ClapTextConfig(), tools)


def test_each_prompt_has_an_embedding(tools):
    rows = run(tools, [LOUD, SOFT, LOUD], [LONG])
    table = pa.Table.from_pylist(rows, schema=STEP.columns)
    assert table["prompt_embedding"].type.value_type.list_size == 512
    assert [len(row["prompt_embedding"]) for row in rows] == [3, 1]
    model = tools.model("clap-music-and-speech", AUDIO_TEXT_EMBEDDING)
    for texts, row in zip(([LOUD, SOFT, LOUD], [LONG]), rows, strict=True):
        for text, embedding in zip(texts, row["prompt_embedding"], strict=True):
            assert np.array_equal(next(model.embed_text([text])), embedding)
            assert np.linalg.norm(embedding) == pytest.approx(1, abs=1e-6)
    loud, soft, _ = rows[0]["prompt_embedding"]
    assert not np.array_equal(loud, soft)


def test_equal_prompts_of_a_batch_are_embedded_once(tools, monkeypatch):
    model, asked = tools.model("clap-music-and-speech", AUDIO_TEXT_EMBEDDING), []
    embed = model.embed_text

    def counting(texts, batch_size=None):
        asked.append((list(texts), batch_size))
        return embed(asked[-1][0], batch_size)

    monkeypatch.setattr(model, "embed_text", counting)
    first, second = run(tools, [LOUD, SOFT, LOUD], [SOFT])
    assert asked == [([LOUD, SOFT], None)]
    assert np.array_equal(first["prompt_embedding"][1], second["prompt_embedding"][0])


def test_a_row_does_not_depend_on_the_batch(tools):
    (alone,) = run(tools, [SOFT])
    _, together, _ = run(tools, [LONG, LOUD], [SOFT], [LOUD])
    assert np.array_equal(alone["prompt_embedding"][0], together["prompt_embedding"][0])


def test_the_declaration():
    assert STEP.upstream == ("prompts",)
    assert STEP.resource(ClapTextConfig()) == "GPU"
    assert STEP.models(ClapTextConfig()) == ("clap-music-and-speech",)
    # One space: whatever embeds the sound embeds the prompts.
    fields = ClapTextConfig.model_fields["model"], ClapConfig.model_fields["model"]
    assert fields[0].annotation == fields[1].annotation
    assert fields[0].default == fields[1].default
