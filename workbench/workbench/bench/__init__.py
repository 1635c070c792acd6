"""RNN benchmarks: what is timed, in which order, how, and what is written down of it.

- `case.py`, `plan.py`: one timing; the sweep, the important first
- `problem.py`, `contestants.py`, `baselines.py`: inputs and right results, our kernels, the others
- `measure.py`, `floors.py`: medians with quartiles and memory; what no kernel can beat
- `worker.py`, `supervisor.py`: the process that times, and who watches, cancels, restarts it
- `record.py`, `compare.py`, `tables.py`: JSON lines that survive a kill; two files; tables
"""
