"""The command that fetches models, as people run it; and the document that lists them."""

import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from blocks import cluster
from flows import cli, fetch_models
from flows.build_dataset_params import BuildDatasetParams
from flows.cli import UsageError
from flows.fetch_models import PROFILES, FetchModelsParams, licence, needed, table, wanted
from models.registry import CARDS, HubSource, ModelCard, ModelFile, PackageSource, Source, UrlSource
from models.tiny.write import write
from tasks import download, web
from tasks.weights import Weights, fetch, sources
from tasks.weights.fetch import FetchError
from tasks.weights.sources import Offer
from tests.flows.test_imports import HEAVY, loaded_by
from tests.support import prefect_server
from tests.support.commands import TIMEOUT_SECONDS
from tests.support.hub_server import HubServer, Repository, hub_server
from tests.test_documents import table_under

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "models.md"
CONTENT = {"config.json": b"{}", "model.bin": random.Random(1).randbytes(400_000)}
COLUMNS = "| Model | What it does | Size | Licence of the weights | From | Profiles |"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    monkeypatch.setattr(web, "WAIT_SECONDS", 0.001)
    with hub_server() as state:
        state.repositories["owner/toy"] = Repository(CONTENT, large=("model.bin",))
        state.repositories["owner/gated"] = Repository(CONTENT, gated=True)
        state.plain["weights.th"] = CONTENT["model.bin"]
        monkeypatch.setenv("HF_ENDPOINT", state.address)
        monkeypatch.delenv("HF_TOKEN", raising=False)
        yield state


@pytest.fixture
def toys(server: HubServer, monkeypatch: pytest.MonkeyPatch) -> list[ModelCard]:
    """Models of three sources, one of which gives nothing away."""
    cards = []
    for name, source, files, code in [
        ("toy", "owner/toy", ("config.json", "model.bin"), True),
        ("plain", server.plain_address, ("weights.th",), False),
        ("gated", "owner/gated", ("config.json", "model.bin"), False),
    ]:
        pinned = server.repositories.get(source)
        revision = pinned.commit if pinned else "0123abcd"
        card = ModelCard(
            name=name,
            task="codec",
            library="none",
            adapter="none:none",
            revision=revision,
            licence="MIT",
            sources=(HubSource(source, revision) if pinned else UrlSource(source),),
            files=tuple(ModelFile(file) for file in files),
            custom_code=code,
        )
        monkeypatch.setitem(CARDS, name, card)
        cards.append(card)
    return cards


@pytest.fixture
def without_prefect(monkeypatch: pytest.MonkeyPatch) -> None:
    """The flow calls the function of its task, for which no server is needed."""
    function = fetch_models.fetch_model.fn
    task = SimpleNamespace(with_options=lambda **options: function)
    monkeypatch.setattr(fetch_models, "fetch_model", task)


def act(params: FetchModelsParams) -> None:
    fetch_models.fetch_models.fn(params)


def start(cards: Sequence[ModelCard], *arguments: str) -> subprocess.Popen[str]:
    """The command in a process of its own, which knows the cards."""
    code = f"""if True:
        import runpy, sys
        from models import registry
        from models.registry import HubSource, ModelCard, ModelFile, UrlSource

        registry.CARDS.update({{card.name: card for card in {list(cards)!r}}})
        sys.argv[0] = "flows/fetch_models.py"
        runpy.run_path("flows/fetch_models.py", run_name="__main__")
    """
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_pull_is_interrupted_goes_on_and_says_what_it_could_not_do(
    server: HubServer, toys: list[ModelCard], tmp_path: Path
):
    with prefect_server.shared():
        interrupt_and_go_on(server, toys, tmp_path)


def interrupt_and_go_on(server: HubServer, toys: list[ModelCard], tmp_path: Path) -> None:
    server.stalls["model.bin"] = 300_000
    command = ("pull", "--models", "gated", "toy", "plain", "--models_dir", str(tmp_path))
    with start(toys, *command) as process:
        assert server.stalled.wait(TIMEOUT_SECONDS)
        while size_of_partial(tmp_path) < 300_000:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=TIMEOUT_SECONDS)
    assert process.returncode == cli.EXIT_INTERRUPTED
    assert errors == "Interrupted; the same command goes on from here.\n"
    assert size_of_partial(tmp_path) == 300_000
    server.go_on.set()
    server.stalls.clear()
    server.sent.clear()

    with start(toys, *command) as process:
        output, errors = process.communicate(timeout=TIMEOUT_SECONDS)

    assert process.returncode == cli.EXIT_FAILED
    assert errors == (
        "gated: owner/gated is given only to those who accepted its terms: do so on "
        f"{server.address}/owner/gated, and set HF_TOKEN to a token of that account.\n"
    )
    commit = toys[0].revision[:8]
    assert output.splitlines() == [
        f"toy: 100 kB fetched (revision {commit}, 400 kB)",
        "plain: 400 kB fetched (revision 0123abcd, 400 kB)",
        "Code of their own comes with toy: it runs only where SONGMILL_TRUST_CODE names the model.",
    ]
    assert server.sent["model.bin"] == 100_000
    for name in ("toy", "plain"):
        assert Weights(str(tmp_path)).problems(name) == []


def size_of_partial(place: Path) -> int:
    return sum(path.stat().st_size for path in place.rglob("*.partial"))


def test_a_host_that_is_down_is_asked_once_and_named_once(
    toys: list[ModelCard],
    without_prefect: None,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
):
    monkeypatch.setenv("HF_ENDPOINT", "http://localhost:9")
    asked: list[str] = []
    real = sources._offer

    def counting(source: Source, card: ModelCard) -> Offer:
        asked.append(card.name)
        return real(source, card)

    monkeypatch.setattr(sources, "_offer", counting)
    params = FetchModelsParams(
        action="pull", models=["toy", "gated", "plain"], models_dir=str(tmp_path)
    )
    with pytest.raises(FetchError) as raised:
        act(params)

    assert asked == ["toy", "plain"]
    assert raised.value.models == ["gated", "toy"]
    assert str(raised.value).startswith("gated, toy: localhost cannot be reached (")
    assert "\n" not in str(raised.value)
    assert Weights(str(tmp_path)).problems("plain") == []


def test_list_shows_every_state_in_110_columns(toys: list[ModelCard], tmp_path: Path):
    place = Weights(str(tmp_path))
    fetch.fetch("toy", place, lambda *step: None)
    fetch.fetch("plain", place, lambda *step: None)
    (tmp_path / "plain" / "weights.th").write_bytes(b"")
    write(tmp_path, "encodec-32khz")

    lines = table(list(CARDS), place).splitlines()

    assert max(map(len, lines)) <= 110
    rows = {line.split()[0]: line for line in lines if re.match(r"  \w", line)}
    assert set(rows) == {"MODEL", *CARDS}
    for name, state in [
        ("toy", "present"),
        ("plain", "damaged"),
        ("gated", "missing"),
        ("encodec-32khz", "tiny"),
        ("crepe-tiny", "packaged"),
    ]:
        assert f"  {state}  " in rows[name], rows[name]
    assert "CC-BY-NC-4.0, non-commercial" in rows["muq-large-msd"]
    assert "non-commercial" not in rows["whisper-tiny"]
    assert "embeddings" in rows["muq-large-msd"]
    assert " full" in rows["ecapa-voxceleb"]
    assert "1.3 GB" in rows["muq-large-msd"]
    # What lies there counts, not what is pinned.
    sources = [line.strip() for line in lines if line.startswith("      ")]
    assert f"owner/toy at {toys[0].revision[:8]}" in sources
    assert f"facebook/encodec_32khz at {place.revision('encodec-32khz')}" in sources


def test_list_shows_every_source_and_which_of_several_was_used(
    server: HubServer, toys: list[ModelCard], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    server.plain |= {f"mirror/{name}": content for name, content in CONTENT.items()}
    mirror = f"{server.plain_address}/mirror"
    sources = (UrlSource(f"{server.plain_address}/gone"), UrlSource(mirror), *toys[0].sources)
    monkeypatch.setitem(CARDS, "toy", replace(toys[0], sources=sources))
    place = Weights(str(tmp_path))

    def shown() -> list[str]:
        return [line.strip() for line in table(["toy"], place).splitlines()[-3:]]

    commit = toys[0].revision[:8]
    gone = f"{server.plain_address}/gone at {commit}"
    assert shown() == [gone, f"or {mirror}", "or owner/toy"]
    fetch.fetch("toy", place, lambda *step: None)
    assert shown() == [gone, f"or {mirror} (used)", "or owner/toy"]


def test_a_host_that_is_down_holds_no_model_up_that_has_another_source(
    server: HubServer,
    toys: list[ModelCard],
    without_prefect: None,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
):
    tries: list[str] = []
    real = web.retried
    monkeypatch.setattr(
        download, "retried", lambda url, *rest: tries.append(url) or real(url, *rest)
    )
    for card in toys[:2]:
        down = UrlSource(f"http://localhost:9/{card.name}")
        monkeypatch.setitem(CARDS, card.name, replace(card, sources=(down, *card.sources)))

    act(FetchModelsParams(action="pull", models=["toy", "plain"], models_dir=str(tmp_path)))

    assert [line.split(":")[0] for line in capsys.readouterr().out.splitlines()[:2]] == [
        "toy",
        "plain",
    ]
    assert [url for url in tries if "localhost:9" in url] == ["http://localhost:9/toy/config.json"]


def test_verify_reads_again_and_names_the_command_that_mends(
    toys: list[ModelCard],
    without_prefect: None,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
):
    place = Weights(str(tmp_path))
    for name in ("toy", "plain"):
        fetch.fetch(name, place, lambda *step: None)
    write(tmp_path, "encodec-32khz")
    tiny = place.revision("encodec-32khz")
    command = FetchModelsParams(action="verify", models_dir=str(tmp_path))
    act(command)
    assert set(capsys.readouterr().out.splitlines()) == {
        f"toy: ok, revision {toys[0].revision[:8]}",
        "plain: ok, revision 0123abcd",
        f"encodec-32khz: ok, revision {tiny}, tiny",
    }

    path = tmp_path / "plain" / "weights.th"
    before = path.stat()
    path.write_bytes(b"\0" * before.st_size)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(SystemExit) as raised:
        cli.run(lambda: act(command))

    assert raised.value.code == cli.EXIT_FAILED
    captured = capsys.readouterr()
    assert "plain: weights.th is damaged" in captured.out.splitlines()
    mend = f"pull --force --models plain --models_dir {tmp_path}"
    assert captured.err == (
        f"plain: what is wrong is mended by: python flows/fetch_models.py {mend}\n"
    )
    act(cli.parse(FetchModelsParams, mend.split()))
    act(command)


def test_verify_of_what_was_asked_for_and_is_missing_fails(tmp_path: Path):
    place = str(tmp_path)
    act(FetchModelsParams(action="verify", models_dir=place))
    with pytest.raises(FetchError):
        act(FetchModelsParams(action="verify", models_dir=place, profile="stems"))


def test_profiles_are_what_their_steps_need():
    for profile in ("full", "offline"):
        stages = BuildDatasetParams(profile=profile).stages()
        models = {name for stage in stages for name in stage.step.models(stage.config)}
        assert set(needed(profile)) == models
    fetched = {
        name: card.task
        for name, card in CARDS.items()
        if not any(isinstance(source, PackageSource) for source in card.sources)
    }
    assert not fetched.keys() & set(needed("offline"))
    assert {fetched[name] for name in needed("full") if name in fetched} == {
        "separation",
        "transcription",
        "audio-text-embedding",
        "speaker-embedding",
    }
    assert set(needed("all")) == set(CARDS)
    for names in PROFILES.values():
        assert set(names or ()) <= set(CARDS)


def test_names_win_over_profiles_and_are_checked():
    named = FetchModelsParams(action="pull", models=["crepe-full", "gruut", "crepe-full"])
    assert wanted(named) == ["crepe-full", "gruut"]
    assert wanted(FetchModelsParams(action="pull")) == list(needed("full"))
    assert wanted(FetchModelsParams(action="list")) == list(CARDS)
    assert wanted(FetchModelsParams(action="list", profile="stems")) == ["encodec-32khz"]
    with pytest.raises(UsageError, match=r"no model whisper-tyni; did you mean whisper-tiny\?"):
        wanted(FetchModelsParams(action="pull", models=["whisper-tyni"]))
    with pytest.raises(UsageError, match=r"no model x; .* list shows them"):
        wanted(FetchModelsParams(action="pull", models=["x"]))


def test_what_packages_bring_needs_neither_network_nor_prefect(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(fetch_models.server, "running", None)
    fetch_models._command(FetchModelsParams(action="pull", models=["crepe-tiny", "resemblyzer"]))
    assert capsys.readouterr().out == "Nothing to fetch: the packages bring these models.\n"


def test_importing_the_flow_stays_light():
    loaded = loaded_by("import flows.fetch_models")
    assert "prefect" in loaded
    assert not loaded & (HEAVY | {"huggingface_hub"})


def test_the_document_lists_the_models(monkeypatch: pytest.MonkeyPatch):
    # On a GPU, the steps would name another of CREPE's models.
    monkeypatch.setattr(cluster, "gpus", lambda device: 0)
    expected = models_table()
    assert table_under(DOCUMENT, "## The models") == expected, "\n" + "\n".join(expected)


def models_table() -> list[str]:
    """The table of models, as the registry has it."""
    lines = [COLUMNS, re.sub(r"[^|]+", " --- ", COLUMNS)]
    profiles = {name: needed(name) for name in PROFILES if name != "all"}
    for card in sorted(CARDS.values(), key=lambda card: card.task):
        size = fetch_models.card_size(card).replace("?", "not published") or "in its package"
        source = " or ".join(map(linked, card.sources))
        uses = ", ".join(name for name, models in profiles.items() if card.name in models)
        lines.append(
            f"| `{card.name}` | {card.task.replace('-', ' ')} | {size} | {licence(card)} "
            f"| {source} | {uses} |"
        )
    return lines


def linked(source: Source) -> str:
    """A source as the document has it."""
    if isinstance(source, HubSource):
        return f"[{source}](https://huggingface.co/{source})"
    if isinstance(source, PackageSource):
        names = ", ".join(f"`{name}`" for name in source.distributions)
        return f"package{'s' if len(source.distributions) > 1 else ''} {names}"
    return str(source)
