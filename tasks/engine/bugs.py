"""Bugs: exceptions of steps that are no TrackError, each confined to the tracks that meet it.

One rule says whose fault an exception is. Of a track, it becomes that track's failed row, and
its traceback is kept beside the tables. Of the machine or the models, it ends the run.
"""

import errno
import platform
import traceback
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from threading import Event

from blocks.storage import Storage, StorageError
from tasks.engine import memory
from tasks.engine.preflight import code_digest
from tasks.step import Row, Step, StepConfig, Tools, Track, TrackError
from tasks.text import printable
from tasks.weights import ModelError

INTERNAL_ERROR = "internal-error"
"""Reason of a track on which a step met a bug."""

TRACEBACKS = "tracebacks"
"""Folder of the tracebacks beside the tables: ``tracebacks/<step>/<track id>.txt``."""

MESSAGE_LETTERS = 200
"""Most of an exception's own words in a sentence; all of them are in the traceback."""

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
_OF_THE_MACHINE = (*_NO_SPACE, errno.EROFS, errno.EMFILE, errno.ENFILE)
"""What the system refuses for want of what all tracks share: space, a disk, open files."""

_BREAKS_GPU = (
    "device-side assert triggered",
    "an illegal memory access was encountered",
    "an illegal instruction was encountered",
    "misaligned address",
    "unspecified launch failure",
    "uncorrectable ECC error encountered",
)
"""Errors after which a process can make no call of CUDA any more: of them, the Runtime API's
reference says that the process must be terminated and relaunched."""


class BrokenStepError(Exception):
    """A step that fails on whatever it is given; one sentence for people."""


class BrokenGpuError(Exception):
    """A process that cannot use its GPU any more, whatever it is given next."""


@dataclass(frozen=True)
class Bug:
    """A bug that a step met on one track.

    Attributes
    ----------
    error
        The exception's class and words, in one line of bounded length.
    traceback
        What Python says of it.
    """

    error: str
    traceback: str


Result = Row | TrackError | Bug


def run_step(
    step: Step,
    tracks: Sequence[Track],
    upstream: Mapping[str, Sequence[Row | None]],
    config: StepConfig,
    tools: Tools,
) -> list[Result]:
    """Run a step over a batch, and return for each track its row, its error, or its bug.

    A step of one track at a time is called so. A step that takes a batch at once and raises is
    run again on halves, until the tracks are found on which it does: those without a fault
    keep their rows.

    With ``tools.tracks_at_once``, a step of one track at a time works on so many in threads of
    their own. After what is no track's fault no other is begun, and those under way are waited for.

    Raises
    ------
    StorageError, ModelError
        What is no track's fault.
    BrokenGpuError
        If this process has to end.
    """

    def results_of(ats: Sequence[int]) -> list[Result]:
        rows = {name: [column[at] for at in ats] for name, column in upstream.items()}
        try:
            results = step.run([tracks[at] for at in ats], rows, config, tools)
            if len(results) != len(ats):
                raise RuntimeError(
                    f"step {step.name} returned {len(results)} rows for {len(ats)} tracks"
                )
            return [_checked(step, result) for result in results]
        except BaseException as error:
            failed: TrackError | Bug = error if isinstance(error, TrackError) else bug_of(error)
        if len(ats) == 1:
            return [failed]
        # Outside the handler, whose traceback keeps what the failed call had in memory.
        memory.release_gpu()
        half = len(ats) // 2
        return results_of(ats[:half]) + results_of(ats[half:])

    every = range(len(tracks))
    if not step.is_per_track:
        return results_of(every)
    at_once = min(tools.tracks_at_once, len(tracks))
    found = _in_threads(lambda at: results_of([at]), every, at_once)
    return [result for [result] in found]


def _in_threads(
    function: Callable[[int], list[Result]], every: Sequence[int], at_once: int
) -> list[list[Result]]:
    """Call a function of each track, at most `at_once` at a time, until one raises."""
    if at_once <= 1:
        return [function(at) for at in every]
    ended = Event()

    def one(at: int) -> list[Result]:
        if ended.is_set():
            return []
        try:
            return function(at)
        except BaseException:
            ended.set()
            raise

    with ThreadPoolExecutor(at_once) as threads:
        futures = [threads.submit(one, at) for at in every]
        try:
            # What raises comes before what was not begun: tracks are begun in their order.
            return [future.result() for future in futures]
        except BaseException:
            ended.set()  # also for an interruption of this thread
            raise


def bug_of(error: BaseException) -> Bug:
    """Return what is kept of an exception that is a track's fault; raise any other.

    Raises
    ------
    StorageError, ModelError
        As they are; and for want of space or open files, which the system says by OSError.
    BrokenGpuError
        For an error of CUDA after which every call of this process fails.
    BaseException
        What is no Exception: interruptions.
    """
    # What is no Exception are interruptions, but for a library's sys.exit() and panics of Rust
    # code (tokenizers), whose class cannot be imported.
    is_panic = type(error).__name__ == "PanicException"
    if not isinstance(error, Exception | SystemExit) and not is_panic:
        raise error
    if isinstance(error, StorageError | ModelError | BrokenGpuError):
        raise error
    if isinstance(error, OSError) and error.errno in _OF_THE_MACHINE:
        file = f" ({printable(str(error.filename))})" if error.filename else ""
        remedy = "free some and run" if error.errno in _NO_SPACE else "mend that and run"
        raise StorageError(
            f"A worker cannot go on: {error.strerror}{file}; {remedy} the same command again; "
            "what is finished stays."
        ) from error
    if any(f"CUDA error: {each}" in str(error) for each in _BREAKS_GPU):
        raise BrokenGpuError(_in_one_line(error)) from error
    return described(error)


def described(error: BaseException) -> Bug:
    """Return what is kept of an exception, whosever fault it is."""
    return Bug(_in_one_line(error), "".join(traceback.format_exception(error)))


def keep(bug: Bug, step: Step, track: Track, tables: Storage) -> TrackError:
    """Keep the traceback of a bug beside the tables, and return the track's error.

    A later traceback of the same step and track replaces it.
    """
    path = traceback_path(step.name, track)
    head = (
        f"file: {printable(track.path)}\n"
        f"track: {track.track_id}\n"
        f"step: {step.name}, version {step.version}\n"
        f"code: songmill {version('songmill')}, {code_digest()[:12]}; "
        f"Python {platform.python_version()}, {platform.platform()}\n\n"
    )
    tables.write_bytes(path, _encoded(head + bug.traceback))
    message = (
        f"{printable(track.path)}: step {step.name} met a bug ({bug.error}); its traceback is "
        f"{path} in the folder of the step tables."
    )
    return TrackError(INTERNAL_ERROR, message)


def traceback_path(step: str, track: Track) -> str:
    """Return the path of a traceback below the tables."""
    return f"{TRACEBACKS}/{step}/{track.track_id}.txt"


def writable(text: str | None) -> str | None:
    """Return a text that a table takes: half characters, which no encoding has, are escaped."""
    return None if text is None else _encoded(text).decode()


def _checked(step: Step, result: Row | TrackError) -> Result:
    """Return a result of a step, or the bug that it is none."""
    if isinstance(result, TrackError):
        return result
    try:
        if not isinstance(result, dict):
            raise RuntimeError(f"step {step.name} returned a {type(result).__name__} for a row")
        unknown = result.keys() - set(step.columns.names)
        missing = set(step.columns.names) - result.keys()
        if unknown or missing:
            raise RuntimeError(
                f"step {step.name} returned unknown columns {sorted(unknown)} "
                f"and left out {sorted(missing)}"
            )
    except RuntimeError as error:
        return bug_of(error)
    return result


def _in_one_line(error: BaseException) -> str:
    said = " ".join(str(error).split())
    if len(said) > MESSAGE_LETTERS:
        said = f"{said[:MESSAGE_LETTERS]}…"
    name = type(error).__name__
    return _encoded(f"{name}: {said}" if said else name).decode()


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")
