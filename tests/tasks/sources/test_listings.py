"""Lists of files as the hub, Zenodo and MTG-Jamendo publish them, and what passes for one."""

import hashlib
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from blocks.storage import Storage
from tasks import web
from tasks.download import Expected
from tasks.sources.catalogue import File, Listing, sources
from tasks.sources.listings import files_of
from tasks.sources.source_file import address, checksum
from tasks.track import TrackError
from tests.support import corpora_archives as made
from tests.support.hub_server import HubServer


def listed(listing: Listing, server: HubServer, folder: Path) -> dict[str, File]:
    found = files_of(listing, server.plain_address, Storage(str(folder)))
    return {each.name: each for each in found}


def of(name: str, variant: str | None = None) -> Listing:
    [listing] = sources()[name].of(variant)[1]  # type: ignore[index]
    return listing


def test_a_record_of_zenodo(server: HubServer, tmp_path: Path):
    server.plain |= made.song_describer()
    files = listed(of("song_describer"), server, tmp_path)
    assert set(files) == {"audio.zip", "song_describer.csv", "audio_licenses.txt"}
    data = server.plain["records/10072001/files/audio.zip"]
    file = files["audio.zip"]
    assert file.url == "https://zenodo.org/records/10072001/files/audio.zip"
    assert file.expected == Expected(size_bytes=len(data), md5=hashlib.md5(data).hexdigest())
    assert file.content.root == "audio"


def test_a_record_of_the_hub(server: HubServer, tmp_path: Path):
    server.plain |= made.musicbench()
    files = listed(of("musicbench"), server, tmp_path)
    assert set(files) == {"MusicBench.tar.gz", "MusicBench_train.json"}
    place = "datasets/amaai-lab/MusicBench/resolve/main"
    data = server.plain[f"{place}/MusicBench.tar.gz"]
    assert files["MusicBench.tar.gz"].url == f"https://huggingface.co/{place}/MusicBench.tar.gz"
    assert files["MusicBench.tar.gz"].expected.sha256 == (hashlib.sha256(data).hexdigest(),)
    # git's own name of the content, by its definition
    content = server.plain[f"{place}/MusicBench_train.json"]
    name = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    assert checksum(files["MusicBench_train.json"].expected) == f"git:{name}"


def test_lines_of_digests(server: HubServer, tmp_path: Path):
    digest = "ab" * 32
    listing = replace(of("mtg_jamendo", "raw_30s/audio"), expected=Expected())
    server.plain[urlsplit(listing.url).path.lstrip("/")] = (
        f"{digest} raw_30s_audio-00.tar\n".encode()
    )
    files = listed(listing, server, tmp_path)
    assert [(each.url, each.expected.sha256) for each in files.values()] == [
        (
            "https://cdn.freesound.org/mtg-jamendo/raw_30s/audio/raw_30s_audio-00.tar",
            (digest,),
        )
    ]


def test_a_list_that_is_not_the_published_one_is_refused(server: HubServer, tmp_path: Path):
    listing = of("mtg_jamendo", "raw_30s/audio")
    server.plain[urlsplit(listing.url).path.lstrip("/")] = b"00 raw_30s_audio-00.tar\n"
    with pytest.raises(TrackError, match="is not the list of files that was published") as raised:
        listed(listing, server, tmp_path)
    assert raised.value.reason == "not-the-published-file"


@pytest.mark.parametrize(
    "answer",
    [
        b"<html>Please log in</html>",
        b"[]",
        b'{"files": null}',
        b'{"id": 1, "files": []}',
        b'{"id": 1, "files": [{"key": "../../audio.zip", "size": 1, "checksum": "md5:0"}]}',
    ],
)
def test_what_is_no_list_is_said(answer: bytes, server: HubServer, tmp_path: Path):
    server.plain["api/records/10072001"] = answer
    with pytest.raises(TrackError) as raised:
        listed(of("song_describer"), server, tmp_path)
    assert raised.value.reason == "not-a-listing"


def test_a_host_that_is_down_is_done_without_once_its_list_was_seen(
    server: HubServer, tmp_path: Path
):
    with pytest.raises(TrackError) as raised:
        listed(of("song_describer"), server, tmp_path)
    assert raised.value.reason == "refused"
    server.plain |= made.song_describer()
    server.statuses = [503, 429]
    before = listed(of("song_describer"), server, tmp_path)
    server.statuses = [503] * web.TRIES
    assert listed(of("song_describer"), server, tmp_path) == before
    server.answers["api/records/10072001"] = b"<html>Please log in</html>"
    assert listed(of("song_describer"), server, tmp_path) == before


def test_addresses_of_the_hub_follow_its_variable(monkeypatch: pytest.MonkeyPatch):
    url = "https://huggingface.co/datasets/a/b/resolve/main/c.json"
    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    assert address(url, None) == url
    monkeypatch.setenv("HF_ENDPOINT", "https://mirror.example/")
    assert address(url, None) == "https://mirror.example/datasets/a/b/resolve/main/c.json"
    assert address("https://zenodo.org/a?b=c", None) == "https://zenodo.org/a?b=c"
    assert address("https://zenodo.org/a?b=c", "http://m/x/") == "http://m/x/a?b=c"
