"""`pytest --nbval notebooks`: two notebooks at a time, and one thread a kernel."""

import os

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # as when the outputs were stored


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config) -> None:
    free = config.getoption("numprocesses", 0) is None and not hasattr(config, "workerinput")
    if free and config.getoption("nbval", False):
        config.option.numprocesses, config.option.dist = 2, "loadfile"
