"""What the CUDA driver is given, read back from memory."""

from __future__ import annotations

import ctypes

import torch
from rnnkernels.driver import Packed


def test_arguments_are_where_the_driver_looks_for_them() -> None:
    tensor = torch.zeros(3)
    packed = Packed((tensor, None, -7, 2**40))
    places = (ctypes.c_void_p * 4).from_address(packed.address)
    assert ctypes.c_int64.from_address(places[0]).value == tensor.data_ptr()
    assert ctypes.c_int64.from_address(places[1]).value == 0
    assert ctypes.c_int32.from_address(places[2]).value == -7  # as a kernel's int32 argument
    assert ctypes.c_int64.from_address(places[3]).value == 2**40
    members = (ctypes.c_int64 * 4).from_address(places[0])  # as one struct
    assert list(members) == packed.integers == [tensor.data_ptr(), 0, -7, 2**40]
