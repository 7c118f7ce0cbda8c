"""Where files of a corpus are looked for."""

from pathlib import Path

from tasks.corpora.captioned.places import audio_below, find_files, find_folder


def test_links_are_followed_and_lead_in_no_circles(tmp_path: Path):
    (tmp_path / "disk" / "fma_small" / "000").mkdir(parents=True)
    (tmp_path / "disk" / "fma_small" / "000" / "000002.mp3").touch()
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    (corpus / "fma_small").symlink_to(tmp_path / "disk" / "fma_small")
    (corpus / "itself").symlink_to(corpus)
    (corpus / "nothing").symlink_to(corpus / "nothing")
    assert list(audio_below(corpus)) == ["fma_small/000/000002.mp3"]
    assert find_folder(corpus, "fma_small") == corpus / "fma_small"
    assert find_files(corpus, "*.csv") == []


def test_of_several_depths_the_least_counts(tmp_path: Path):
    for path in ("a/b/tracks.csv", "c/tracks.csv", "d/x/tracks.csv", ".hidden/tracks.csv"):
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).touch()
    assert find_files(tmp_path, "tracks.csv") == [tmp_path / "c" / "tracks.csv"]
