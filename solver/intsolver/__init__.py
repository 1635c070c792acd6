"""Exact integer constraint satisfaction over finite domains."""
