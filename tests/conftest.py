"""Settings that every test shares."""

import os
import signal

# Two cores: a thread pool a test starts must not fight the next one.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A shell's background job ignores Ctrl+C, and so would the tests of it and their children.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
