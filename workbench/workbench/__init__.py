"""The workbench behind the notebooks: widgets, benchmarks, clump detection and the command line."""
