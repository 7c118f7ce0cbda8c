"""One params model: command line, Prefect parameters and deployment defaults.

A flow takes one pydantic model. Its fields become flags here and, through
pydantic's own schema, the form in Prefect's UI; its defaults are the defaults of
both. Nothing about a parameter is said twice.
"""

import argparse
import difflib
import inspect
import logging
import os
import shlex
import shutil
import signal
import sys
import types
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NoReturn, TypeVar, Union, get_args, get_origin

from prefect.exceptions import TerminationSignal
from prefect.logging.configuration import setup_logging
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.fields import FieldInfo

from blocks import proxies
from blocks.cluster import ClusterError
from blocks.server import ServerError
from blocks.storage import StorageError
from flows.place_params import NO_PLACE
from tasks.text import printable
from tasks.weights import ModelError

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130

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
    flags = [flag for model in models for flag in _flags(model)]
    parser = _parser(models[0], flags)
    for token in arguments:
        if not token.isprintable() and printable(token) != token:
            parser.error(f"{printable(token)}: what is given here has to be UTF-8")
    words = {".".join(flag.path) for flag in flags if NONE in flag.choices}
    given = _nested(vars(parser.parse_args([_underscored(token) for token in arguments])), words)
    try:
        return [
            model.model_validate(
                {name: value for name, value in given.items() if name in model.model_fields}
            )
            for model in models
        ]
    except ValidationError as error:
        parser.error(_readable(error, flags))


def option(name: str, value: object) -> str:
    """Return an option as it can be pasted into a shell, whatever the value is called."""
    text = str(value)
    # A value that begins with a dash would be taken for an option.
    joint = "=" if text.startswith("-") else " "
    return f"--{name}{joint}{shlex.quote(text)}"


def describe(error: ValidationError, params_class: type[FlowParams]) -> str:
    """Describe a validation error in one line, in terms of the command line's flags."""
    return _readable(error, list(_flags(params_class)))


def flag_names(params_class: type[FlowParams]) -> dict[str, str]:
    """Return the names of the flags of a flow, by the dotted names of its parameters."""
    return {".".join(flag.path): flag.name for flag in _flags(params_class)}


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
            _leave(EXIT_INTERRUPTED, "Interrupted; the same command goes on from here.")
        raise
    finally:
        signal.signal(signal.SIGINT, before)
    sys.exit(0)


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


@dataclass(frozen=True)
class _Flag:
    """One leaf of a params model."""

    path: tuple[str, ...]
    name: str
    field: FieldInfo
    group: str

    @property
    def extra(self) -> dict[str, Any]:
        return _extra(self.field)

    @property
    def types(self) -> tuple[Any, ...]:
        """Alternatives of the annotation, without None."""
        annotation = self.field.annotation
        if get_origin(annotation) in (Union, types.UnionType):
            return tuple(each for each in get_args(annotation) if each is not type(None))
        return (annotation,)

    @property
    def is_list(self) -> bool:
        return any(get_origin(each) in (list, tuple) for each in self.types)

    @property
    def is_positional(self) -> bool:
        required = self.field.is_required() and len(self.path) == 1
        return required or bool(self.extra.get("positional"))

    @property
    def help(self) -> str:
        # Prefect's form shows a switch as what it does, the command line as what turns it off.
        off = "Switch off: " if self.field.default is True else ""
        parts = [off + (self.field.description or "")]
        default = self.field.get_default(call_default_factory=True, validated_data={})
        if isinstance(default, tuple):
            default = " ".join(map(str, default)) or None
        if not self.field.is_required() and not (default is None or isinstance(default, bool)):
            unit = f" {self.extra['unit']}" if "unit" in self.extra else ""
            parts.append(f"(default: {default}{unit})")
        elif "unit" in self.extra:
            parts.append(f"({self.extra['unit']})")
        return " ".join(parts).replace("%", "%%")

    @property
    def choices(self) -> list[str]:
        """Words to choose from; none where anything may be said."""
        return [
            str(choice)
            for each in ((self._inner,) if self.is_list else self.types)
            if get_origin(each) is Literal
            for choice in get_args(each)
        ]

    @property
    def metavar(self) -> str:
        if self.choices:
            return "{" + ",".join(self.choices) + "}"
        return {int: "N", float: "X"}.get(self._inner, self.path[-1].rsplit("_", 1)[-1].upper())

    @property
    def _inner(self) -> Any:
        return get_args(self.types[0])[0] if self.is_list else self.types[0]


def _flags(
    model: type[BaseModel], path: tuple[str, ...] = (), group: str = "Options"
) -> Iterator[_Flag]:
    # What a flow adds comes before what all flows have.
    inherited = [name for name in model.model_fields if name not in model.__annotations__]
    for name in (*[each for each in model.model_fields if each not in inherited], *inherited):
        field = model.model_fields[name]
        extra = _extra(field)
        at = (*path, name)
        nested = field.annotation
        if isinstance(nested, type) and issubclass(nested, BaseModel):
            title = (nested.__doc__ or name).partition("\n")[0].rstrip(".")
            yield from _flags(nested, at, extra.get("group", title))
        else:
            flag_name = extra.get("flag", ".".join(at))
            yield _Flag(at, flag_name, field, extra.get("group", group))


def _extra(field: FieldInfo) -> dict[str, Any]:
    return field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}


def _parser(params_class: type[FlowParams], flags: Sequence[_Flag]) -> argparse.ArgumentParser:
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


def _usage(flags: Sequence[_Flag]) -> Iterator[str]:
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


def _nested(given: dict[str, Any], words: set[str]) -> dict[str, Any]:
    """Return ``{"a.b": 1}`` as ``{"a": {"b": 1}}``, and ``none`` as null.

    Of options in `words` it is one of the words to choose from.
    """
    values: dict[str, Any] = {}
    for path, value in given.items():
        *parents, leaf = path.split(".")
        home = values
        for parent in parents:
            home = home.setdefault(parent, {})
        home[leaf] = None if value == NONE and path not in words else value
    return values


def _readable(error: ValidationError, flags: Sequence[_Flag]) -> str:
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
            # What is said of a place names it.
            got = "" if detail["type"] == NO_PLACE else f" (got {detail['input']!r})"
            problems.append(f"{named}: {message}{got}")
    return "; ".join(problems)
