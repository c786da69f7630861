"""Schema 1 is one: a verdict's JSON, the server's description and a scan's columns agree.

Each of the three is translated by itself into the same small language of types: "string",
"number", "integer", "boolean", [element] and {field: type}.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import torch

from avdetect.server.app import UploadLimits, make_app
from avdetect.server.queue import Queue
from extractors.media import MediaError
from pipelines.detection.detector import Detector, DetectorConfig, save_detector
from pipelines.detection.result import Result
from pipelines.detection.session import load
from pipelines.detection.verdict import error_dict
from pipelines.results.reading import read_results
from pipelines.results.result_set import ResultSet
from pipelines.results.row_schema import FIELDS, TIMELINE_SCHEMA, arrow_type, flat_row
from temporal.experts import ExpertConfig

TINY = ExpertConfig(
    dim=16, appearance=4, lips=(4, 8), flow=(4, 8), depth=(4, 8), mel=(4, 8), voice=(4, 8)
)
OF_THE_SCAN = {"seconds", "tries", "judged_at"}


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory, face_clip: Path) -> Result:
    """The result of a drawn face, by small networks that learnt nothing."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_detector(path, Detector(DetectorConfig(name="tiny", experts=TINY)), {})
    overrides = ["judge.segment_thresholds=[0.2,0.2,0.2]", "judge.uncertain=[0.01,0.02]"]
    return load(path, overrides=overrides).detect(face_clip).to_dict()


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    queue = Queue(tmp_path_factory.mktemp("history"), lambda *_: None, 1.0)  # type: ignore[arg-type,return-value]
    described = make_app(queue, UploadLimits(), None).openapi()
    schemas: dict[str, Any] = described["components"]["schemas"]
    return schemas


def of_description(node: dict[str, Any], schemas: dict[str, Any]) -> Any:
    """Return the type that a JSON schema describes; null is left out."""
    if "$ref" in node:
        return of_description(schemas[node["$ref"].split("/")[-1]], schemas)
    if "anyOf" in node:
        (other,) = [option for option in node["anyOf"] if option.get("type") != "null"]
        return of_description(other, schemas)
    if node["type"] == "array":
        return [of_description(node["items"], schemas)]
    if node["type"] == "object" and "properties" in node:
        assert set(node["required"]) == set(node["properties"])
        return {n: of_description(p, schemas) for n, p in node["properties"].items()}
    return node["type"]


def of_column(kind: pa.DataType) -> Any:
    """Return the type of an Arrow column."""
    if pa.types.is_list(kind):
        return [of_column(kind.value_type)]
    if pa.types.is_struct(kind):
        return {field.name: of_column(field.type) for field in kind}
    return {
        "string": "string",
        "double": "number",
        "float": "number",
        "int64": "integer",
        "bool": "boolean",
    }[str(kind)]


def fits(value: Any, kind: Any) -> bool:
    """Return whether a value has a type, and no field that the type lacks."""
    if value is None:
        return True
    if isinstance(kind, list):
        return isinstance(value, list) and all(fits(v, kind[0]) for v in value)
    if isinstance(kind, dict):
        return set(value) == set(kind) and all(fits(v, kind[n]) for n, v in value.items())
    python = {"string": str, "number": float, "integer": int, "boolean": bool, "object": dict}
    return isinstance(value, python[kind])


def test_the_description_has_every_field_of_a_verdict(
    result: Result, described: dict[str, Any]
) -> None:
    kinds = of_description(described["Result"], described)
    kinds["error"] = "string"  # always null
    assert result["segments"]
    assert result["candidates"]
    assert result["faces"]
    assert fits(json.loads(json.dumps(result)), kinds)
    assert not fits({**result, "score": "0.5"}, kinds)
    failure = error_dict("a.mp4", MediaError("no video"))
    assert fits(failure, of_description(described["Failure"], described))


def test_the_columns_have_every_field_of_the_description(described: dict[str, Any]) -> None:
    kinds = of_description(described["Result"], described)
    timeline = kinds.pop("timeline")
    for name in ("schema", "error", "streams"):
        kinds.pop(name)
    kinds |= {"streams": ["string"], "error_type": "string", "error_message": "string"}
    columns = {n: of_column(kind) for n, kind in FIELDS.items() if n not in OF_THE_SCAN}
    assert columns == kinds
    curves = {f.name: of_column(f.type) for f in TIMELINE_SCHEMA}
    assert curves == {"path": "string", "sha256": "string", **timeline}


def test_a_verdict_comes_back_from_a_scan_with_its_candidates(
    result: Result, tmp_path: Path
) -> None:
    with ResultSet(tmp_path / "scan", {"model": result["model"], "timelines": True}) as results:
        results.add(flat_row(result, {}))
    lines = tmp_path / "results.jsonl"
    lines.write_text(json.dumps(result))
    (ours,), (theirs,) = (list(read_results(p).values()) for p in (lines, tmp_path / "scan"))
    assert len(theirs["candidates"]) == len(result["candidates"]) > 0
    assert (ours.pop("candidates") == theirs.pop("candidates")).all()
    assert ours == theirs


def test_a_type_without_a_column_is_refused() -> None:
    with pytest.raises(TypeError, match="no columns of"):
        arrow_type(dict[str, bool])
