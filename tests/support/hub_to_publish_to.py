"""The fixture of tests that publish: a hub of their own."""

from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from huggingface_hub import constants
from huggingface_hub.utils import _http

from tasks import web
from tests.support.hub_upload_server import HubUploadServer, hub_upload_server


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubUploadServer]:
    """A hub that this process publishes to, by Git LFS, and without waits between its tries."""
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(web, "WAIT_SECONDS", 0.001)
    monkeypatch.setattr(_http, "time", SimpleNamespace(sleep=lambda seconds: None))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    with hub_upload_server() as state:
        monkeypatch.setenv("HF_ENDPOINT", state.address)
        yield state
