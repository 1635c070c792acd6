"""The Triton backend: kernels written out per cell, compiled to cubins, launched by the driver."""
