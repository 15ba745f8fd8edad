"""Whether a value is as a schema of an OpenAPI 3.1 document says: the part of JSON Schema that ours uses.

    problems(document, schema, value) -> ["$.pools[0].name: not of type string", ...]

A keyword that is not known here is an error, so that no document is taken for checked that is not.
"""

import re

KNOWN = {"$ref", "type", "properties", "required", "additionalProperties", "items", "enum", "minimum", "maximum", "minLength",
         "maxLength", "pattern", "format", "oneOf", "description", "default"}
TYPES = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None)}
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def resolve(document, part):
    """The part that a reference leads to; another part is itself."""
    while "$ref" in part:
        if set(part) - {"$ref", "description"}:
            raise AssertionError(f"a reference with more beside it: {part}")
        target = document
        for name in part["$ref"].removeprefix("#/").split("/"):
            target = target[name]
        part = target
    return part


def is_of_type(value, name):
    if name == "integer":
        return isinstance(value, int) and not isinstance(value, bool)
    if name == "number":
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return isinstance(value, TYPES[name])


def problems(document, schema, value, where="$"):
    """What is wrong with the value, one line each."""
    schema = resolve(document, schema)
    if unknown := set(schema) - KNOWN:
        raise AssertionError(f"keywords that are not checked: {unknown}")
    found = []
    types = schema.get("type", [])
    types = [types] if isinstance(types, str) else types
    if types and not any(is_of_type(value, name) for name in types):
        return [f"{where}: {value!r} is not of type {' or '.join(types)}"]
    if "oneOf" in schema:
        fits = [each for each in schema["oneOf"] if not problems(document, each, value, where)]
        if len(fits) != 1:
            found.append(f"{where}: fits {len(fits)} of its {len(schema['oneOf'])} schemas")
    if "enum" in schema and value not in schema["enum"]:
        found.append(f"{where}: {value!r} is none of {schema['enum']}")
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if value < schema.get("minimum", value) or value > schema.get("maximum", value):
            found.append(f"{where}: {value} is out of range")
    if isinstance(value, str):
        if not schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value)):
            found.append(f"{where}: {len(value)} characters")
        if "pattern" in schema and not re.search(schema["pattern"], value):
            found.append(f"{where}: {value!r} does not match {schema['pattern']}")
        if schema.get("format") == "uuid" and not UUID.fullmatch(value):
            found.append(f"{where}: {value!r} is no UUID")
    if isinstance(value, list) and "items" in schema:
        for index, each in enumerate(value):
            found += problems(document, schema["items"], each, f"{where}[{index}]")
    if isinstance(value, dict):
        known = schema.get("properties", {})
        others = schema.get("additionalProperties", True)
        found += [f"{where}: lacks {name}" for name in schema.get("required", []) if name not in value]
        for name, each in value.items():
            if name in known:
                found += problems(document, known[name], each, f"{where}.{name}")
            elif others is False:
                found.append(f"{where}: has {name}, which is not described")
            elif others is not True:
                found += problems(document, others, each, f"{where}.{name}")
    return found
