"""Imports what workers are forked with: the module that their common parent loads."""

import gc
import signal
from contextlib import suppress
from importlib import import_module

from blocks.forked_workers import PRELOADED

# Ctrl-C, which was blocked when this process was started, is the flow's business.
signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
# What is imported stays: to look through it for garbage takes a sixth of the time here, and would
# copy its pages in each worker.
gc.disable()
for name in PRELOADED:
    with suppress(ImportError):
        import_module(name)
gc.freeze()
gc.enable()
