from collections.abc import Iterator

import pytest

from tasks import web
from tasks.sources import fetch
from tests.support.hub_server import HubServer, hub_server


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """A server whose plain files stand at the paths that hosts have them at: a mirror."""
    monkeypatch.setattr(web, "WAIT_SECONDS", 0.001)
    monkeypatch.setattr(fetch, "_DOWN", {})
    with hub_server() as state:
        yield state
