"""Reading published label tables in pickles without running code from them.

Only the constructors of arrays, data frames and plain containers are known; anything else that a
file asks for is an error that names it.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

from workbench.clumps.extras import need
from workbench.errors import WorkbenchError

# What numpy and pandas write into the pickle of an array, an index or a data frame.
ALLOWED = frozenset({
    ("builtins", "slice"), ("builtins", "set"), ("builtins", "frozenset"),
    ("builtins", "bytearray"), ("collections", "OrderedDict"), ("_codecs", "encode"),
    ("numpy", "dtype"), ("numpy", "ndarray"),
    ("numpy.core.multiarray", "_reconstruct"), ("numpy.core.multiarray", "scalar"),
    ("numpy._core.multiarray", "_reconstruct"), ("numpy._core.multiarray", "scalar"),
    ("numpy.core.numeric", "_frombuffer"), ("numpy._core.numeric", "_frombuffer"),
    ("pandas", "DataFrame"), ("pandas", "Series"), ("pandas", "Index"), ("pandas", "RangeIndex"),
    ("pandas.core.frame", "DataFrame"), ("pandas.core.series", "Series"),
    ("pandas.core.indexes.base", "_new_Index"), ("pandas.core.indexes.base", "Index"),
    ("pandas.core.indexes.range", "RangeIndex"),
    ("pandas.core.internals.managers", "BlockManager"),
    ("pandas.core.internals.managers", "SingleBlockManager"),
    ("pandas.core.internals.blocks", "new_block"),
    ("pandas._libs.internals", "_unpickle_block"),
    ("pandas._libs.internals", "BlockManager"), ("pandas._libs.internals", "BlockPlacement"),
    ("pandas._libs.arrays", "__pyx_unpickle_NDArrayBacked"),
    ("pandas.core.arrays.string_", "StringDtype"), ("pandas.core.arrays.string_", "StringArray"),
    ("pandas.core.arrays.string_arrow", "ArrowStringArray"),
})  # fmt: skip
# Names of pandas 1, which published tables still carry.
_RENAMED = {("pandas.core.indexes.numeric", name): ("pandas", "Index")
            for name in ("Int64Index", "UInt64Index", "Float64Index")}  # fmt: skip


class _Reader(pickle.Unpickler):
    def find_class(self, module_name: str, global_name: str) -> Any:
        wanted = _RENAMED.get((module_name, global_name), (module_name, global_name))
        if wanted not in ALLOWED:
            raise pickle.UnpicklingError(
                f"it asks for {module_name}.{global_name}, which is neither an array nor a table"
            )
        return getattr(need(wanted[0]), wanted[1])


def read_pickle(path: Path | str) -> Any:
    """Return the arrays, tables and plain containers of the pickle file at `path`.

    Raises
    ------
    WorkbenchError
        The file is missing or corrupt, or asks for anything but arrays, tables and containers.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            return _Reader(file).load()
    except FileNotFoundError as error:
        raise WorkbenchError(f"{path}: no such file") from error
    except Exception as error:  # a broken pickle raises nearly anything
        raise WorkbenchError(f"{path}: not read as a label table ({error})") from error
