"""The fused CUDA backend: templates compiled at run time by NVRTC, no compiler on the machine.

`backend` chooses a strategy; `cluster` is one (a thread block, or a cluster of them, per head and
batch tile). `compile` turns text into cubins kept on disk, `launch` loads and starts them.
"""
