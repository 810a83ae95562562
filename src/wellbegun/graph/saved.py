"""A graph as JSON-ready data, and back, without a framework: functions are stored once, and operations name them."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, fields
from typing import Any

from wellbegun._arguments import message
from wellbegun.errors import ArgumentError
from wellbegun.graph.function import Function, from_list, to_list
from wellbegun.graph.model import ModelGraph, Operation, Parameter, Use
from wellbegun.graph.reparametrized import Reparametrization
from wellbegun.layout import Layout

FORMAT = 1
Saved = dict[str, Any]


def graph_to_dict(graph: ModelGraph) -> Saved:
    """JSON-ready data. A function that only the framework can evaluate is unknown once it is read back."""
    saved, places = to_list(_functions(graph))

    def place(function: Function | None) -> int | None:
        return None if function is None else places[function.digest]

    return {
        "format": FORMAT,
        "functions": saved,
        "parameters": [_parameter(parameter, place) for parameter in graph.parameters.values()],
        "operations": [_operation(operation, place) for operation in graph.operations],
        "outputs": list(graph.outputs),
        "notes": list(graph.notes),
        "returned": sorted(graph.returned),
    }


def graph_from_dict(data: Mapping[str, Any]) -> ModelGraph:
    """Read back what `graph_to_dict` gave.

    Raises:
        ArgumentError: the format is another one, or something is missing.
    """
    if not isinstance(data, Mapping) or data.get("format") != FORMAT:
        got = data.get("format") if isinstance(data, Mapping) else type(data).__name__
        raise ArgumentError(message("graph", "format", f"{FORMAT}", got))
    try:
        functions = from_list(data["functions"])
        named = [_read_parameter(parameter, functions) for parameter in data["parameters"]]
        operations = tuple(_read(operation, functions) for operation in data["operations"])
        parameters = {parameter.name: parameter for parameter in named}
        outputs, notes, returned = tuple(data["outputs"]), tuple(data["notes"]), frozenset(data.get("returned", ()))
        return ModelGraph(operations, parameters, outputs, notes, returned)
    except (KeyError, TypeError, IndexError, ValueError) as error:
        raise ArgumentError(f"graph: something is missing or unknown in the file ({error}).") from error


def _functions(graph: ModelGraph) -> Iterator[Function]:
    for operation in graph.operations:
        if operation.function is not None:
            yield operation.function
        yield from (use.computed.function for use in operation.uses if use.computed is not None)


def _fields(item: Any) -> Saved:
    """Every field that is not its default."""
    given = {field.name: getattr(item, field.name) for field in fields(item)}
    defaults = {field.name: field.default for field in fields(item)}
    return {name: value for name, value in given.items() if value is not defaults[name] and value != defaults[name]}


def _parameter(parameter: Parameter, place: Callable[[Function | None], int | None]) -> Saved:
    found = _fields(parameter)
    if parameter.own is not None:
        found["own"] = _use(parameter.own, place)
    return found


def _operation(operation: Operation, place: Callable[[Function | None], int | None]) -> Saved:
    found = _fields(operation)
    if operation.function is not None:
        found["function"] = place(operation.function)
    if operation.uses:
        found["uses"] = [_use(use, place) for use in operation.uses]
    return found


def _use(use: Use, place: Callable[[Function | None], int | None]) -> Saved:
    found = _fields(use)
    if use.layout is not None:
        found["layout"] = asdict(use.layout)
    if use.computed is not None:
        own = use.computed
        found["computed"] = [place(own.function), own.shape, own.outputs]
    return found


def _tuples(data: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _tuple(value) for key, value in data.items()}


def _tuple(value: Any) -> Any:
    return tuple(map(_tuple, value)) if isinstance(value, list) else value


def _read_parameter(data: Mapping[str, Any], functions: list[Function]) -> Parameter:
    found = _tuples(data)
    if "own" in data:
        found["own"] = _read_use(data["own"], functions)
    return Parameter(**found)


def _read(data: Mapping[str, Any], functions: list[Function]) -> Operation:
    found = _tuples(data)
    if "function" in data:
        found["function"] = functions[data["function"]]
    found["uses"] = tuple(_read_use(use, functions) for use in data.get("uses", ()))
    return Operation(**found)


def _read_use(data: Mapping[str, Any], functions: list[Function]) -> Use:
    found = _tuples(data)
    if "layout" in data:
        found["layout"] = Layout(**_tuples(data["layout"]))
    if "computed" in data:
        function, shape, outputs = data["computed"]
        found["computed"] = Reparametrization(functions[function], tuple(shape), tuple(outputs))
    return Use(**found)
