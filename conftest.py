"""`pytest --nbval notebooks`: one thread a kernel, as when the outputs were stored."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
