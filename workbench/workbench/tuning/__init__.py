"""Seeing how a recurrent kernel's launch is chosen: its space, a picture, what was measured."""
