"""inspect-dataset: what is in a dataset, what looks wrong, what changed between two builds."""

from pathlib import Path

import orjson

from blocks.storage import Storage
from flows import cli
from flows.cli import UsageError
from flows.inspect_dataset_params import InspectDatasetParams
from tasks.dataset import inspection_report
from tasks.dataset.comparison import Comparison, compare
from tasks.dataset.inspection import Inspection, inspect
from tasks.dataset.query import QueryError, folder_of, open_tables


def inspect_dataset(params: InspectDatasetParams) -> Inspection | Comparison:
    """Return what is in a dataset, or what changed since another build, and write the page.

    Raises
    ------
    UsageError
        If it cannot be done; one sentence says why and what to do.
    """
    found: Inspection | Comparison
    try:
        if params.compare is not None:
            found = compare(params.dataset, params.compare, params.where)
        else:
            found = inspect(open_tables(params.dataset), params.where)
    except QueryError as error:
        raise UsageError(str(error)) from error
    if isinstance(found, Comparison):
        page = inspection_report.comparison_page(found)
    else:
        page = inspection_report.inspection_page(found, str(params.dataset))
    target = page_path(params)
    Storage(str(target.parent)).write_bytes(target.name, page.encode())
    return found


def page_path(params: InspectDatasetParams) -> Path:
    """Return where the page goes."""
    name = "inspection" if params.compare is None else "comparison"
    # The page of all rows stays beside that of some.
    name += "-of-some-rows.html" if params.where else ".html"
    return params.output or folder_of(params.dataset) / name


def describe(found: Inspection | Comparison) -> str:
    """Return what was found for people."""
    if isinstance(found, Comparison):
        return "\n".join(inspection_report.comparison_lines(found))
    return "\n".join(inspection_report.inspection_lines(found))


def main() -> None:
    """Inspect a dataset."""
    params = cli.parse(InspectDatasetParams)

    def command() -> None:
        found = inspect_dataset(params)
        if params.as_json:
            print(orjson.dumps(found, option=orjson.OPT_INDENT_2).decode())
        else:
            print(describe(found))
            print(f"Page: {page_path(params)}")

    cli.run(command)


if __name__ == "__main__":
    main()
