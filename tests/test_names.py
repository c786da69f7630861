"""One name for one thing: what can be searched for by its name is found in one place."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("avdetect", "extractors", "fusion", "temporal", "pipelines")
# Names that several modules may have, and why.
ALLOWED = {
    "Row": "a row of each module's own table, as plain values",
}
# The components of the server's OpenAPI have the names that its users know from schema 1.
SCHEMA = Path("avdetect/server/schema.py")


def public_types(file: Path) -> Iterator[str]:
    """The public classes and type aliases of a module; type variables are none of it."""
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.ClassDef):
            names = [node.name]
        elif isinstance(node, ast.Assign) and not is_variable(node.value):
            names = [t.id for t in node.targets if isinstance(t, ast.Name)]
        else:
            continue
        yield from (n for n in names if n[0].isupper() and not n.isupper())


def is_variable(value: ast.expr) -> bool:
    return isinstance(value, ast.Call) and getattr(value.func, "id", "") == "TypeVar"


def homes() -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for package in PACKAGES:
        for file in sorted((ROOT / package).rglob("*.py")):
            for name in public_types(file) if file.relative_to(ROOT) != SCHEMA else ():
                found[name].append(str(file.relative_to(ROOT)))
    return found


def test_no_two_public_classes_or_type_aliases_share_a_name() -> None:
    shared = {name: files for name, files in homes().items() if len(files) > 1}
    assert {n: f for n, f in shared.items() if n not in ALLOWED} == {}
    assert set(ALLOWED) <= set(shared), "the list names what is unique by now"


def test_the_names_that_every_module_uses_are_found_at_their_homes() -> None:
    found = homes()
    assert found["Array"] == ["extractors/clip.py"]
    assert found["Segment"] == ["temporal/segment.py"]
    assert found["OnStep"] == ["pipelines/progress.py"]
    assert found["Timeline"] == ["pipelines/detection/timelines.py"]
