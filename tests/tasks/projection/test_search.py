"""Search by words: what is found, with which index, and what is refused."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import save_file

from models import trained
from models.projection.network import Projection
from tasks.dataset.embeddings import Embeddings
from tasks.projection import index, search
from tasks.projection.search import SearchError, searcher
from tests.support.embeddings import TEXT_MODEL, WORDS, made, register_words, write

CONTENT = made(30)


@pytest.fixture(autouse=True)
def _words(monkeypatch: pytest.MonkeyPatch) -> None:
    register_words(monkeypatch)


def in_words_space(content: Embeddings) -> Embeddings:
    """The same with audio embeddings that are those of the main captions."""
    mel = replace(content.audio["mel"], embedding=content.text["words"].embedding[::2])
    return replace(content, audio={"mel": mel})


def projection(folder: Path, **encoders: Any) -> Path:
    """A projection that leaves embeddings of words as they are."""
    import torch

    folder.mkdir(parents=True)
    shape = {
        "audio_dimensions": len(WORDS),
        "text_dimensions": len(WORDS),
        "dimensions": len(WORDS),
        "blocks": 1,
        "dropout": 0.0,
    }
    network = Projection(**shape)
    with torch.no_grad():
        for name, value in network.named_parameters():
            if "blocks" in name or name.endswith("bias"):
                value.zero_()
            elif name.endswith("entry.weight"):
                # A model is known by its weights; the length of what they make does not count.
                value.copy_((1 + len(encoders) + len(folder.name) / 64) * torch.eye(len(WORDS)))
    save_file(network.state_dict(), folder / "model.safetensors")
    said = {"revision": "1", "config": "{}"}
    trained.write(
        folder,
        name="projection-mel",
        task="projection",
        adapter="models.projection.adapter:load",
        arguments={
            "dimensions": len(WORDS),
            "network": shape,
            "encoders": {
                "audio": {"name": "mel", "model": "mel", **said},
                "text": {"name": "words", "model": TEXT_MODEL, **said},
            }
            | encoders,
        },
        licence="CC0-1.0",
        fit=dict.fromkeys(("key", "name", "version", "dataset", "seed", "config"), ""),
        metrics={},
    )
    return folder


def test_the_nearest_tracks_come_first_with_all_that_is_known_of_them(tmp_path: Path):
    content = in_words_space(CONTENT)
    write(tmp_path, content)
    found = searcher(projection(tmp_path / "runs" / "mel_best"), tmp_path)
    wanted = content.caption_text[14]
    hits = found.find(wanted, count=4)
    assert hits[0].score == pytest.approx(1, abs=1e-5)
    assert hits[0].caption == wanted
    assert [hit.rank for hit in hits] == [1, 2, 3, 4]
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    seven = next(hit for hit in found.find(wanted, count=30) if hit.id == "fma_7")
    assert (seven.title, seven.artist, seven.audio_path, seven.dataset, seven.split) == (
        "Title 7",
        "Artist <7>",
        "/music/7 & co.wav",
        "own",
        "train",
    )
    test = found.find(wanted, count=30, split="test")
    assert {hit.split for hit in test} == {"test"}
    assert len(test) == 3
    # As a function, from the folder of the only projection.
    assert search.search(wanted, tmp_path / "runs", tmp_path, 4) == hits


def test_the_index_is_kept_and_made_anew_when_the_embeddings_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    built = []
    build = index.build
    monkeypatch.setattr(index, "build", lambda *given: built.append(1) or build(*given))
    folder = projection(tmp_path / "mel_best")
    write(tmp_path, in_words_space(CONTENT))
    first = search.search("slow piano", folder, tmp_path)
    assert search.search("slow piano", folder, tmp_path) == first
    assert len(built) == 1
    path = write(tmp_path, in_words_space(made(30, seed=1))) / "embeddings.h5"
    os.utime(path, ns=(1, 1))
    assert search.search("slow piano", folder, tmp_path) != first
    assert len(built) == 2
    assert len(list(folder.glob("search-*"))) == 1


def refused(folder: Path, data: Path, text: str = "piano", **options: Any) -> str:
    with pytest.raises(SearchError) as caught:
        search.search(text, folder, data, **options)
    message = str(caught.value)
    assert message.endswith(".")
    return message


def test_what_does_not_belong_together_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write(tmp_path, in_words_space(CONTENT))
    folder = projection(tmp_path / "runs" / "mel_best")
    other = {"name": "muq", "model": "muq", "revision": "1", "config": "{}"}
    assert "by muq" in refused(projection(tmp_path / "muq_best", audio=other), tmp_path)
    newer = {"name": "mel", "model": "mel", "revision": "2", "config": "{}"}
    assert "another revision" in refused(projection(tmp_path / "newer", audio=newer), tmp_path)
    assert "holds no projection" in refused(tmp_path / "nowhere", tmp_path)
    projection(tmp_path / "runs" / "muq_best")
    assert "mel_best, muq_best" in refused(tmp_path / "runs", tmp_path)
    assert "does not exist" in refused(folder, tmp_path / "nowhere")
    assert "nothing to search for" in refused(folder, tmp_path, " ")
    register_words(monkeypatch, revision="2")
    assert "at revision 1, and here it is at 2" in refused(folder, tmp_path)


def test_embeddings_that_cannot_be_searched_are_refused(tmp_path: Path):
    content = in_words_space(CONTENT)
    folder = projection(tmp_path / "mel_best")
    bad = content.audio["mel"].embedding.copy()
    bad[3] = np.nan
    mel = replace(content.audio["mel"], embedding=bad)
    write(tmp_path, replace(content, audio={"mel": mel}))
    assert "no numbers" in refused(folder, tmp_path)
    nobody = replace(content, items={**content.items, "split": ["train"] * 30})
    write(tmp_path, nobody)
    assert "of the split test" in refused(folder, tmp_path, split="test")
