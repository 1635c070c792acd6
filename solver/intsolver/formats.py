"""Problems as files: `intcsp-1`, and what Kernel Tuner takes.

`intcsp-1` is JSON: `variables` (a list of `name` and `domain`, integers), `constraints` (texts of
the language, or objects with `text` and `name`), `constraint_names` (optional: a name or null for
each, which is how names are written), `params` (those that
constraints or the objective use are parameters, with integer values; other entries are remarks),
`objective` (`sense`, "max" or "min", and `expr`), `name`. Other keys are remarks.

Kernel Tuner's T1 input (the "FAIR" tuning format) is JSON with `ConfigurationSpace`, which has
`TuningParameters` (`Name`, `Values` as Python text such as "[1, 2, 4]") and `Conditions`
(`Expression`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from intsolver.errors import FormatError, IntsolverError, shown
from intsolver.parse import read
from intsolver.text import to_text
from intsolver.values import read_values

if TYPE_CHECKING:
    from intsolver.problem import Problem

FORMAT = "intcsp-1"
MAX_BYTES = 50_000_000
_WORDS: dict[type, str] = {
    list: "a list",
    str: "text",
    dict: "an object",
    Mapping: "an object",
}


def from_space(make: type[Problem], space: Mapping[str, object] | str | Path) -> Problem:
    """Return the problem of a space; see `Problem.from_space`."""
    content, label = _content(space)
    if content.get("format", FORMAT) != FORMAT:
        raise FormatError(f"{label}: format {shown(content['format'])}, expected {FORMAT!r}")
    problem = make(_field(content, "name", str, label) if "name" in content else label)
    variables = _field(content, "variables", list, label)
    constraints = _field(content, "constraints", list, label)
    try:  # quicker than `_placed`, here and below
        _state(problem, content, variables, constraints)
    except IntsolverError as error:
        raise _at(label, error) from None
    return problem


def _state(
    problem: Problem, content: Mapping[str, Any], variables: list[Any], constraints: list[Any]
) -> None:
    """State what a space says in a problem."""
    for i, variable in enumerate(variables):
        place = f"variables[{i}]"
        if type(variable) is not dict and not isinstance(variable, Mapping):
            raise FormatError(
                f"{place}: expected an object with name and domain, got {shown(variable)}"
            )
        name = _field(variable, "name", str, place)
        domain: list[int] = _field(variable, "domain", list, place)
        try:
            problem.var(name, domain)
        except IntsolverError as error:
            _check_integers(domain, name)
            raise _at(place, error) from None
    texts = _texts(constraints)
    _parameters(problem, content, [text for text, _ in texts])
    names = _names(content, len(texts))
    for i, ((text, own), name) in enumerate(zip(texts, names, strict=True)):
        try:
            problem.add(text, name=name or own)
        except IntsolverError as error:
            raise _at(f"constraints[{i}]", error) from None
    _objective(problem, content)


def to_space(problem: Problem) -> dict[str, object]:
    """Return the problem as a dictionary; see `Problem.to_space`."""
    texts = []
    for named in problem.constraints:
        inlined = problem.inlined(named.node)
        texts.append(named.text if inlined is named.node else to_text(inlined))
    space: dict[str, object] = {
        "format": FORMAT,
        "name": problem.name,
        "variables": [{"name": v.name, "domain": list(v.domain)} for v in problem.variables],
        "constraints": texts,
        "params": problem.params,
    }
    if any(named.name != named.text for named in problem.constraints):
        space["constraint_names"] = [named.name for named in problem.constraints]
    if problem.objective is not None:
        space["objective"] = {"expr": problem.objective[0], "sense": problem.objective[1]}
    return space


def from_kernel_tuner(
    make: type[Problem],
    tune_params: Mapping[str, object] | str | Path,
    restrictions: Iterable[str],
    name: str,
) -> Problem:
    """Return the problem of a tuning space; see `Problem.from_kernel_tuner`."""
    if isinstance(tune_params, str | Path):
        content, label = _content(tune_params)
        return _from_t1(make, content, label)
    if not isinstance(tune_params, Mapping):
        raise FormatError(f"tune_params: expected a dictionary of lists, got {shown(tune_params)}")
    if "ConfigurationSpace" in tune_params:
        return _from_t1(make, tune_params, name)
    if isinstance(restrictions, str):
        restrictions = [restrictions]
    elif not isinstance(restrictions, Iterable):
        raise FormatError(f"restrictions: expected a list of texts, got {shown(restrictions)}")
    problem = make(name)
    for parameter, values in tune_params.items():
        with _placed(f"tune_params[{shown(parameter)}]"):
            problem.var(parameter, _listed(values))
    for i, restriction in enumerate(restrictions):
        with _placed(f"restrictions[{i}]"):
            if not isinstance(restriction, str):
                raise FormatError(
                    f"expected text, got {shown(restriction)}; a function cannot be read"
                )
            problem.add(restriction)
    return problem


def _from_t1(make: type[Problem], content: Mapping[str, Any], label: str) -> Problem:
    space = _field(content, "ConfigurationSpace", Mapping, label)
    general = content.get("General", {})
    kernel = content.get("KernelSpecification", {})
    name = next(
        (
            str(found)
            for part, key in ((kernel, "KernelName"), (general, "BenchmarkName"))
            if isinstance(part, Mapping) and (found := part.get(key))
        ),
        label,
    )
    problem = make(name)
    with _placed(label):
        for i, item in enumerate(_field(space, "TuningParameters", list, "ConfigurationSpace")):
            place = f"TuningParameters[{i}]"
            if not isinstance(item, Mapping):
                raise FormatError(f"{place}: expected an object, got {shown(item)}")
            with _placed(place):
                problem.var(_field(item, "Name", str, place), _t1_values(item, place))
        conditions = space.get("Conditions") or []
        if not isinstance(conditions, list):
            raise FormatError(f"Conditions: expected a list, got {shown(conditions)}")
        for i, item in enumerate(conditions):
            place = f"Conditions[{i}]"
            expression = item.get("Expression") if isinstance(item, Mapping) else item
            if not isinstance(expression, str):
                raise FormatError(f"{place}: expected Expression as text, got {shown(expression)}")
            with _placed(place):
                problem.add(expression)
    return problem


def _t1_values(item: Mapping[str, Any], place: str) -> list[int]:
    if "Values" not in item:
        raise FormatError(f"{place}: no 'Values'; expected text such as '[1, 2, 4]'")
    values = item["Values"]
    return read_values(values.strip()) if isinstance(values, str) else _listed(values)


def _listed(values: object) -> list[int]:
    if isinstance(values, str | bytes | Mapping) or not isinstance(values, Iterable):
        raise FormatError(f"expected a list of integers, got {shown(values)}")
    return list(values)


def _check_integers(domain: list[int], name: str) -> None:
    if not set(map(type, domain)) <= {int}:
        wrong = next(value for value in domain if type(value) is not int)
        raise FormatError(f"domain of {name!r}: expected integers, got {shown(wrong)}")


def _texts(constraints: list[Any]) -> list[tuple[str, str | None]]:
    """Return the texts of constraints, with the names of those that are given as objects."""
    found = []
    for i, item in enumerate(constraints):
        text, name = item, None
        if isinstance(item, Mapping):
            text, name = item.get("text"), item.get("name")
        if not isinstance(text, str) or not (name is None or isinstance(name, str)):
            expected = "expected text, or an object with text and name"
            raise FormatError(f"constraints[{i}]: {expected}, got {shown(item)}")
        found.append((text, name))
    return found


def _names(content: Mapping[str, Any], count: int) -> list[str | None]:
    names = content.get("constraint_names")
    if names is None:
        return [None] * count
    if not isinstance(names, list) or len(names) != count:
        raise FormatError(f"constraint_names: expected {count} names, got {shown(names)}")
    for i, name in enumerate(names):
        if not (name is None or (isinstance(name, str) and name)):
            raise FormatError(f"constraint_names[{i}]: expected a name or null, got {shown(name)}")
    return names


def _parameters(problem: Problem, content: Mapping[str, Any], texts: list[str]) -> None:
    given = content.get("params") or {}
    if not isinstance(given, Mapping):
        raise FormatError(f"params: expected an object, got {shown(given)}")
    if not given:
        return
    variables = {v.name for v in problem.variables}
    possible = {name: value for name, value in given.items() if name not in variables}
    if not possible:
        return
    used: set[str] = set()
    for i, text in enumerate(texts):
        with _placed(f"constraints[{i}]"):
            used.update(read(text)[1])
    objective = content.get("objective")
    if isinstance(objective, Mapping) and isinstance(objective.get("expr"), str):
        with _placed("objective"):
            used.update(read(objective["expr"])[1])
    for name, value in possible.items():
        if name in used:
            if type(value) is not int:
                raise FormatError(f"params[{name!r}]: expected an integer, got {shown(value)}")
            problem.param(name, value)


def _objective(problem: Problem, content: Mapping[str, Any]) -> None:
    objective = content.get("objective")
    if objective is None:
        return
    if not isinstance(objective, Mapping) or not isinstance(objective.get("expr"), str):
        raise FormatError(
            f"objective: expected an object with sense and expr, got {shown(objective)}"
        )
    sense = objective.get("sense", "max")
    if sense not in ("max", "min"):
        raise FormatError(f"objective: sense {shown(sense)}, expected 'max' or 'min'")
    try:
        problem.parse(objective["expr"])
    except IntsolverError as error:
        raise _at("objective", error) from None
    problem.objective = objective["expr"], sense


def _content(space: Mapping[str, object] | str | Path) -> tuple[Mapping[str, Any], str]:
    if isinstance(space, Mapping):
        return space, "space"
    if not isinstance(space, str | Path):
        raise FormatError(f"expected a dictionary or the path of a file, got {shown(space)}")
    path = Path(space)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise FormatError(f"{path}: {path.stat().st_size:,} bytes, at most {MAX_BYTES:,}")
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise FormatError(f"{path}: cannot be read ({error.strerror})") from None
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{path}: not JSON ({error})") from None
    if not isinstance(content, Mapping):
        raise FormatError(f"{path}: expected an object with variables, got {shown(content)}")
    return content, path.name


def _field(content: Mapping[str, Any], key: str, kind: type, place: str) -> Any:
    if key not in content:
        raise FormatError(f"{place}: no {key!r}; expected {_WORDS[kind]}")
    value = content[key]
    if not isinstance(value, kind):
        raise FormatError(f"{place}: {key} is {shown(value)}, expected {_WORDS[kind]}")
    return value


class _placed:  # noqa: N801 - reads as a word in `with`
    """Says at which place of the input an error arose."""

    def __init__(self, place: str) -> None:
        self.place = place

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, IntsolverError):
            raise _at(self.place, error) from None


def _at(place: str, error: IntsolverError) -> FormatError:
    return FormatError(f"{place}: {error}")
