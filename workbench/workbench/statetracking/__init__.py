"""State tracking: what a recurrent network learns that a Transformer of its size does not."""
