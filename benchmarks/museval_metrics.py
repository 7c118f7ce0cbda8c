"""museval's metrics, from their file: importing the package needs the ffmpeg binary."""

import importlib.util
from functools import cache
from pathlib import Path
from typing import Any


@cache
def metrics() -> Any:
    """Return the module ``museval.metrics``."""
    package = importlib.util.find_spec("museval")
    assert package is not None
    assert package.origin is not None
    path = Path(package.origin).with_name("metrics.py")
    spec = importlib.util.spec_from_file_location("museval_metrics", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
