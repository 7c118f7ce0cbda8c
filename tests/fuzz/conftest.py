"""How many damaged inputs there are."""

from collections.abc import Callable

import pytest

MANY_FOR_ONE = 20
"""With ``--fuzz``, as many for each input of an ordinary run."""

Count = Callable[[int], int]


@pytest.fixture
def count(pytestconfig: pytest.Config) -> Count:
    """From the number of inputs with ``--fuzz`` to that of this run."""
    divisor = 1 if pytestconfig.getoption("fuzz") else MANY_FOR_ONE
    return lambda many: many // divisor
