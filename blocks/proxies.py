"""Proxies of the environment: what is on this machine is reached without them."""

import os
from collections.abc import Iterator
from urllib.parse import urlsplit
from urllib.request import getproxies_environment

LOOPBACK = ("127.0.0.1", "localhost", "::1")


class ProxyError(Exception):
    """A proxy that cannot be used; the message is one sentence for people."""


def variables() -> dict[str, str]:
    """Return variables with which no client asks a proxy for what is on this machine.

    All traffic to elsewhere goes as before. Nothing if there is no proxy. Where the two
    spellings of ``no_proxy`` differ, the small one counts, as for Python's own clients.
    """
    found = getproxies_environment()
    bypassing = found.pop("no", "")
    if not found:
        return {}
    hosts = [host.strip() for host in bypassing.split(",") if host.strip()]
    if "*" not in hosts:
        hosts += [host for host in LOOPBACK if host not in hosts]
    return dict.fromkeys(("no_proxy", "NO_PROXY"), ",".join(hosts))


def is_of_this_machine(url: str) -> bool:
    """Return whether an address is of this machine."""
    return (urlsplit(url).hostname or "").lower() in LOOPBACK


def check() -> None:
    """Make sure that HTTP clients can be made with the proxies of the environment.

    Raises
    ------
    ProxyError
        If one is of a kind that needs a package, or no address. Every client of httpx would
        raise, even those that never use it.
    """
    import httpx

    try:
        # Without certificates, which take a tenth of a second to parse.
        httpx.Client(verify=False).close()
    except ImportError as error:
        raise ProxyError(
            f"{_named('socks')} is a SOCKS proxy, for which the package socksio is missing: "
            "install it, or unset the variable for this command; http_proxy and https_proxy do "
            "for all that Songmill fetches."
        ) from error
    except (ValueError, httpx.InvalidURL) as error:
        raise ProxyError(
            f"{_named('')} is no address of a proxy ({error}): correct it, or unset it for this "
            "command."
        ) from error


def without_unused() -> list[str]:
    """Return variables to leave out: a SOCKS proxy for what http_proxy and https_proxy cover."""
    found = getproxies_environment()
    covered = all(name in found and not _is_socks(found[name]) for name in ("http", "https"))
    return list(_spelled("all")) if covered and _is_socks(found.get("all", "")) else []


def _is_socks(proxy: str) -> bool:
    return proxy.lower().startswith("socks")


def _named(kind: str) -> str:
    """Return the variables that name a proxy of a kind, without passwords."""
    found = getproxies_environment()
    named = [
        name
        for scheme in ("http", "https", "all")
        for name in _spelled(scheme)
        if found.get(scheme, "").lower().startswith(kind)
    ]
    return " and ".join(named) or "A proxy of the environment"


def _spelled(scheme: str) -> Iterator[str]:
    return (name for name in os.environ if name.lower() == f"{scheme}_proxy")
