"""Types of parameters that say where something lies: checked alike in every flow and form."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

from blocks import places
from blocks.storage import Storage
from blocks.storage_error import StorageError

NO_PLACE = "no_place"
"""Pydantic's type of the error of a value that is no place."""


def _checked(check: Callable[[str], str]) -> BeforeValidator:
    """Return a validator of places; what is no text is left to the type to refuse."""

    def validate(value: Any) -> Any:
        if not isinstance(value, str | Path):
            return value
        try:
            return check(str(value))
        except StorageError as error:
            said = {"said": str(error).rstrip(".")}
            raise PydanticCustomError(NO_PLACE, "{said}", said) from error

    return BeforeValidator(validate)


def _place(address: str) -> str:
    return Storage(address).address


Place = Annotated[str, _checked(_place)]
"""A folder, or ``s3://bucket/prefix``."""

OptionalPlace = Annotated[str | None, _checked(_place)]

LocalPath = Annotated[Path, _checked(places.path)]
"""A file or folder of the machine where the flow runs."""

OptionalLocalPath = Annotated[Path | None, _checked(places.path)]


def folder_name(value: str) -> str:
    """Return the name of a folder.

    Raises
    ------
    ValueError
        If it leads somewhere else, or is hidden.
    """
    if not value or value.startswith(".") or "/" in value or "\\" in value:
        raise ValueError("it is the name of a folder, without / and not hidden")
    return value
