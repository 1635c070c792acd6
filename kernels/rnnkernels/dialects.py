"""How PyTorch, CUDA C++ and Triton write each operation, and the functions they lack."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_INFIX = {"add": "{0} + {1}", "sub": "{0} - {1}", "mul": "{0} * {1}", "neg": "-{0}"}

_TORCH = {
    **_INFIX,
    "div": "{0} / {1}",
    "sigmoid": "torch.sigmoid({0})",
    "tanh": "torch.tanh({0})",
    "exp": "torch.exp({0})",
    "log": "torch.log({0})",
    "sqrt": "torch.sqrt({0})",
    "abs": "torch.abs({0})",
    "log_sigmoid": "torch.nn.functional.logsigmoid({0})",
    # threshold: torch switches to the identity at 20, where exp(-20) is still 2e-9
    "softplus": "torch.nn.functional.softplus({0}, threshold=40.0)",
    "relu": "torch.relu({0})",
    "maximum": "torch.maximum({0}, {1})",
    "minimum": "torch.minimum({0}, {1})",
    "select": "torch.where({0} > {1}, {2}, {3})",
}
_CALLS = ("sigmoid", "tanh", "exp", "log", "sqrt", "log_sigmoid", "softplus")
_CUDA = {
    **_INFIX,
    **{name: f"cell_{name}({{0}})" for name in _CALLS},
    "div": "cell_div({0}, {1})",
    "abs": "fabsf({0})",
    "relu": "cell_max({0}, 0.0f)",
    "maximum": "cell_max({0}, {1})",
    "minimum": "cell_min({0}, {1})",
    "select": "{0} > {1} ? {2} : {3}",
}
_TRITON = {
    **_INFIX,
    **{name: f"_{name}({{0}})" for name in _CALLS},
    "log": "tl.log({0})",
    "sqrt": "tl.sqrt_rn({0})",
    "div": "_div({0}, {1})",
    "abs": "tl.abs({0})",
    "relu": "tl.maximum({0}, 0.0, propagate_nan=tl.PropagateNan.ALL)",
    "maximum": "tl.maximum({0}, {1}, propagate_nan=tl.PropagateNan.ALL)",
    "minimum": "tl.minimum({0}, {1}, propagate_nan=tl.PropagateNan.ALL)",
    "select": "tl.where({0} > {1}, {2}, {3})",
}

CUDA_EXACT = """\
__device__ __forceinline__ float cell_sigmoid(float a) { return 1.0f / (1.0f + expf(-a)); }
__device__ __forceinline__ float cell_tanh(float a) { return tanhf(a); }
__device__ __forceinline__ float cell_exp(float a) { return expf(a); }
__device__ __forceinline__ float cell_log(float a) { return logf(a); }
__device__ __forceinline__ float cell_sqrt(float a) { return sqrtf(a); }
__device__ __forceinline__ float cell_div(float a, float b) { return a / b; }
// log(1 + exp(-|a|)), the part that log_sigmoid and softplus share
__device__ __forceinline__ float cell_tail(float a) { return log1pf(expf(-fabsf(a))); }
"""


def _instruction(name: str, instruction: str) -> str:
    """Return a function of one instruction."""
    return f"""\
__device__ __forceinline__ float {name}(float a) {{
  float y;
  asm("{instruction} %0, %1;" : "=f"(y) : "f"(a));
  return y;
}}
"""


# ftz because the others spend three more instructions on numbers below 1e-38.
_APPROXIMATE = "".join(
    _instruction(f"cell_{name}", f"{instruction}.approx.ftz.f32")
    for name, instruction in (
        ("sqrt", "sqrt"),
        ("exp2", "ex2"),
        ("log2", "lg2"),
        ("reciprocal", "rcp"),
    )
)
_INSTRUCTIONS = (
    _APPROXIMATE
    + """\
__device__ __forceinline__ float cell_exp(float a) { return cell_exp2(1.442695041f * a); }
__device__ __forceinline__ float cell_log(float a) { return 0.6931471806f * cell_log2(a); }
__device__ __forceinline__ float cell_div(float a, float b) { return a * cell_reciprocal(b); }
// log(1 + exp(-|a|)), the part that log_sigmoid and softplus share
__device__ __forceinline__ float cell_tail(float a) { return cell_log(1.0f + cell_exp(-fabsf(a))); }
"""
)
# Errors below 2e-7, and of exp 1e-5 of its value at 100: nothing that float16 keeps.
CUDA_HALF = (
    _INSTRUCTIONS
    + """\
__device__ __forceinline__ float cell_sigmoid(float a) {
  return cell_reciprocal(1.0f + cell_exp(-a));
}
__device__ __forceinline__ float cell_tanh(float a) {
  return fmaf(-2.0f, cell_reciprocal(1.0f + cell_exp(2.0f * a)), 1.0f);
}
"""
)
# Errors up to 5e-4 of the value of tanh, right for bfloat16.
CUDA_COARSE = (
    _INSTRUCTIONS
    + _instruction("cell_tanh", "tanh.approx.f32")
    + """\
__device__ __forceinline__ float cell_sigmoid(float a) {
  return fmaf(0.5f, cell_tanh(0.5f * a), 0.5f);
}
"""
)
CUDA_COMMON = """\
__device__ __forceinline__ float cell_max(float a, float b) {  // a NaN stays one
  float y;
  asm("max.NaN.f32 %0, %1, %2;" : "=f"(y) : "f"(a), "f"(b));
  return y;
}
__device__ __forceinline__ float cell_min(float a, float b) {
  float y;
  asm("min.NaN.f32 %0, %1, %2;" : "=f"(y) : "f"(a), "f"(b));
  return y;
}
__device__ __forceinline__ float cell_log_sigmoid(float a) { return fminf(a, 0.0f) - cell_tail(a); }
__device__ __forceinline__ float cell_softplus(float a) { return fmaxf(a, 0.0f) + cell_tail(a); }
"""
TRITON_PREAMBLE = '''\
import triton
import triton.language as tl


@triton.jit
def _exp(a):
    """Within 2 roundings, where the GPU's own exp errs by as many as |a|: 2^n times a series."""
    a = tl.minimum(tl.maximum(a, -104.0, tl.PropagateNan.ALL), 89.0, tl.PropagateNan.ALL)
    n = tl.floor(a * 1.4426950408889634 + 0.5)
    r = (a - n * 0.693359375) - n * -2.12194440e-4
    p = 0.00833333333 + r * (0.00138888889 + r * 0.00019841270)
    p = 0.5 + r * (0.16666666667 + r * (0.04166666667 + r * p))
    half = tl.floor(n * 0.5)  # 2^n by halves: it may be beyond float32 where the result is not
    return ((1.0 + (r + r * r * p)) * tl.exp2(half)) * tl.exp2(n - half)


@triton.jit
def _div(a, b):
    return tl.div_rn(a, b)


@triton.jit
def _sigmoid(a):
    return _div(1.0, 1.0 + _exp(-a))


@triton.jit
def _tanh(a):
    """Within 2 roundings: below 0.6 a minimax polynomial (own fit, error 3e-9), else by exp."""
    q = a * a
    p = -0.33333298 + q * (0.13331924 + q * (-0.05378383 + q * (0.02079597 + q * -0.005895158)))
    large = 1.0 - _div(2.0, _exp(2.0 * tl.abs(a)) + 1.0)
    return tl.where(q < 0.36, a + a * (q * p), tl.where(a < 0.0, -large, large))


@triton.jit
def _tail(a):
    """Return log(1 + e), e = exp(-|a|), within 3 roundings: 2 atanh(s), s = e / (2 + e) <= 1/3."""
    e = _exp(-tl.abs(a))
    s = _div(e, 2.0 + e)
    z = s * s
    p = 0.11111111 + z * (0.09090909 + z * (0.07692308 + z * (0.06666667 + z * 0.05882353)))
    p = 0.33333333 + z * (0.2 + z * (0.14285714 + z * p))
    return 2.0 * (s + s * (z * p))


@triton.jit
def _log_sigmoid(a):
    return tl.where(a < 0.0, a, 0.0) - _tail(a)


@triton.jit
def _softplus(a):
    return tl.where(a > 0.0, a, 0.0) + _tail(a)


'''


@dataclass(frozen=True)
class Dialect:
    """How one language writes a graph: an input, a constant, an operation, an assignment."""

    operations: dict[str, str]
    read: Callable[[str, int], str]
    literal: Callable[[float], str]
    assign: str  # of {0} (the name) and {1} (the expression)


def _number(value: float) -> str:
    return repr(value) if value >= 0 else f"({value!r})"


CUDA = Dialect(
    _CUDA,
    read=lambda kind, k: f"{'dout' if kind == 'd' else kind}[{k}]",
    literal=lambda value: f"{value!r}f" if value >= 0 else f"(-{-value!r}f)",
    assign="const float {0} = {1};",
)
TRITON = Dialect(_TRITON, lambda kind, k: f"{kind}{k}", _number, "{0} = {1}")
TORCH = Dialect(_TORCH, lambda kind, k: f"{kind}{k}", _number, "{0} = {1}")
