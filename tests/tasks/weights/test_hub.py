"""Transfers from a real hub on the loopback interface, which fails as hubs and networks do."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from models.registry import HubSource, ModelCard, ModelFile
from models.weights import MANIFEST
from tasks import web
from tasks.web import DownloadError, UnreachableError
from tasks.weights import Weights, fetch, hub
from tests.support.hub_server import TOKEN, HubServer, git_sha1
from tests.support.toy_model import (
    CONTENT,
    PLAIN,
    REPOSITORY,
    changed,
    contents,
    names,
    plain,
    pull,
    server,
    toy,
)

__all__ = ["plain", "server", "toy"]

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("name", ["toy", "plain"])
def test_a_connection_that_breaks_goes_on_where_it_broke(
    name: str, server: HubServer, plain: ModelCard, tmp_path: Path
):
    file = "model.bin" if name == "toy" else "place/weights.th"
    # More often than it would be tried without any progress.
    server.cuts[file.rpartition("/")[2]] = server.cuts[file] = [20_000] * 2 * web.TRIES

    pull(name, tmp_path)

    expected = CONTENT if name == "toy" else {"weights.th": PLAIN}
    assert contents(tmp_path / name) == expected
    sent = server.sent[file]
    whole = len(CONTENT["model.bin"] if name == "toy" else PLAIN)
    assert sent == whole


def test_a_pull_that_was_killed_goes_on_without_fetching_twice(
    server: HubServer, toy: ModelCard, tmp_path: Path
):
    server.stalls["model.bin"] = 200_000
    code = f"""if True:
        import sys
        from models import registry
        from models.registry import HubSource, ModelCard, ModelFile
        from tasks.weights import fetch
        from tasks.weights import Weights

        registry.CARDS["toy"] = {toy!r}
        fetch.fetch("toy", Weights(sys.argv[1]), lambda done, total: print(done, flush=True))
    """
    with subprocess.Popen(
        [sys.executable, "-c", code, tmp_path], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert server.stalled.wait(300)
        while int(process.stdout.readline()) < 150_000:
            pass
        process.send_signal(signal.SIGKILL)
    server.go_on.set()
    server.stalls.clear()
    assert names(tmp_path) == set()
    partial = next(tmp_path.rglob("*.partial"))
    arrived = partial.stat().st_size
    assert arrived >= 100_000
    server.sent.clear()

    fetched = pull("toy", tmp_path)

    assert contents(tmp_path / "toy") == CONTENT
    assert server.sent["model.bin"] == len(CONTENT["model.bin"]) - arrived
    # Small files of the first pull are not fetched again either.
    assert server.sent["config.json"] == 0
    assert fetched.fetched_bytes == sum(server.sent.values())


def test_a_server_without_ranges_is_read_from_the_start(
    server: HubServer, toy: ModelCard, tmp_path: Path
):
    server.ignores_ranges = True
    server.cuts["model.bin"] = [100_000]
    steps: list[int] = []
    fetch.fetch("toy", Weights(str(tmp_path)), lambda done, total: steps.append(done))

    assert contents(tmp_path / "toy") == CONTENT
    assert steps[-1] == sum(map(len, CONTENT.values()))


def test_a_busy_server_is_asked_again(server: HubServer, toy: ModelCard, tmp_path: Path):
    server.statuses = [503, 500, 429]
    pull("toy", tmp_path)
    assert contents(tmp_path / "toy") == CONTENT


def test_a_server_that_stays_down_is_one_sentence_and_loses_nothing(
    server: HubServer, toy: ModelCard, tmp_path: Path
):
    server.cuts["model.bin"] = [100_000, *[0] * web.TRIES]
    with pytest.raises(UnreachableError) as raised:
        pull("toy", tmp_path)
    message = str(raised.value)
    assert message.startswith("127.0.0.1 cannot be reached (")
    assert "HTTPS_PROXY" in message
    assert "HF_ENDPOINT" in message
    assert "\n" not in message
    # Addresses in the store of large files are signed.
    assert "secret" not in message
    assert names(tmp_path) == set()
    server.cuts.clear()
    server.sent.clear()

    pull("toy", tmp_path)

    assert contents(tmp_path / "toy") == CONTENT
    assert server.sent["model.bin"] == len(CONTENT["model.bin"]) - 100_000


def test_no_network_is_one_sentence(
    toy: ModelCard, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(UnreachableError, match="copy the model's folder from there"):
        pull("toy", tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(DownloadError, match="HF_HUB_OFFLINE is set"):
        pull("toy", tmp_path)


@pytest.mark.parametrize("endpoint", ["no address", "http://exa mple"])
def test_an_endpoint_that_is_none_is_one_sentence(
    endpoint: str, toy: ModelCard, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    with pytest.raises(DownloadError, match="HF_ENDPOINT"):
        pull("toy", tmp_path)


def test_a_page_instead_of_a_hub_is_one_sentence(
    server: HubServer, toy: ModelCard, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    page = "api/models/owner/toy/revision/" + toy.revision
    server.plain[page] = b"<html>Please log in</html>"
    monkeypatch.setenv("HF_ENDPOINT", server.plain_address)
    with pytest.raises(DownloadError, match="does not answer as a hub does"):
        pull("toy", tmp_path)


@pytest.mark.parametrize(
    ("file", "instead"),
    [("model.bin", b"\0"), ("config.json", b'{"a": 2}'), ("model.bin", b"\0" * 300_000)],
)
def test_content_that_is_not_the_published_is_refused_and_removed(
    file: str, instead: bytes, server: HubServer, toy: ModelCard, tmp_path: Path
):
    server.answers[file] = instead
    with pytest.raises(DownloadError, match=f"{file} of owner/toy has .* instead of") as raised:
        pull("toy", tmp_path)
    assert "\n" not in str(raised.value)
    assert not list(tmp_path.rglob(f"{file}*"))
    assert names(tmp_path) == set()
    server.answers.clear()
    server.sent.clear()

    pull("toy", tmp_path)

    assert contents(tmp_path / "toy") == CONTENT
    assert server.sent[file] == len(CONTENT[file])


def test_a_published_prefix_of_the_digest_is_held_to(
    server: HubServer, plain: ModelCard, tmp_path: Path
):
    server.answers["place/weights.th"] = b"x" * len(PLAIN)
    with pytest.raises(
        DownloadError, match=r"weights\.th of .* has SHA-256 .* instead of"
    ) as raised:
        pull("plain", tmp_path)
    assert str(raised.value).count(plain.files[0].sha256 or "-") == 1
    assert not list(tmp_path.rglob("weights.th*"))


def test_a_hub_that_has_another_file_than_the_card_says_is_refused_before_the_transfer(
    server: HubServer, toy: ModelCard, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    for file in (ModelFile("model.bin", sha256="00" * 32), ModelFile("model.bin", size_bytes=7)):
        changed(monkeypatch, toy, files=(file,))
        with pytest.raises(DownloadError, match="another size or SHA-256"):
            pull("toy", tmp_path)
    assert not server.sent


def test_a_half_file_that_was_spoilt_is_fetched_anew(
    server: HubServer, toy: ModelCard, tmp_path: Path
):
    partial = tmp_path / fetch.WORK / "toy" / toy.revision / "model.bin.partial"
    partial.parent.mkdir(parents=True)
    partial.write_bytes(b"\0" * 1000)
    pull("toy", tmp_path)
    assert contents(tmp_path / "toy") == CONTENT


@pytest.mark.parametrize("extra", [0, 10])
def test_a_half_file_that_is_no_half_is_no_trouble(
    extra: int, server: HubServer, plain: ModelCard, tmp_path: Path
):
    partial = tmp_path / fetch.WORK / "plain" / plain.revision / "weights.th.partial"
    partial.parent.mkdir(parents=True)
    partial.write_bytes(PLAIN + b"\0" * extra)
    pull("plain", tmp_path)
    assert contents(tmp_path / "plain") == {"weights.th": PLAIN}
    assert server.sent["place/weights.th"] == (len(PLAIN) if extra else 0)


def test_who_may_not_is_told_what_to_do(
    server: HubServer, toy: ModelCard, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    repository = server.repositories[REPOSITORY]
    repository.gated = True
    with pytest.raises(
        DownloadError, match=r"accepted its terms: do so on .*/owner/toy.* HF_TOKEN"
    ):
        pull("toy", tmp_path)
    repository.gated, repository.private = False, True
    with pytest.raises(DownloadError, match="no repository owner/toy, or keeps it private"):
        pull("toy", tmp_path)
    repository.gated = True
    monkeypatch.setenv("HF_TOKEN", TOKEN)

    pull("toy", tmp_path)

    assert contents(tmp_path / "toy") == CONTENT
    # The token stays with the hub: the store of large files is another host.
    hub_host = server.address.removeprefix("http://")
    assert server.authorized
    assert all(asked.startswith(f"{hub_host}/") for asked in server.authorized)
    assert any(request.startswith("GET /store/") for request in server.requests)
    assert TOKEN not in (tmp_path / "toy" / MANIFEST).read_text()


def test_what_the_source_does_not_have_is_one_sentence(
    server: HubServer,
    toy: ModelCard,
    plain: ModelCard,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
):
    changed(monkeypatch, toy, sources=(HubSource("owner/other", toy.revision),))
    with pytest.raises(DownloadError, match="no repository owner/other"):
        pull("toy", tmp_path)
    changed(monkeypatch, toy, sources=(HubSource(REPOSITORY, "0" * 40),))
    with pytest.raises(DownloadError, match="owner/toy has no revision 000"):
        pull("toy", tmp_path)
    changed(monkeypatch, toy, files=(ModelFile("gone.bin"),))
    with pytest.raises(DownloadError, match=r"owner/toy has no gone\.bin at revision"):
        pull("toy", tmp_path)
    changed(monkeypatch, plain, files=(ModelFile("gone.th"),))
    with pytest.raises(DownloadError, match=r"has no gone\.th \(status 404\)"):
        pull("plain", tmp_path)


def test_the_hash_of_git_is_gits(tmp_path: Path):
    # The empty blob, which everyone's git knows.
    assert git_sha1(b"") == "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"
    (tmp_path / "empty").touch()
    assert hub.GitBlob(git_sha1=git_sha1(b"")).wrong(tmp_path / "empty") is None
