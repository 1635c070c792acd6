"""The solvers that are compared: each states a problem file in its own terms and solves it.

Every task starts from the parsed JSON, so that building the model is part of what is timed.

- ``all``      the full listing, rows or columns, all in memory when the clock stops
- ``count``    the number of solutions, listed or not
- ``first``    one solution
- ``optimum``  the best value of the file's objective

and for this project's solver, on the recurrent kernel problems, whose limits become parameters:

- ``resolve``  the set again after moving one limit, each time from a solver that is warm
- ``explain``  why nothing fits, asked of a fresh problem after one limit or pin was moved

Contenders evaluate constraint text as Python, as their users do: run them on files you trust.
"""

# ruff: noqa: PLC0415 - a process imports its own contender alone
# ruff: noqa: D102 - the tasks are described above

from __future__ import annotations

import ast
import gc
import statistics
import sys
import time
from abc import ABC
from typing import Any

from rnn_limits import infeasible, parametrised, slider_moves

Space = dict[str, Any]
_MOST_CELLS = 100_000_000  # in one table of ours; a larger listing is columns


class Contender(ABC):
    """A solver; a task it does not have is not asked of it."""

    name: str
    tasks: tuple[str, ...]

    def forget(self) -> None:  # noqa: B027 - most remember nothing
        """Drop what earlier solves left behind, so that the next one is cold."""

    @classmethod
    def may(cls, task: str, space: Space) -> bool:
        """Say whether `task` makes sense on `space` here."""
        return task in cls.tasks and (task != "optimum" or bool(space.get("objective")))

    def run(self, task: str, space: Space) -> Any:
        """Do one task."""
        return getattr(self, f"do_{task}")(space)


class Intsolver(Contender):
    """The solver of this project."""

    name = "intsolver"
    tasks = ("count", "all", "first", "optimum", "resolve", "explain")

    def __init__(self) -> None:
        import intsolver

        self._problem = intsolver.Problem.from_space

    def forget(self) -> None:
        for name, module in list(sys.modules.items()):
            if name.partition(".")[0] != "intsolver":
                continue
            for thing in list(vars(module).values()):
                clear = getattr(thing, "cache_clear", None)
                if callable(clear):
                    clear()

    @classmethod
    def may(cls, task: str, space: Space) -> bool:
        limits = task in ("resolve", "explain")
        return super().may(task, space) and (not limits or parametrised(space) is not None)

    def do_all(self, space: Space) -> int:
        found = self._problem(space).solve()
        if found.count * len(found.names) <= _MOST_CELLS:
            return len(found.to_numpy())
        columns = [found.column(name) for name in found.names]  # int64, all in memory at once
        return len(columns[0])

    def do_count(self, space: Space) -> int:
        return self._problem(space).count()

    def do_first(self, space: Space) -> dict[str, int] | None:
        return dict(self._problem(space).first())

    def do_optimum(self, space: Space) -> int:
        problem, objective = self._problem(space), space["objective"]
        best = problem.maximize if objective["sense"] == "max" else problem.minimize
        return int(best(objective["expr"]).value)

    def do_resolve(self, space: Space) -> dict[str, Any]:
        stated = parametrised(space)
        assert stated is not None
        problem = self._problem(stated)
        problem.solve()
        moves = []
        for change in slider_moves(stated):
            wall, cpu = time.perf_counter(), time.process_time()
            found = problem.solve(**change)
            count = found.count
            done, wall = time.process_time(), time.perf_counter() - wall
            rows = len(found.to_numpy())
            listing = time.process_time() - cpu
            moves.append({**change, "cpu": done - cpu, "wall": wall, "listed_cpu": listing})
            moves[-1]["count"] = count if rows == count else -1
        for move in moves:  # what a solver that knows nothing yet says
            params = {**stated["params"], **{k: move[k] for k in stated["params"] if k in move}}
            move["right"] = self._problem({**stated, "params": params}).count() == move["count"]
        return {"moves": moves}

    def do_explain(self, space: Space) -> dict[str, Any]:
        stated = parametrised(space)
        assert stated is not None
        presses = []
        for change in infeasible(stated):
            cpus = []
            for _ in range(3):  # a fresh problem each time, which has been solved once
                self.forget()
                problem = self._problem(stated)
                problem.solve()
                gc.collect()
                cpu = time.process_time()
                explanation = problem.explain(**change)
                cpus.append(time.process_time() - cpu)
            press = {"change": change, "cpu": statistics.median(cpus), "core": explanation.core}
            presses.append({**press, "right": self._resolves(stated, explanation, change)})
        return {"presses": presses, "cpu": max(press["cpu"] for press in presses)}

    def _resolves(self, stated: Space, explanation: Any, moved: dict[str, int]) -> bool:
        """Say whether there is a conflict, and each change of a parameter leaves a solution."""
        changes = [
            {**moved, change.parameter: change.value}
            for change in explanation.relaxations
            if change.parameter in stated["params"]
        ]
        problem = self._problem(stated)
        return bool(explanation.core) and all(problem.count(**change) for change in changes)


class PythonConstraint(Contender):
    """python-constraint2 with its optimised backtracking and string constraints."""

    name = "python-constraint2"
    tasks = ("all", "first")

    def __init__(self) -> None:
        import constraint

        self._new = constraint.Problem

    def _build(self, space: Space) -> Any:
        problem = self._new()
        for variable in space["variables"]:
            problem.addVariable(variable["name"], variable["domain"])
        for text in space["constraints"]:
            problem.addConstraint(text)
        return problem

    def do_all(self, space: Space) -> int:
        return len(self._build(space).getSolutions())

    def do_first(self, space: Space) -> dict[str, int] | None:
        found = self._build(space).getSolution()
        return None if found is None else dict(found)


class KernelTuner(Contender):
    """Kernel Tuner's search space construction, its implicit block size limit switched off."""

    name = "kernel_tuner"
    tasks = ("all",)

    def __init__(self) -> None:
        from kernel_tuner.searchspace import Searchspace

        self._new = Searchspace

    def do_all(self, space: Space) -> int:
        parameters = {v["name"]: v["domain"] for v in space["variables"]}
        restrictions = list(space["constraints"])
        return int(self._new(parameters, restrictions, 2**62, block_size_names=[]).size)


class PyAtf(Contender):
    """pyATF's chain of trees; each constraint guards the last of its variables."""

    name = "pyatf"
    tasks = ("count",)

    def __init__(self) -> None:
        import pyatf
        from pyatf.search_space import SearchSpace

        self._tp, self._set, self._new = pyatf.TP, pyatf.Set, SearchSpace

    def do_count(self, space: Space) -> int:
        guards = _by_last_variable(space)
        parameters = [
            self._tp(v["name"], self._set(*v["domain"]), guards.get(v["name"]))
            for v in space["variables"]
        ]
        return int(self._new(*parameters, verbosity=0).constrained_size)


class CpSat(Contender):
    """OR-Tools' CP-SAT with one worker; lists solutions only of classic puzzles."""

    name = "cp-sat"
    tasks = ("all", "first", "optimum")

    def __init__(self) -> None:
        from cpsat_model import Model
        from ortools.sat.python import cp_model

        self._model, self._cp = Model, cp_model

    @classmethod
    def may(cls, task: str, space: Space) -> bool:
        puzzle = space.get("family") == "classic"
        return super().may(task, space) and (task != "all" or puzzle)

    def _solver(self) -> Any:
        solver = self._cp.CpSolver()
        solver.parameters.num_workers = 1
        return solver

    def do_all(self, space: Space) -> int:
        built, solver = self._model(space), self._solver()
        solver.parameters.enumerate_all_solutions = True
        return len(_collected(self._cp, solver, built))

    def do_first(self, space: Space) -> dict[str, int] | None:
        built, solver = self._model(space), self._solver()
        if solver.solve(built.model) not in (self._cp.OPTIMAL, self._cp.FEASIBLE):
            return None
        return {name: solver.value(variable) for name, variable in built.variables.items()}

    def do_optimum(self, space: Space) -> int:
        built, solver, objective = self._model(space), self._solver(), space["objective"]
        built.objective(objective["expr"], maximize=objective["sense"] == "max")
        if solver.solve(built.model) != self._cp.OPTIMAL:
            raise RuntimeError("CP-SAT proved no optimum")
        return round(solver.objective_value)


def _collected(cp_model: Any, solver: Any, built: Any) -> set[tuple[int, ...]]:
    """Return every solution that CP-SAT reports."""
    found: set[tuple[int, ...]] = set()
    variables = list(built.variables.values())

    class Keep(cp_model.CpSolverSolutionCallback):  # type: ignore[name-defined, misc]
        def on_solution_callback(self) -> None:
            found.add(tuple(self.value(variable) for variable in variables))

    solver.solve(built.model, Keep())
    return found


def _by_last_variable(space: Space) -> dict[str, Any]:
    """Return, by variable, one function of all constraints whose last variable it is."""
    order = {v["name"]: place for place, v in enumerate(space["variables"])}
    texts: dict[str, list[str]] = {}
    names: dict[str, set[str]] = {}
    for text in space["constraints"]:
        used = {n.id for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Name)} & set(order)
        last = max(used, key=order.__getitem__)
        texts.setdefault(last, []).append(f"({text})")
        names.setdefault(last, set()).update(used)
    return {
        last: eval(  # noqa: S307 - what pyATF's users write as a lambda
            f"lambda {', '.join(sorted(names[last]))}: {' and '.join(texts[last])}"
        )
        for last in texts
    }


ALL: dict[str, type[Contender]] = {
    kind.name: kind for kind in (Intsolver, PythonConstraint, KernelTuner, PyAtf, CpSat)
}
