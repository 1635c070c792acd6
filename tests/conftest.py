"""Settings that every test shares."""

import os

# Two cores: a thread pool a test starts must not fight the next one.
os.environ.setdefault("OMP_NUM_THREADS", "1")
