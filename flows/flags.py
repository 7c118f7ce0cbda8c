"""The flags of a params model: a leaf of it each."""

import types
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo


@dataclass(frozen=True)
class Flag:
    """One leaf of a params model.

    Attributes
    ----------
    path
        Names of the fields that lead to it.
    name
        Of the option.
    field, group
        The field itself, and its heading in the help.
    """

    path: tuple[str, ...]
    name: str
    field: FieldInfo
    group: str

    @property
    def extra(self) -> dict[str, Any]:
        """What its field says besides."""
        return _extra(self.field)

    @property
    def types(self) -> tuple[Any, ...]:
        """Alternatives of the annotation, without None."""
        annotation = self.field.annotation
        if get_origin(annotation) in (Union, types.UnionType):
            return tuple(each for each in get_args(annotation) if each is not type(None))
        return (annotation,)

    @property
    def is_positional(self) -> bool:
        """Whether it is given by its place."""
        return len(self.path) == 1 and (
            self.field.is_required() or bool(self.extra.get("positional"))
        )

    @property
    def is_list(self) -> bool:
        """Whether it takes several values."""
        return any(get_origin(each) in (list, tuple) for each in self.types)

    @property
    def help(self) -> str:
        """What the help says of it."""
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
        """What stands for its value in the help."""
        if self.choices:
            return "{" + ",".join(self.choices) + "}"
        return {int: "N", float: "X"}.get(self._inner, self.path[-1].rsplit("_", 1)[-1].upper())

    @property
    def _inner(self) -> Any:
        return get_args(self.types[0])[0] if self.is_list else self.types[0]


def flags_of(
    model: type[BaseModel], path: tuple[str, ...] = (), group: str = "Options"
) -> Iterator[Flag]:
    """Yield the flags of a params model, and of those that are nested in it."""
    # What a flow adds comes before what all flows have.
    inherited = [name for name in model.model_fields if name not in model.__annotations__]
    for name in (*[each for each in model.model_fields if each not in inherited], *inherited):
        field = model.model_fields[name]
        extra = _extra(field)
        at = (*path, name)
        nested = field.annotation
        if isinstance(nested, type) and issubclass(nested, BaseModel):
            title = (nested.__doc__ or name).partition("\n")[0].rstrip(".")
            yield from flags_of(nested, at, extra.get("group", title))
        else:
            flag_name = extra.get("flag", ".".join(at))
            yield Flag(at, flag_name, field, extra.get("group", group))


def _extra(field: FieldInfo) -> dict[str, Any]:
    return field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
