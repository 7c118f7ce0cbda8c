"""What models take, and that those which are not needed make room for another."""

import gc
import math
import os
import weakref
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from flows.build_dataset_params import BuildDatasetParams
from models import adapters, registry, room
from models.registry import CARDS
from models.room import Need
from models.tiny.write import write
from tasks.engine.stage import models_on_gpu

FULL = models_on_gpu(BuildDatasetParams.model_validate({}).stages())
"""What a process of a GPU comes to hold in a build of the full profile."""


RECORDED = ("htdemucs", "htdemucs_ft", "htdemucs_6s")
"""Networks whose batches are recorded as CUDA graphs, which keep the memory of one."""


@pytest.mark.parametrize(
    "name", sorted({*FULL, *(name for name, card in CARDS.items() if card.resource == "GPU")})
)
def test_every_model_of_a_gpu_says_what_it_takes(name: str):
    card = registry.card(name)
    assert card.memory_mb
    assert card.gpu_memory_mb
    assert card.gpu_batch_mb
    # No weights are held in less than a quarter or more than twice of what was published, but for
    # the rest of a megabyte.
    if card.files and all(file.size_bytes for file in card.files):
        published = card.size_bytes / 2**20
        recorded = card.gpu_batch_mb if name in RECORDED else 0
        assert published / 4 < card.gpu_memory_mb - recorded < 4 * published + 1


def test_all_models_of_the_full_profile_take_about_what_was_measured():
    """10 GB of a GPU and 5.3 GB of memory, in one process on an H200.

    That was before htdemucs was recorded, and with one window of Whisper at once instead of 16.
    """
    taken = room.process_need([registry.card(name) for name in FULL])
    since = sum(registry.card(name).gpu_batch_mb or 0 for name in FULL if name in RECORDED)
    since += sum(
        (registry.card(name).gpu_batch_mb or 0) * 15 / 16 for name in FULL if "whisper" in name
    )
    assert taken.gpu_memory_mb - since == pytest.approx(10_000, rel=0.1)
    assert taken.memory_mb == pytest.approx(5_300, rel=0.2)


def test_networks_of_torch_take_turns_with_one_batch_of_memory_and_whisper_has_its_own():
    def card(library: str, held: int, batch: int) -> registry.ModelCard:
        return replace(
            CARDS["htdemucs"],
            library=library,
            memory_mb=100,
            gpu_memory_mb=held,
            gpu_batch_mb=batch,
        )

    cards = [
        card("demucs", 10, 500),
        card("transformers", 20, 300),
        card("faster-whisper", 40, 700),
        card("faster-whisper", 80, 600),
    ]
    found = room.process_need(cards)
    assert found.gpu_memory_mb == room.CONTEXT_MB + 150 + 500 + 700
    assert found.memory_mb == room.PROCESS_MB + 400


def test_of_a_model_that_says_nothing_its_files_count():
    own = replace(CARDS["htdemucs"], memory_mb=None, gpu_memory_mb=None, gpu_batch_mb=None)
    megabytes = own.size_bytes / 2**20
    assert room.need(own, "cpu") == Need(megabytes, 0.0)
    assert room.need(own, "cuda") == Need(megabytes, megabytes + room.UNKNOWN_BATCH_MB)


@pytest.mark.parametrize(
    ("wanted", "free", "short"),
    [
        (Need(100, 900), Need(500, 1000), None),
        (Need(100, 900), Need(500, 800), "cuda"),
        (Need(100, 900), Need(50, 1000), "cpu"),
        (Need(100, 900), Need(50, 800), "cuda"),
        (Need(100), Need(500), None),
        (Need(100, 900), Need(math.inf, 1000), None),
        (Need(0, 0), Need(-10, 0), None),
    ],
)
def test_what_is_known_to_be_less_than_a_model_takes_is_short(
    wanted: Need, free: Need, short: str | None
):
    assert room.lacking(wanted, free) == short


def test_the_rest_of_four_fifths_of_the_limit_is_free(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv(room.LIMIT_VARIABLE, raising=False)
    assert room.free("cpu") == Need(math.inf)
    monkeypatch.setenv(room.LIMIT_VARIABLE, "100000")
    before = room.free("cpu").memory_mb
    assert 70_000 < before < 80_000
    block = bytearray(os.urandom(1)) * (200 * 2**20)
    after = room.free("cpu").memory_mb
    assert before - after == pytest.approx(200, abs=20)
    del block


SEPARATOR, EMBEDDER, SPLITTER = "htdemucs", "ecapa-voxceleb", "spleeter"


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """Tiny models, of a process that may hold two: a reading that knows what is loaded."""
    adapters.forget()
    gc.collect()

    def free(device: str) -> Need:
        held = {name for name, _ in adapters._LOADED}
        return Need(250.0 - 100.0 * len(held))

    monkeypatch.setattr(room, "free", free)
    monkeypatch.setattr(room, "need", lambda card, device: Need(100.0, 0.0))
    return {name: write(tmp_path, name) for name in (SEPARATOR, EMBEDDER, SPLITTER)}


def loaded() -> list[str]:
    return [name for name, _ in adapters._LOADED]


def test_the_model_that_was_not_used_for_longest_makes_room_and_comes_back_the_same(
    folders: dict[str, Path], caplog: pytest.LogCaptureFixture
):
    def load(name: str) -> object:
        return adapters.load(registry.card(name), "cpu", folders[name])

    signal = torch.randn(16_000, generator=torch.Generator().manual_seed(0)).numpy()
    embedder = load(EMBEDDER)
    (first,) = embedder.embed([signal])  # type: ignore[attr-defined]
    gone = weakref.ref(embedder)
    del embedder
    load(SEPARATOR)
    load(EMBEDDER)
    # Used last though loaded first: the other one goes.
    with caplog.at_level("INFO", logger="models.adapters"):
        load(SPLITTER)
    assert loaded() == [EMBEDDER, SPLITTER]
    assert "Released htdemucs to make room for spleeter" in caplog.text

    load(SEPARATOR)
    assert loaded() == [SPLITTER, SEPARATOR]
    gc.collect()
    assert gone() is None
    (again,) = load(EMBEDDER).embed([signal])  # type: ignore[attr-defined]
    assert (again == first).all()


def test_a_model_in_use_stays(folders: dict[str, Path]):
    embedder = adapters.load(registry.card(EMBEDDER), "cpu", folders[EMBEDDER])
    adapters.load(registry.card(SEPARATOR), "cpu", folders[SEPARATOR])
    adapters.load(registry.card(SPLITTER), "cpu", folders[SPLITTER])
    assert loaded() == [EMBEDDER, SPLITTER]
    assert adapters.load(registry.card(EMBEDDER), "cpu", folders[EMBEDDER]) is embedder


def test_where_only_a_gpu_is_short_models_of_the_processor_stay(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
):
    adapters.load(registry.card(EMBEDDER), "cpu", folders[EMBEDDER])
    monkeypatch.setattr(room, "need", lambda card, device: Need(1.0, 1000.0))
    monkeypatch.setattr(room, "free", lambda device: Need(1000.0, 0.0))
    adapters.load(registry.card(SEPARATOR), "cpu", folders[SEPARATOR])
    assert loaded() == [EMBEDDER, SEPARATOR]
