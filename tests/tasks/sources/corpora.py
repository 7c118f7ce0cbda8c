"""Corpora of a test's own in the places of the published ones, and runs of the steps over them."""

import hashlib
import uuid
from collections.abc import Mapping
from pathlib import Path

import pytest

from blocks.storage import Storage
from tasks.download import Expected
from tasks.engine.plan import plan, run_here
from tasks.engine.results import Results
from tasks.engine.stage import Stage
from tasks.sources import catalogue, fetch, survey, unpack
from tasks.sources.catalogue import Content, File, Name, Source
from tasks.sources.fetch import FetchConfig
from tasks.sources.source_file import SourceTools
from tasks.sources.survey import Found
from tasks.sources.unpack import UnpackConfig
from tests.support.hub_server import HubServer

STAGES = [Stage(fetch.STEP, FetchConfig()), Stage(unpack.STEP, UnpackConfig())]


def publish(
    server: HubServer,
    files: Mapping[str, bytes],
    content: Content = catalogue.WHOLE,
    *,
    is_verifiable: bool = True,
) -> Source:
    """Have a corpus in place of FMA, whose files a host has below ``/fma``."""
    listed = []
    for name, data in files.items():
        server.plain[f"fma/{name}"] = data
        sha1 = hashlib.sha1(data).hexdigest() if is_verifiable else None
        expected = Expected(sha1=sha1)
        url = f"https://host.example/fma/{name}"
        listed.append(File(url=url, name=name, expected=expected, content=content))
    return Source("fma", "FMA", "CC-BY-4.0", True, "https://page.example/fma", tuple(listed))


def use(monkeypatch: pytest.MonkeyPatch, source: Source) -> None:
    table = {**catalogue.sources(), source.name: source}
    monkeypatch.setattr(survey, "sources", lambda: table)


def tools(server: HubServer, folder: Path) -> SourceTools:
    results = Storage(str(folder / "checkpoints"))
    return SourceTools(Storage(str(folder)), results, mirror=server.plain_address)


def run(
    server: HubServer, folder: Path, variants: Mapping[Name, str | None] | None = None
) -> tuple[Found, Results]:
    """Find files and run both steps over them, as a run of the flow does."""
    folder.mkdir(exist_ok=True)
    reach = tools(server, folder)
    found = survey.find(variants or {"fma": None}, reach)
    tables = reach.outputs.below("steps")
    planned = plan(
        STAGES, found.files, tables, reach, run_id=uuid.uuid4().hex, workers=1, batch_tracks=1
    )
    run_here(planned)
    return found, planned.results


def rows(results: Results, step: str) -> list[dict[str, object]]:
    return [results.row(step, track) for track in results.tracks]


def contents(folder: Path) -> dict[str, bytes]:
    """Files of a corpus, with their content."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
