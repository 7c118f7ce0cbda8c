import os

import httpx
import pytest

from blocks import proxies
from blocks.proxies import ProxyError

DEAD = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def _none(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


def test_without_a_proxy_nothing_is_set(monkeypatch: pytest.MonkeyPatch):
    assert proxies.variables() == {}
    monkeypatch.setenv("no_proxy", "intranet")
    assert proxies.variables() == {}


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY"])
def test_what_is_here_is_reached_without_a_proxy_in_any_spelling(
    monkeypatch: pytest.MonkeyPatch, name: str
):
    monkeypatch.setenv(name, DEAD)
    monkeypatch.setenv("NO_PROXY", "intranet, 127.0.0.1")
    found = proxies.variables()
    assert found == dict.fromkeys(("no_proxy", "NO_PROXY"), "intranet,127.0.0.1,localhost,::1")
    for each, value in found.items():
        monkeypatch.setenv(each, value)
    assert proxies.variables() == found, "twice is once"
    client = httpx.Client()
    direct = client._transport_for_url(httpx.URL("http://127.0.0.1:4200/api"))
    assert direct is client._transport_for_url(httpx.URL("http://localhost:1")) is client._transport
    scheme = "http" if name.lower() == "http_proxy" else "https"
    elsewhere = client._transport_for_url(httpx.URL(f"{scheme}://example.org"))
    assert elsewhere is not client._transport, "what is elsewhere still goes by the proxy"


def test_a_star_stays_a_star(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("http_proxy", DEAD)
    monkeypatch.setenv("no_proxy", "*")
    assert proxies.variables()["no_proxy"] == "*"


def test_a_proxy_that_no_client_can_use_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("https_proxy", "nonsense://x")
    with pytest.raises(ProxyError, match=r"^https_proxy is no address of a proxy"):
        proxies.check()
    monkeypatch.setenv("https_proxy", "socks5://127.0.0.1:9")
    with pytest.raises(ProxyError, match=r"^https_proxy is a SOCKS proxy.*socksio"):
        proxies.check()


def test_a_socks_proxy_that_others_cover_is_left_out(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:9")
    assert proxies.without_unused() == []
    monkeypatch.setenv("http_proxy", DEAD)
    monkeypatch.setenv("https_proxy", DEAD)
    assert proxies.without_unused() == ["ALL_PROXY"]


def test_addresses_of_this_machine_are_known():
    for url in ("http://127.0.0.1:4200/api", "http://localhost/api", "http://[::1]:4200/api"):
        assert proxies.is_of_this_machine(url)
    assert not proxies.is_of_this_machine("https://prefect.example/api")
