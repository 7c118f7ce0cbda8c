"""Pairs of audio and captions: what is in them, what is refused, and what tells them apart."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tasks.dataset.embeddings import Encoded
from tasks.fit import FitError
from tasks.projection.pairs import Examples, by_split, fingerprint, pairs
from tests.support.embeddings import made

SMALL = made(20, splits=(3, 1, 1))


def reason(content: object, batch_size: int = 4) -> str:
    with pytest.raises(FitError) as caught:
        by_split(content, "mel", "words", batch_size)  # type: ignore[arg-type]
    assert caught.value.message.endswith(".")
    return caught.value.reason


def test_splits_hold_their_items_with_their_captions():
    found = by_split(SMALL, "mel", "words", 4)
    assert {name: len(split) for name, split in found.items()} == {
        "train": 12,
        "validation": 4,
        "test": 4,
    }
    test = found["test"]
    assert test.number.tolist() == [16, 17, 18, 19]
    assert test.owner.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert list(test.caption) == list(SMALL.caption_text[32:40])
    assert np.array_equal(test.audio, SMALL.audio["mel"].embedding[16:])
    assert np.array_equal(test.text, SMALL.text["words"].embedding[32:40])


def test_items_without_embedding_or_caption_are_in_no_pair():
    mel = SMALL.audio["mel"]
    fewer = replace(
        SMALL,
        audio={"mel": Encoded(mel.embedding[1:], mel.item[1:], mel.attributes)},
        caption_item=np.where(SMALL.caption_item == 5, 6, SMALL.caption_item),
    )
    found = pairs(fewer, "mel", "words")
    assert 0 not in found.number
    assert 5 not in found.number
    assert np.array_equal(found.audio[4], mel.embedding[6])
    assert found.owner.tolist().count(4) == 4


def test_equal_texts_and_groups_have_equal_numbers_and_empty_ones_none():
    content = replace(
        SMALL,
        caption_text=["Calm  Piano", "calm piano", *SMALL.caption_text[2:]],
        items={**SMALL.items, "group": ["x", "x", "", "", *SMALL.items["group"][4:]]},
    )
    found = pairs(content, "mel", "words")
    assert found.text_id[0] == found.text_id[1]
    assert found.group[0] == found.group[1]
    assert found.group[2] != found.group[3]


def test_too_few_items_are_refused():
    nowhere = replace(SMALL, items={**SMALL.items, "split": ["train"] * 20})
    assert reason(nowhere) == "split-too-small"
    one = ["train"] * 17 + ["validation"] * 2 + ["test"]
    assert reason(replace(SMALL, items={**SMALL.items, "split": one})) == "split-too-small"
    assert reason(SMALL, batch_size=13) == "batch-size"


@pytest.mark.parametrize("kind", ["audio", "text"])
def test_embeddings_that_are_no_numbers_are_refused(kind: str):
    name = {"audio": "mel", "text": "words"}[kind]
    encoded = getattr(SMALL, kind)[name]
    bad = encoded.embedding.copy()
    bad[3, 2] = np.nan
    assert reason(replace(SMALL, **{kind: {name: replace(encoded, embedding=bad)}})) == (
        "embeddings-not-finite"
    )


def test_captions_are_drawn_without_repetition_and_all_in_time():
    examples = Examples(pairs(SMALL, "mel", "words"), captions=1)
    drawn = {int(examples.example(3, np.random.default_rng(seed))[1][0]) for seed in range(20)}
    assert drawn == {6, 7}
    both = Examples(examples.pairs, captions=5)
    batch = both.collate([both.example(at, np.random.default_rng(0)) for at in (3, 0)])
    assert batch["owner"].tolist() == [0, 0, 1, 1]
    assert batch["text"].numpy().tolist() == examples.pairs.text[[6, 7, 0, 1]].tolist()
    assert batch["group"].tolist() == examples.pairs.group[[3, 0]].tolist()


def test_the_fingerprint_is_of_all_that_a_training_sees_and_of_nothing_else(tmp_path: Path):
    before = fingerprint(SMALL, "mel", "words")
    assert fingerprint(replace(SMALL, provenance={"at": "noon"}), "mel", "words") == before
    mel, words = SMALL.audio["mel"], SMALL.text["words"]
    changed = [
        replace(SMALL, items={**SMALL.items, "split": ["test", *SMALL.items["split"][1:]]}),
        replace(SMALL, caption_text=["other", *SMALL.caption_text[1:]]),
        replace(SMALL, audio={"mel": replace(mel, embedding=mel.embedding + 1)}),
        replace(SMALL, text={"words": replace(words, attributes={"revision": "2"})}),
    ]
    assert len({before, *(fingerprint(each, "mel", "words") for each in changed)}) == 5
