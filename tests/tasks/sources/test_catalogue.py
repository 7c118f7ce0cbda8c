"""The table of corpora, and where what archives hold goes."""

import re
from urllib.parse import urlsplit

import pytest

from tasks.sources.catalogue import NAMES, Content, sources

HEX = {"sha1": 40, "md5": 32}


@pytest.mark.parametrize("name", NAMES)
def test_every_corpus_is_wholly_described(name: str):
    source = sources()[name]  # type: ignore[index]
    assert source.files or source.listings
    assert source.title
    assert source.licence
    assert source.page.startswith("https://")
    for each in (*source.files, *source.listings):
        assert each.url.startswith("https://")
        expected = each.expected
        for kind, length in HEX.items():
            value = getattr(expected, kind)
            assert value is None or re.fullmatch(f"[0-9a-f]{{{length}}}", value)
        assert all(re.fullmatch("[0-9a-f]{64}", value) for value in expected.sha256)
    assert len({each.name for each in source.files}) == len(source.files)


def test_paths_of_all_hosts_differ_so_that_one_mirror_can_have_them():
    urls = [each.url for source in sources().values() for each in (*source.files, *source.listings)]
    assert len({urlsplit(url).path for url in urls}) == len(urls)


def test_known_digests_of_the_published_files():
    digests = {
        file.name: file.expected.sha1 or file.expected.md5
        for source in sources().values()
        for file in source.files
    }
    assert digests["fma_metadata.zip"] == "f0df49ffe5f2a6008d7dc83c6915b31835dfe733"
    assert digests["fma_full.zip"] == "0f0ace23fbe9ba30ecb7e95f763e435ea802b8ab"
    assert digests["musdb18.zip"] == "af06762477334799bfc5abf237648207"
    assert digests["clotho_audio_evaluation.7z"] == "4569624ccadf96223f19cb59fe4f849f"


@pytest.mark.parametrize(
    ("name", "variant", "files"),
    [
        ("fma", "small", ["fma_metadata.zip", "fma_small.zip"]),
        ("fma", "full", ["fma_metadata.zip", "fma_full.zip"]),
        ("musdb18", None, ["musdb18.zip"]),
    ],
)
def test_a_variant_has_its_own_files(name: str, variant: str | None, files: list[str]):
    assert [each.name for each in sources()[name].of(variant)[0]] == files  # type: ignore[index]


def test_a_part_of_mtg_jamendo_has_its_own_list_and_tags():
    files, listings = sources()["mtg_jamendo"].of("autotagging_moodtheme/audio-low")
    assert "autotagging.tsv" not in [each.name for each in files]
    assert "autotagging_moodtheme.tsv" in [each.name for each in files]
    assert [each.base.rpartition("jamendo/")[2] for each in listings] == [
        "autotagging_moodtheme/audio-low/"
    ]


@pytest.mark.parametrize(
    ("content", "name", "place"),
    [
        (Content(), "train/a.stem.mp4", "train/a.stem.mp4"),
        (Content(root="audio"), "audio/00/a.mp3", "audio/00/a.mp3"),
        (Content(root="audio"), "00/a.mp3", "audio/00/a.mp3"),
        (Content(root="audio"), "audio/audio/00/a.mp3", "audio/00/a.mp3"),
        (Content(root="audio"), "dataset/audio/00/a.mp3", "audio/00/a.mp3"),
        (Content(root="audio"), "audio", "audio/audio"),
        (Content(root="audio"), "__MACOSX/audio/._a.mp3", None),
        (Content(root="audio"), "audio/.DS_Store", None),
        (Content(root="m", only=("tracks.csv",)), "m/tracks.csv", "m/tracks.csv"),
        (Content(root="m", only=("tracks.csv",)), "m/features.csv", None),
        (Content(only=("train/*",)), "README.md", None),
    ],
)
def test_where_a_member_goes(content: Content, name: str, place: str | None):
    assert content.place(name) == place
