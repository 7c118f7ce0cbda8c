import re

import datasets
import pytest
import yaml
from huggingface_hub import DatasetCard
from markdown_it import MarkdownIt

from tasks.dataset.cards import escaped
from tasks.stems import datacard, dataset_files
from tasks.stems.schema import dataset
from tests.tasks.stems.test_dataset_files import ENCODING
from tests.tasks.stems.test_report import MANIFEST, described, summarised


def card(splits, manifest=MANIFEST, tars=False):
    summary = summarised(ENCODING, splits)
    return datacard.render(summary, manifest, instrument="guitar", tars=tars)


def html(text):
    body = text.split("---\n", 2)[2]
    return MarkdownIt("commonmark").enable("table").render(body)


def cells(page):
    """Rows of all tables, as lists of the texts of their cells."""
    rows = re.findall(r"<tr>(.*?)</tr>", page, re.DOTALL)
    return [
        [re.sub("<[^>]+>", "", cell) for cell in re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row)]
        for row in rows
    ]


def test_the_hub_reads_it(tmp_path):
    splits = {"train": [described()], "validation": [], "test": [described()]}
    text = card(splits, tars=True)
    read = DatasetCard(text)
    assert read.data.pretty_name == "Stem continuation: guitar"
    assert read.data.license == "other"
    assert read.data.size_categories == ["n<1K"]
    # As the hub's library does: by the card alone, with the split that has no rows left out.
    dataset_files.write(tmp_path, splits, ENCODING, tars=True)
    (tmp_path / "README.md").write_text(text, encoding="utf-8")
    found = datasets.load_dataset(str(tmp_path), cache_dir=str(tmp_path / "cache"))
    assert {name: rows.num_rows for name, rows in found.items()} == {"train": 2, "test": 2}
    assert found["test"][1]["pair_id"] == "p000001"


@pytest.mark.parametrize(
    ("chunks", "size"),
    [(0, "n<1K"), (999, "n<1K"), (1000, "1K<n<10K"), (9999, "1K<n<10K"), (10**6, "1M<n<10M"),
     (10**9, "1B<n<10B"), (10**12, "1B<n<10B")],
)  # fmt: skip
def test_size_categories(chunks, size):
    summary = summarised(ENCODING, {"train": []})
    front = datacard._front_matter(summary, "guitar", chunks)
    assert front["size_categories"] == [size]


def test_what_it_says():
    text = card({"train": [described()], "validation": [described(artist="Bo")], "test": []})
    rows = cells(html(text))
    assert ["train", "2", "2", "1", "1", "0.00"] in rows
    assert ["test", "0", "0", "0", "0", "0.00"] in rows
    assert ["guitar", "2", "2", "0"] in rows
    assert ["Bo", "validation", "2"] in rows
    named = {row[0]: row[1:] for row in rows if len(row) == 3}
    for field in dataset(ENCODING):
        kind, description = named[field.name]
        assert kind
        assert field.metadata[b"description"].decode().split()[0] in description
    assert "seconds" not in named
    assert named["codes_stem"][0] == "list&lt;list&lt;uint16&gt;[8]&gt;[2]"
    page = html(text)
    for said in (
        "CC-BY-NC-4.0",
        "facebook/encodec_32khz",
        "revision r1",
        "<strong>encode</strong>, version 1: chunk_frames = 50",
        "2048 pads",
        "1234 silent chunks",
        "seed 42",
    ):
        assert said in page
    assert "webdataset/" not in text
    assert "<code>webdataset/</code>" in html(card({"train": []}, tars=True))


def test_hostile_names_stay_text():
    hostile = "<script>x</script> | [a](http://b) `c` *d* \\ \n# e\n---\n"
    text = card({"train": [described(artist=hostile, instrument=hostile)]})
    page = html(text)
    assert "<script>" not in page
    assert "<a " not in page
    assert "<em>" not in page
    shown = "&lt;script&gt;x&lt;/script&gt; | [a](http://b) `c` *d* \\ # e ---"
    assert [shown, "train", "2"] in cells(page)
    assert yaml.safe_load(text.split("---\n")[1])["configs"][0]["config_name"] == "default"


def test_escaped_text_is_shown_as_it_is():
    every = "".join(map(chr, range(33, 127)))
    shown = MarkdownIt("commonmark").render(escaped(every))
    assert shown == MarkdownIt("commonmark").render(re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", every))


def test_many_artists_are_cut():
    batches = [described(artist=f"Artist {i:02}", song_id=f"s{i}") for i in range(40)]
    text = card({"train": batches})
    assert "The first 30 of 40" in text
    assert len(re.findall(r"\| Artist \d", text)) == 30


def test_a_dataset_without_rows_has_a_card():
    text = card({"train": [], "validation": [], "test": []}, manifest={})
    assert yaml.safe_load(text.split("---\n")[1])["configs"] == [
        {"config_name": "default", "data_files": []}
    ]
