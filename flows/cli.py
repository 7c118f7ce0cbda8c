"""One params model: command line, Prefect parameters and deployment defaults.

A flow takes one pydantic model. Its fields become flags here and, through
pydantic's own schema, the form in Prefect's UI; its defaults are the defaults of
both. Nothing about a parameter is said twice.
"""

import argparse
import difflib
import functools
import inspect
import json
import logging
import os
import shlex
import shutil
import signal
import sys
import threading
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, NoReturn, TypeVar

from prefect.exceptions import TerminationSignal
from prefect.logging.configuration import setup_logging
from pydantic import BaseModel, ConfigDict, ValidationError

from blocks import proxies
from blocks.cluster import ClusterError
from blocks.server import ServerError
from blocks.storage import StorageError
from flows.flags import Flag, flags_of
from flows.place_params import NO_PLACE
from tasks.text import printable
from tasks.weights import ModelError

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130

LEAVE_SECONDS = 20.0
"""How long the end of a process that was interrupted may take."""

NONE = "none"
"""What an option is given for null."""


class UsageError(Exception):
    """What was asked for cannot be done; one sentence that says why and what to do."""


class FlowParams(BaseModel):
    """Base of every flow's parameters: immutable, without unknown keys.

    A field's ``json_schema_extra`` may give a ``group`` (heading in the help), a
    ``unit``, in a nested model a ``flag`` that replaces the dotted name, and ``positional``
    for what is given by its place and may be left out.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    examples: ClassVar[str] = ""
    """Command lines to learn from, shown at the end of the help."""


class FailedTracksError(Exception):
    """Tracks failed in a run in a way that counts; a sentence each."""


Params = TypeVar("Params", bound=FlowParams)
Command = TypeVar("Command", bound=FlowParams)


def parse(params_class: type[Params], argv: Sequence[str] | None = None) -> Params:
    """Return the parameters of a flow from a command line.

    Required fields are positional, as is what says so, all others flags; ``--audio_dir`` and
    ``--audio-dir`` are the same. Fields of a nested model are dotted flags
    (``--pitch.hop_seconds``). A wrong value ends the process with status 2 and
    one line that says what was wrong.
    """
    (params,) = _parsed((params_class,), argv)
    return params


def parse_command(
    params_class: type[Params], command_class: type[Command], argv: Sequence[str] | None = None
) -> tuple[Params, Command]:
    """Return the parameters of a flow, and what only its command can be asked for.

    The flags of both stand side by side, as :func:`parse` describes; Prefect knows
    the flow's alone.
    """
    params, command = _parsed((params_class, command_class), argv)
    return params, command


def _parsed(models: Sequence[type[Any]], argv: Sequence[str] | None) -> list[Any]:
    arguments = list(sys.argv[1:] if argv is None else argv)
    flags = [flag for model in models for flag in flags_of(model)]
    parser = _parser(models[0], flags)
    for token in arguments:
        if not token.isprintable() and printable(token) != token:
            parser.error(f"{printable(token)}: what is given here has to be UTF-8")
    parsed = parser.parse_args([_underscored(token) for token in arguments])
    given = _given(vars(parsed), flags)
    try:
        return [
            model.model_validate(
                {name: value for name, value in given.items() if name in model.model_fields}
            )
            for model in models
        ]
    except ValidationError as error:
        parser.error(_readable(error, flags))


def of_options(params_class: type[Params], given: Mapping[str, Any]) -> Params:
    """Return the parameters of a flow by the names of its options, as its command takes them.

    Parameters
    ----------
    params_class
        The flow's.
    given
        Values by the names of options, dotted ones too; one value may stand for a list of it.

    Raises
    ------
    UsageError
        If there is no such option, or a value is wrong.
    """
    flags = list(flags_of(params_class))
    known = {name: flag for flag in flags for name in (flag.name, ".".join(flag.path))}
    values: dict[str, Any] = {}
    for name, value in given.items():
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = (
                f"did you mean {close[0]}?" if close else f"there are {', '.join(sorted(known))}."
            )
            raise UsageError(f"There is no option {name} of the training; {hint}")
        flag = known[name]
        is_one = flag.is_list and not isinstance(value, list | tuple)
        values[".".join(flag.path)] = (value,) if is_one else value
    try:
        return params_class.model_validate(_given(values, flags))
    except ValidationError as error:
        raise UsageError(f"{_readable(error, flags)}.") from error


def assigned(assignments: Sequence[str]) -> dict[str, Any]:
    """Return the values of ``NAME=VALUE``, each as in JSON, or text.

    Raises
    ------
    UsageError
        If one is written otherwise.
    """
    values: dict[str, Any] = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals or not name:
            raise UsageError(f"--set {assignment}: write NAME=VALUE.")
        try:
            values[name] = json.loads(text)
        except ValueError:
            values[name] = text
    return values


def option(name: str, value: object) -> str:
    """Return an option as it can be pasted into a shell, whatever the value is called."""
    text = str(value)
    # A value that begins with a dash would be taken for an option.
    joint = "=" if text.startswith("-") else " "
    return f"--{name}{joint}{shlex.quote(text)}"


def arguments(params: FlowParams) -> list[str]:
    """Return a command line that :func:`parse` reads as these parameters; defaults are left out."""
    positional: list[str] = []
    options: list[str] = []
    for flag in flags_of(type(params)):
        value = functools.reduce(getattr, flag.path, params)
        if flag.is_positional:
            positional += map(str, value) if flag.is_list else [str(value)]
        elif value == flag.field.get_default(call_default_factory=True, validated_data={}):
            continue
        elif flag.types == (bool,):
            options.append(f"--{flag.name}" if value else f"--no_{flag.name}")
        elif flag.is_list and value is not None:
            options += [f"--{flag.name}", *map(str, value)]
        else:
            options.append(f"--{flag.name}={NONE if value is None else value}")
    return [*positional, *options]


def describe(error: ValidationError, params_class: type[FlowParams]) -> str:
    """Describe a validation error in one line, in terms of the command line's flags."""
    return _readable(error, list(flags_of(params_class)))


def flag_names(params_class: type[FlowParams]) -> dict[str, str]:
    """Return the names of the flags of a flow, by the dotted names of its parameters."""
    return {".".join(flag.path): flag.name for flag in flags_of(params_class)}


def run(command: Callable[[], None]) -> NoReturn:
    """Run a command to its end, and end the process with its exit status.

    What a user can mend is said in one line; a bug is a traceback.
    """
    _quieten()
    interruptions: list[int] = []

    def interrupt(number: int, frame: types.FrameType | None) -> None:
        interruptions.append(number)
        signal.default_int_handler(number, frame)

    before = signal.signal(signal.SIGINT, interrupt)
    # What is on this machine, such as a store or an LLM, is no business of a proxy's.
    os.environ.update(proxies.variables())
    try:
        command()
    except UsageError as error:
        _leave(EXIT_USAGE, str(error))
    except (StorageError, ClusterError, ServerError, ModelError, FailedTracksError) as error:
        _leave(EXIT_FAILED, str(error))
    except BaseException as error:
        # Compiled code turns a KeyboardInterrupt in its callbacks into errors of its own.
        if interruptions or isinstance(error, KeyboardInterrupt | TerminationSignal):
            _end_for_certain(EXIT_INTERRUPTED)
            _leave(EXIT_INTERRUPTED, "Interrupted; the same command goes on from here.")
        raise
    finally:
        signal.signal(signal.SIGINT, before)
    sys.exit(0)


def _end_for_certain(status: int) -> None:
    """End the process if its own end hangs.

    When it ends, Prefect 3.8.8 waits without limit for its worker of events, whose thread an
    interruption may have cut short; seen once in some fifty.
    """

    def end() -> None:
        # Only of a process that is ending: others have their own plans after an interruption.
        if getattr(threading, "_SHUTTING_DOWN", False):
            os._exit(status)

    timer = threading.Timer(LEAVE_SECONDS, end)
    timer.daemon = True
    timer.start()


def _leave(status: int, message: str) -> NoReturn:
    print(message, file=sys.stderr)
    sys.exit(status)


def _quieten() -> None:
    """Keep Prefect's and Dask's log lines off the console; Prefect's UI has them all.

    What goes wrong is said by :func:`run`, in one line, or is a traceback. A user
    who sets any logging variable of Prefect gets what it says.
    """
    if any(name.startswith("PREFECT_LOGGING") for name in os.environ):
        return
    # In the environment, so that worker processes are as quiet.
    os.environ["PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL"] = "CRITICAL"
    os.environ.setdefault("DASK_LOGGING__DISTRIBUTED", "error")
    setup_logging()
    logging.getLogger("distributed").setLevel(logging.ERROR)


def _parser(params_class: type[FlowParams], flags: Sequence[Flag]) -> argparse.ArgumentParser:
    width = min(shutil.get_terminal_size().columns, 110)
    parser = _Parser(
        prog=f"python {os.path.relpath(sys.argv[0])}",
        usage="%(prog)s " + " ".join(_usage(flags)),
        description=inspect.cleandoc(params_class.__doc__ or ""),
        epilog=params_class.examples or None,
        formatter_class=lambda prog: argparse.RawDescriptionHelpFormatter(
            prog, max_help_position=34, width=width
        ),
        allow_abbrev=False,
    )
    groups: dict[str, Any] = {}
    for flag in flags:
        if flag.group not in groups:
            groups[flag.group] = parser.add_argument_group(flag.group)
        group, dest = groups[flag.group], ".".join(flag.path)
        if flag.is_positional:
            several, one = ("+", None) if flag.field.is_required() else ("*", "?")
            group.add_argument(
                dest,
                metavar=flag.name,
                nargs=several if flag.is_list else one,
                default=argparse.SUPPRESS,
                help=flag.help,
            )
        elif flag.types == (bool,):
            # Both ways are understood; the help shows the one that changes something.
            for name, action in ((flag.name, "store_true"), (f"no_{flag.name}", "store_false")):
                changes = (action == "store_false") == (flag.field.default is True)
                group.add_argument(
                    f"--{name}",
                    dest=dest,
                    action=action,
                    default=argparse.SUPPRESS,
                    help=flag.help if changes else argparse.SUPPRESS,
                )
        else:
            group.add_argument(
                f"--{flag.name}",
                dest=dest,
                metavar=flag.metavar,
                nargs="+" if flag.is_list else None,
                default=argparse.SUPPRESS,
                help=flag.help,
            )
    return parser


def _usage(flags: Sequence[Flag]) -> Iterator[str]:
    for flag in flags:
        if flag.is_positional:
            name = flag.name.upper()
            yield name if flag.field.is_required() else f"[{name}]"
    yield "[options]"


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        if message.startswith("unrecognized arguments: "):
            token = message.removeprefix("unrecognized arguments: ").split()[0]
            known = [name for action in self._actions for name in action.option_strings]
            close = difflib.get_close_matches(token.partition("=")[0], known, n=1)
            hint = f"did you mean {close[0]}?" if close else "--help lists the options."
            message = f"unknown option {token}; {hint}"
        self.exit(EXIT_USAGE, f"{self.prog}: {message}\n")


def _underscored(token: str) -> str:
    """Return ``--audio-dir=x`` as ``--audio_dir=x``; anything but a long flag as it is."""
    if not token.startswith("--") or token == "--":
        return token
    name, equals, value = token[2:].partition("=")
    return f"--{name.replace('-', '_')}{equals}{value}"


def _given(values: Mapping[str, Any], flags: Sequence[Flag]) -> dict[str, Any]:
    """Return values by dotted names as they are nested, ``none`` as null.

    Of some options it is one of the words to choose from.
    """
    words = {".".join(flag.path) for flag in flags if NONE in flag.choices}
    return nested(
        {
            path: None if value == NONE and path not in words else value
            for path, value in values.items()
        }
    )


def nested(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``{"a.b": 1}`` as ``{"a": {"b": 1}}``."""
    values: dict[str, Any] = {}
    for path, value in given.items():
        *parents, leaf = path.split(".")
        home = values
        for parent in parents:
            home = home.setdefault(parent, {})
        home[leaf] = value
    return values


def _readable(error: ValidationError, flags: Sequence[Flag]) -> str:
    problems = []
    for detail in error.errors():
        location = tuple(str(part) for part in detail["loc"])
        message = detail["msg"].removeprefix("Value error, ")
        flag = next((each for each in flags if each.path == location[: len(each.path)]), None)
        if flag is None:
            named = ".".join(location)
            problems.append(f"{named}: {message}" if named else message)
        else:
            named = flag.name if flag.is_positional else f"--{flag.name}"
            # What is said of a place names it, and what is missing was not given.
            got = "" if detail["type"] in (NO_PLACE, "missing") else f" (got {detail['input']!r})"
            problems.append(f"{named}: {message}{got}")
    return "; ".join(problems)
