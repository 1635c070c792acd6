"""Looking at detections over galaxies and correcting them; no label is ever lost."""
