"""Widgets for the notebooks: pure state in one module, a thin view in another."""
