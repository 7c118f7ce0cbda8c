"""The Prefect server of a one-command run.

Without ``PREFECT_API_URL`` Prefect starts a server in every process that needs
one, workers included: slow, and some outlive the run. Here one server starts,
everything is pointed at it, and it goes when the run ends, however it ends.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID

from blocks import given_server, own_server, proxies, server_faults
from blocks.own_server import HOST, OwnServer, ServerError
from blocks.proxies import ProxyError

__all__ = ["HOST", "ServerError", "mark_crashed", "one_certificate", "running"]


@contextmanager
def running(
    *, workers_here: bool = False, meanwhile: Callable[[], None] = lambda: None
) -> Iterator[str]:
    """Yield the address of the API that flow runs report to, inside the block.

    ``PREFECT_API_URL`` is used when set; otherwise a server is started on the
    loopback interface, and stopped at the end. Prefect's settings and the
    environment of child processes point at it, and no proxy is asked for what is on
    this machine.

    Parameters
    ----------
    workers_here
        Whether all tasks run on this machine. Only then is :func:`one_certificate`
        used with a server that is given: tasks carry Prefect's settings with them,
        and would look for the file elsewhere.
    meanwhile
        What can be done while a server of its own starts, which takes seconds: everything points
        at it already, but it does not answer. Not called when a server is given.

    Raises
    ------
    ServerError
        If the server does not start, the given one cannot be used, or it goes away.
    """
    from prefect.settings import PREFECT_API_URL

    with _direct_to_this_machine(), TemporaryDirectory(prefix="songmill-") as folder:
        if given := PREFECT_API_URL.value():
            url = given_server.usable(given)
            spared = one_certificate(url, Path(folder)) if workers_here else {}
            # A slash at its end is not for every client of Prefect.
            named = {} if url == given else {"PREFECT_API_URL": url}
            with _pointed_at(named | spared), _explained(url, None):
                _check_result_storage()
                yield url
            return
        with own_server.running() as own:
            spared = one_certificate(own.url, Path(folder), whatever_is_chosen=True)
            with _pointed_at({"PREFECT_API_URL": own.url} | spared), _explained(own.url, own):
                meanwhile()
                own.wait_until_ready()
                _check_result_storage()
                yield own.url


def one_certificate(url: str, folder: Path, *, whatever_is_chosen: bool = False) -> dict[str, str]:
    """Return variables that spare the clients of a plain-http API to parse all certificates.

    Every API client builds an SSL context, even for plain http, and parsing the full
    bundle is half of the CPU time of a task run: 149 ms against 79. These get a file
    with a single certificate instead. Only Prefect's clients read it; those of other
    services keep what they trust.

    Parameters
    ----------
    url
        Address of the API.
    folder
        Where the file goes. It has to be there as long as anything uses the variables.
    whatever_is_chosen
        Whether it goes before the user's own setting, which is meant for another server.

    Returns
    -------
    ``PREFECT_API_SSL_CERT_FILE``, for processes of this machine. Nothing if the API is
    not plain http, since certificates matter then, or if the user has set it already.
    """
    import certifi
    from prefect.settings import get_current_settings

    # Not its value: without the user's word that is SSL_CERT_FILE, which is for everything.
    chosen = "ssl_cert_file" in get_current_settings().api.model_fields_set
    if (chosen and not whatever_is_chosen) or not url.startswith("http://"):
        return {}
    end = "-----END CERTIFICATE-----\n"
    certificate = folder / "one-certificate.pem"
    certificate.write_text(Path(certifi.where()).read_text().partition(end)[0] + end)
    return {"PREFECT_API_SSL_CERT_FILE": str(certificate)}


def mark_crashed(flow_run_id: str) -> None:
    """Tell the server that a flow run, which it still takes for running, has died.

    The flow run that is under way is left alone: it is a retry of the one that died, and
    has its identity. So is one that waits to be retried.
    """
    from prefect.client.orchestration import get_client
    from prefect.exceptions import ObjectNotFound
    from prefect.runtime import flow_run
    from prefect.states import Crashed

    if flow_run_id == flow_run.id:
        return
    with get_client(sync_client=True) as client:
        try:
            state = client.read_flow_run(UUID(flow_run_id)).state
        except ObjectNotFound:
            # It reported to another server.
            return
        if state is not None and state.is_running():
            message = "The process of this flow run is gone."
            client.set_flow_run_state(UUID(flow_run_id), Crashed(message=message))


@contextmanager
def _direct_to_this_machine() -> Iterator[None]:
    """Let no client ask a proxy for what is on this machine, nor trip over one."""
    before = dict(os.environ)
    try:
        for name in proxies.without_unused():
            del os.environ[name]
        proxies.check()
        os.environ.update(proxies.variables())
        yield
    except ProxyError as error:
        raise ServerError(str(error)) from error
    finally:
        for name in {*os.environ, *before}:
            if name.lower().endswith("_proxy"):
                _set(name, before.get(name))


@contextmanager
def _explained(url: str, own: OwnServer | None) -> Iterator[None]:
    """Raise what a server that went away makes of a run as one sentence.

    Raises
    ------
    ServerError
        If a request failed within the block, and the server does not answer any more.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, ServerError) or not _is_of_a_request(error):
            raise
        if given_server.problem(url) is None:
            raise
        if own is None:
            raise ServerError(
                f"The Prefect server at {url} went away: what is finished stays; when it is "
                "there again, the same command goes on from here."
            ) from error
        status = own.process.poll()
        why = "it does not answer." if status is None else server_faults.sentence(own.said, status)
        raise ServerError(
            f"The Prefect server of this command went away: {why} What is finished stays, and the "
            f"same command goes on from here; the server's log is {own.log}."
        ) from error


def _check_result_storage() -> None:
    """Make sure that the block is there which Prefect's settings name for results.

    Raises
    ------
    ServerError
        If it is not: no task of a run could begin.
    """
    from prefect.blocks.core import Block
    from prefect.settings import get_current_settings

    if block := get_current_settings().results.default_storage_block:
        try:
            Block.load(block, _sync=True)  # type: ignore[call-arg]
        except ValueError as error:
            raise ServerError(
                f"PREFECT_RESULTS_DEFAULT_STORAGE_BLOCK names {block}, which the Prefect server "
                "does not have: save it there, or unset the variable for this command."
            ) from error


def _is_of_a_request(error: BaseException) -> bool:
    """Return whether an error comes from a request of Prefect's clients."""
    import httpx
    from prefect.exceptions import PrefectException

    seen: list[BaseException] = []
    at: BaseException | None = error
    while at is not None and at not in seen:
        if isinstance(at, httpx.HTTPError | PrefectException | ConnectionError):
            return True
        seen.append(at)
        at = at.__cause__ or at.__context__
    return False


@contextmanager
def _pointed_at(variables: Mapping[str, str]) -> Iterator[None]:
    """Prefect's settings here, and the environment of child processes, as given."""
    import prefect.settings

    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    chosen = {getattr(prefect.settings, name): value for name, value in variables.items()}
    try:
        with prefect.settings.temporary_settings(chosen):
            try:
                yield
            finally:
                _drain()
    finally:
        for name, value in before.items():
            _set(name, value)


def _drain() -> None:
    """Send what the log and event workers of this process still hold."""
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    for worker in (APILogWorker, EventsWorker):
        worker.drain_all(timeout=10)


def _set(name: str, value: str | None) -> None:
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value
