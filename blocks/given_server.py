"""The Prefect server that ``PREFECT_API_URL`` names: whether it can be used, and why not."""

import os
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from blocks import proxies
from blocks.own_server import ServerError

NAME = "PREFECT_API_URL"
TIMEOUT_SECONDS = 5.0


def usable(given: str) -> str:
    """Return the address of a given API, after making sure that it answers and may be used.

    Raises
    ------
    ServerError
        If it does not; one sentence says what is there instead, where the setting comes
        from, and what helps.
    """
    url = given.strip().rstrip("/")
    why = problem(url)
    if why is None:
        _check_rights(url)
        return url
    source, remedy = _origin()
    for other in _others(url):
        if problem(other) is None:
            raise ServerError(
                f"{given} is no Prefect API, but there is one at {other}: set {NAME}, which "
                f"comes from {source}, to that."
            )
    raise ServerError(
        f"No Prefect server answers at {given} ({why}): start it, or {remedy} to let this "
        "command start one for itself."
    )


def problem(url: str) -> str | None:
    """Return why an address is no API that answers; None if it is one."""
    import httpx
    from prefect.settings import get_current_settings

    settings = get_current_settings()
    verify: Any = not settings.api.tls_insecure_skip_verify
    if verify and settings.api.ssl_cert_file and url.startswith("https"):
        import ssl

        verify = ssl.create_default_context(cafile=settings.api.ssl_cert_file)
    try:
        answer = httpx.get(
            f"{url}/health",
            timeout=TIMEOUT_SECONDS,
            headers=settings.client.custom_headers,
            verify=verify if url.startswith("https") else False,
            trust_env=not proxies.is_of_this_machine(url),
        )
    except (httpx.UnsupportedProtocol, httpx.InvalidURL):
        return "it is no address that begins with http:// or https://"
    except httpx.TimeoutException:
        return f"no answer within {TIMEOUT_SECONDS:.0f} s"
    except httpx.HTTPError as error:
        return str(error) or type(error).__name__
    if answer.status_code != 200:
        return f"what is there answers with status {answer.status_code}"
    if "html" in answer.headers.get("content-type", ""):
        return "what is there answers with a page"
    return None


def _others(url: str) -> list[str]:
    """Return where the API may be that somebody meant: below ``/api`` of the same host."""
    whole = url if "://" in url else f"http://{url}"
    try:
        parts = urlsplit(whole)
    except ValueError:
        return []
    return [other for other in (whole, f"{parts.scheme}://{parts.netloc}/api") if other != url]


def _check_rights(url: str) -> None:
    """Make sure that the API lets this client in, and is of a version that it knows.

    Raises
    ------
    ServerError
        If it does not.
    """
    import httpx
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_API_URL, temporary_settings

    try:
        with temporary_settings({PREFECT_API_URL: url}), get_client(sync_client=True) as client:
            client.hello()
    except httpx.HTTPStatusError as error:
        if error.response.status_code not in (401, 403):
            raise ServerError(
                f"The Prefect server at {url} answers with status "
                f"{error.response.status_code}: look into its log."
            ) from error
        raise ServerError(
            f"The Prefect server at {url} does not let this command in: set "
            "PREFECT_API_AUTH_STRING to its user:password, or PREFECT_API_KEY for Prefect Cloud."
        ) from error
    except OSError as error:
        raise ServerError(
            f"Prefect's clients cannot be made: {error}; correct PREFECT_API_SSL_CERT_FILE."
        ) from error
    except RuntimeError as error:
        # Of another major version.
        raise ServerError(f"The Prefect server at {url} cannot be used: {error}") from error


def _origin() -> tuple[str, str]:
    """Return where the address comes from, and what takes it away there; in Prefect's order."""
    from prefect.context import get_settings_context

    if any(name.upper() == NAME for name in os.environ):
        return "the environment", f"unset {NAME}"
    for path, keys in _FILES.items():
        if _lies_in(Path(path), keys):
            where = str(Path(path).absolute())
            return where, f"remove {'.'.join(keys)} from {where}"
    profile = get_settings_context().profile
    if any(setting.name == NAME for setting in profile.settings):
        return f"Prefect's profile {profile.name}", f"run `prefect config unset {NAME}`"
    return "Prefect's settings", f"unset {NAME}"


_FILES = {
    ".env": (NAME,),
    "prefect.toml": ("api", "url"),
    "pyproject.toml": ("tool", "prefect", "api", "url"),
}
"""Files of the working directory that Prefect reads, and where its address stands in them."""


def _lies_in(path: Path, keys: Sequence[str]) -> bool:
    import dotenv

    try:
        node: Any = tomllib.loads(path.read_text()) if path.suffix else dotenv.dotenv_values(path)
    except (OSError, ValueError):
        return False
    for key in keys:
        node = node.get(key) if isinstance(node, Mapping) else None
    return node is not None
