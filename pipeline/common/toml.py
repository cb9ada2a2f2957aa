"""Write a profile as TOML."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def to_toml(table: Mapping[str, Any], prefix: str = "") -> str:
    """Write a profile as TOML: one line per value, with its dotted key."""
    lines = []
    for key, value in table.items():
        name = f"{prefix}{json.dumps(key)}"
        lines.append(
            to_toml(value, f"{name}.") if isinstance(value, dict) else f"{name} = {to_toml_value(value)}\n"
        )
    return "".join(lines)


def to_toml_value(value: Any) -> str:
    """Write one value: tables in lists are inline, numbers and words as in JSON."""
    if isinstance(value, dict):
        return (
            "{" + ", ".join(f"{json.dumps(key)} = {to_toml_value(item)}" for key, item in value.items()) + "}"
        )
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(to_toml_value, value)) + "]"
    return json.dumps(value, ensure_ascii=False)
