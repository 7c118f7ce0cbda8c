import json
import sys

import pytest

from tasks.dataset.unified_loader import UnifiedDatasetLoader, UnifiedDatasetSubset
from tasks.dataset.unified_reader import UnifiedError


@pytest.fixture
def path(tmp_path):
    rows = [
        {
            "id": f"fma_{number}",
            "audio_path": f"/music/{number}.mp3",
            "caption": f"Caption {number}",
            "alt_captions": [f"Other {number}", "More"] if number % 2 else [],
            "duration": 10.0 + number,
            "artist": f"Artist {number}",
        }
        for number in range(40)
    ]
    path = tmp_path / "unified.json"
    path.write_text(json.dumps([*rows, {"id": "broken"}]))
    return path


def test_rows_have_the_names_that_training_code_expects(path):
    loader = UnifiedDatasetLoader(path)
    assert len(loader) == len(list(loader)) == 40
    first, second = loader[0], loader[1]
    assert (first["location"], first["main_caption"]) == ("/music/0.mp3", "Caption 0")
    assert first["alt_caption"] == ""
    assert second["alt_caption"] == "Other 1"
    assert [each["track_id"] for each in loader.failures] == ["broken"]


def test_a_row_that_is_changed_stays_as_it_was(path):
    loader = UnifiedDatasetLoader(path)
    loader[0]["location"] = "elsewhere"
    assert loader[0]["location"] == "/music/0.mp3"
    with pytest.raises(IndexError):
        loader[40]


def test_it_filters_and_samples(path):
    loader = UnifiedDatasetLoader(path, sample_size=5, min_duration=20, max_duration=30, seed=1)
    assert len(loader) == 5
    assert all(20 <= each["duration"] <= 30 for each in loader)
    again = UnifiedDatasetLoader(path, sample_size=5, min_duration=20, max_duration=30, seed=1)
    assert list(again) == list(loader)
    with pytest.raises(UnifiedError, match="None of the 40 rows"):
        UnifiedDatasetLoader(path, min_duration=100)


def test_splits_and_subsets_nest(path):
    loader = UnifiedDatasetLoader(path)
    parts = {name: loader.split(name) for name in ("train", "validation", "test")}
    assert {name: len(part) for name, part in parts.items()} == {
        "train": 32,
        "validation": 4,
        "test": 4,
    }
    ids = [each["id"] for part in parts.values() for each in part]
    assert sorted(ids) == sorted(each["id"] for each in loader)
    nested = UnifiedDatasetSubset(UnifiedDatasetSubset(loader, [5, 3, 1]), [2, 0, -1])
    assert [each["id"] for each in nested] == ["fma_1", "fma_5", "fma_1"]
    with pytest.raises(IndexError):
        UnifiedDatasetSubset(nested, [3])


def test_it_becomes_a_dataset_of_the_library(path):
    dataset = UnifiedDatasetLoader(path).split("validation").to_datasets()
    assert len(dataset) == 4
    assert dataset[0]["main_caption"].startswith("Caption ")
    assert dataset.select_columns(["location", "alt_caption"]).column_names == [
        "location",
        "alt_caption",
    ]
    assert len(dataset.filter(lambda row: row["duration"] > 0)) == 4


def test_without_the_library_one_sentence_says_so(path, monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(UnifiedError, match="package datasets is not installed"):
        UnifiedDatasetLoader(path).to_datasets()
