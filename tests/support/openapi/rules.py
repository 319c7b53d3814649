"""Rules that hold an exchange with Stripe, or an object in it, to the document."""

import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl

import httpx
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from tests.support.openapi.document import BEYOND_REQUESTS, ContractError, Json, plain_schema, spec
from tests.support.openapi.document import validator as _validator


@dataclass(slots=True)
class Operation:
    """One method of one path, with the schemas of its parameters and its answers."""

    name: str
    segments: tuple[str, ...]
    raw: Json
    _compiled: dict[str, Draft202012Validator] = field(default_factory=dict)
    _parameters: Json | None = None

    def path_values(self, path: str) -> bool:
        """Return True if this is the operation of a path."""
        given = path.strip("/").split("/")
        return len(given) == len(self.segments) and all(
            wanted.startswith("{") or wanted == one for wanted, one in zip(self.segments, given, strict=True)
        )

    def parameters(self) -> Json:
        """Return the JSON Schema of the form or the query."""
        if self._parameters is None:
            self._parameters = self._read_parameters()
        return self._parameters

    def _read_parameters(self) -> Json:
        content = self.raw.get("requestBody", {}).get("content", {})
        body = content.get("application/x-www-form-urlencoded", {}).get("schema", {})
        properties = dict(body.get("properties", {}))
        required = list(body.get("required", []))
        for parameter in self.raw.get("parameters", []):
            if parameter["in"] == "query":
                properties[parameter["name"]] = parameter["schema"]
                required += [parameter["name"]] if parameter.get("required") else []
        for name, added in BEYOND_REQUESTS.get(self.name, {}).items():
            old = properties[name]
            properties[name] = {**old, "properties": {**old["properties"], **added}}
        return {
            "type": "object",
            "properties": {name: plain_schema(schema) for name, schema in properties.items()},
            "required": required,
            "additionalProperties": False,
        }

    def answer(self, status: int) -> Draft202012Validator:
        """Return the validator of an answer with this status."""
        kind = str(status) if str(status) in self.raw["responses"] else "default"
        if kind not in self._compiled:
            schema = self.raw["responses"][kind]["content"]["application/json"]["schema"]
            self._compiled[kind] = _validator(plain_schema(schema))
        return self._compiled[kind]

    def asked(self) -> Draft202012Validator:
        """Return the validator of the parameters."""
        if "asked" not in self._compiled:
            self._compiled["asked"] = _validator(self.parameters())
        return self._compiled["asked"]


@lru_cache(maxsize=1)
def operations() -> dict[tuple[str, int], list[Operation]]:
    """Return all operations by method and number of path segments, those without placeholders first."""
    found: dict[tuple[str, int], list[Operation]] = {}
    for path, methods in spec()["paths"].items():
        segments = tuple(path.strip("/").split("/"))
        for method, raw in methods.items():
            if method in {"get", "post", "delete"}:
                one = Operation(f"{method.upper()} {path}", segments, raw)
                found.setdefault((method.upper(), len(segments)), []).append(one)
    for candidates in found.values():
        candidates.sort(key=lambda one: one.name.count("{"))
    return found


def operation_for(request: httpx.Request) -> Operation:
    """Return the operation of a request. Raise ContractError if Stripe has none."""
    path = request.url.raw_path.decode("ascii").partition("?")[0]
    for candidate in operations().get((request.method, len(path.strip("/").split("/"))), []):
        if candidate.path_values(path):
            return candidate
    message = f"Stripe has no {request.method} {path}"
    raise ContractError(message)


def form_tree(pairs: list[tuple[str, str]]) -> Json:
    """Return ``a[b][0]=1`` as nested dictionaries, uninterpreted."""
    tree: Json = {}
    for name, value in pairs:
        if not re.fullmatch(r"[^\[\]]+(\[[^\[\]]*\])*", name):
            message = f"{name} is not a parameter name"
            raise ContractError(message)
        at: Json = tree
        *outer, last = re.findall(r"[^\[\]]+|(?<=\[)(?=\])", name)
        for part in outer:
            inner = at.setdefault(part or str(len(at)), {})
            if not isinstance(inner, dict):
                message = f"{name} is sent both as a value and as an object"
                raise ContractError(message)
            at = inner
        at[last or str(len(at))] = value
    return tree


_READ: dict[str, Callable[[str], object]] = {
    "integer": lambda text: int(text) if re.fullmatch(r"-?\d+", text) else text,
    "number": lambda text: float(text) if re.fullmatch(r"-?\d+(\.\d+)?", text) else text,
    "boolean": lambda text: {"true": True, "false": False}.get(text, text),
}


def typed(value: Any, schema: Json) -> Any:  # noqa: ANN401 - any JSON
    """Return a form's strings as their schema says; an unreadable one stays a string and fails validation."""
    if "anyOf" in schema:
        readings = [typed(value, one) for one in schema["anyOf"]]
        fitting = (reading for one, reading in zip(schema["anyOf"], readings, strict=True) if _fits(reading, one))
        return next(fitting, readings[-1])
    if isinstance(value, dict):
        return _typed_inside(value, schema)
    return _READ.get(schema.get("type", ""), str)(value)


def _fits(value: Any, schema: Json) -> bool:  # noqa: ANN401 - any JSON
    return bool(_validator(schema).is_valid(value))


def _typed_inside(value: Json, schema: Json) -> Any:  # noqa: ANN401 - any JSON
    if schema.get("type") == "array":
        if list(value) != [str(place) for place in range(len(value))]:
            return value
        return [typed(inner, schema["items"]) for inner in value.values()]
    known = schema.get("properties", {})
    other = schema.get("additionalProperties")
    rest = other if isinstance(other, dict) else {}
    return {name: typed(inner, known.get(name, rest)) for name, inner in value.items()}


def request_problems(request: httpx.Request) -> list[str]:
    """Return the problems of a request, parameter by parameter."""
    operation = operation_for(request)
    pairs = parse_qsl(request.url.query.decode("ascii"), keep_blank_values=True)
    body = request.read()
    if body:
        sent_as = request.headers.get("Content-Type", "").partition(";")[0]
        if sent_as != "application/x-www-form-urlencoded":
            return [f"{operation.name}: the body is sent as {sent_as!r}"]
        pairs += parse_qsl(body.decode(), keep_blank_values=True, strict_parsing=True)
    schema = operation.parameters()
    asked = typed(form_tree(pairs), schema)
    return [f"{operation.name}: parameter {problem}" for problem in _problems(operation.asked(), asked)]


def response_problems(request: httpx.Request, response: httpx.Response) -> list[str]:
    """Return the problems of an answer, field by field."""
    operation = operation_for(request)
    body = json.loads(response.content)
    found = _problems(operation.answer(response.status_code), body)
    return [f"{operation.name} answered {response.status_code}: {problem}" for problem in found]


def object_problems(shown: Mapping[str, Any]) -> list[str]:
    """Return the problems of a Stripe object in any place, such as inside an event."""
    name = str(shown.get("object"))
    validator = _validator({"$ref": f"stripe:{name}"})
    found = _problems(validator, dict(shown))
    if shown.get("billing_reason") == "upcoming":  # documented to have no id, though the schema requires one
        found = [problem for problem in found if "'id' is a required property" not in problem]
    return [f"{name}: {problem}" for problem in found]


def _problems(validator: Draft202012Validator, value: object) -> list[str]:
    if validator.is_valid(value):
        return []
    return [_line(error) for top in validator.iter_errors(value) for error in _causes(top)]


def _causes(error: ValidationError) -> Iterator[ValidationError]:
    """Yield the most telling errors inside a union: those of the alternative that got deepest."""
    if not error.context:
        yield error
        return
    deepest = max(error.context, key=lambda inner: (len(inner.absolute_path), inner.validator != "type"))
    yield from _causes(deepest)


def _line(error: ValidationError) -> str:
    where = ".".join(str(part) for part in error.absolute_path) or "(top)"
    return f"{where}: {error.message[:300]}"


def validate_exchange(request: httpx.Request, response: httpx.Response) -> None:
    """Raise ContractError unless Stripe's OpenAPI allows both the request and the answer.

    A request that the answer refuses with a 400 may be wrong: tests send wrong ones on purpose.
    """
    found = response_problems(request, response)
    if response.status_code != httpx.codes.BAD_REQUEST:
        found = request_problems(request) + found
    if found:
        raise ContractError("\n".join(found))


def validate_event(event: Mapping[str, Any]) -> None:
    """Raise ContractError unless a webhook's event, and the object in it, are as Stripe's OpenAPI says."""
    found = object_problems(event) + object_problems(event["data"]["object"])
    if found:
        raise ContractError("\n".join(found))


@dataclass
class Checked:
    """A simulator whose every exchange is validated. In process a problem raises; over a socket it is kept."""

    handler: Callable[[httpx.Request], httpx.Response]
    raises: bool = True
    problems: list[str] = field(default_factory=list)
    exchanges: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        response = self.handler(request)
        if not request.url.path.startswith(("/v1/", "/v2/")):
            return response  # a page that a link leads to is none of the API
        try:
            validate_exchange(request, response)
        except ContractError as error:
            with self._lock:
                self.problems.append(str(error))
            if self.raises:
                raise
        with self._lock:
            self.exchanges += 1
        return response
