"""Fused recurrent neural network kernels with head-wise (block-diagonal) recurrence."""
