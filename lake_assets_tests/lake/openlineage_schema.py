"""The part of OpenLineage that we write, as JSON Schema: written after its specification.

RunEvent of https://openlineage.io/spec/2-0-2/OpenLineage.json and the facets by their versions,
required fields and types as there. Stricter in one thing: what the specification does not name is
refused, so that a misspelt field does not pass for a custom one.
"""

from typing import Any

from jsonschema import Draft202012Validator

SPEC = "https://openlineage.io/spec"
_TEXT = {"type": "string", "minLength": 1}
_COUNT = {"type": "integer", "minimum": 0}
_URI = {"type": "string", "format": "uri", "pattern": "^https://"}


def _object(required: dict[str, Any], optional: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": required | (optional or {}),
        "required": sorted(required),
        "additionalProperties": False,
    }


def _facet(
    name: str, version: str, required: dict[str, Any], optional: dict[str, Any] | None = None
) -> dict[str, Any]:
    url = {"const": f"{SPEC}/facets/{version}/{name}.json#/$defs/{name}"}
    return _object({"_producer": _URI, "_schemaURL": url} | required, optional)


def _facets(**known: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": known, "additionalProperties": False}


_FIELD = _object(
    {"name": _TEXT},
    {
        "type": _TEXT,
        "description": _TEXT,
        "ordinal_position": {"type": "integer", "minimum": 1},
        "fields": {"type": "array", "items": {"$ref": "#/$defs/Field"}},
    },
)
_TRANSFORMATION = _object(
    {"type": {"enum": ["DIRECT", "INDIRECT"]}},
    {"subtype": _TEXT, "description": {"type": "string"}, "masking": {"type": "boolean"}},
)
_INPUT_FIELD = _object(
    {"namespace": _TEXT, "name": _TEXT, "field": _TEXT},
    {"transformations": {"type": "array", "items": _TRANSFORMATION}},
)
_STATISTICS = {"rowCount": _COUNT, "size": _COUNT, "fileCount": _COUNT}
_DATASET_FACETS = _facets(
    schema=_facet(
        "SchemaDatasetFacet",
        "1-2-0",
        {},
        {"fields": {"type": "array", "items": {"$ref": "#/$defs/Field"}}},
    ),
    version=_facet("DatasetVersionDatasetFacet", "1-0-1", {"datasetVersion": _TEXT}),
    columnLineage=_facet(
        "ColumnLineageDatasetFacet",
        "1-2-0",
        {
            "fields": {
                "type": "object",
                "additionalProperties": _object(
                    {"inputFields": {"type": "array", "items": _INPUT_FIELD}}
                ),
            }
        },
        {"dataset": {"type": "array", "items": _INPUT_FIELD}},
    ),
)
_DATASET = {"namespace": _TEXT, "name": _TEXT}
_INPUT = _object(
    _DATASET,
    {
        "facets": _DATASET_FACETS,
        "inputFacets": _facets(
            inputStatistics=_facet("InputStatisticsInputDatasetFacet", "1-0-0", {}, _STATISTICS)
        ),
    },
)
_OUTPUT = _object(
    _DATASET,
    {
        "facets": _DATASET_FACETS,
        "outputFacets": _facets(
            outputStatistics=_facet("OutputStatisticsOutputDatasetFacet", "1-0-2", {}, _STATISTICS)
        ),
    },
)
RUN_EVENT: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "$defs": {"Field": _FIELD},
    **_object(
        {
            "eventTime": {"type": "string", "format": "date-time"},
            "producer": _URI,
            "schemaURL": {"const": f"{SPEC}/2-0-2/OpenLineage.json#/$defs/RunEvent"},
            "run": _object({"runId": {"type": "string", "format": "uuid"}}),
            "job": _object({"namespace": _TEXT, "name": _TEXT}),
        },
        {
            "eventType": {"enum": ["START", "RUNNING", "COMPLETE", "ABORT", "FAIL", "OTHER"]},
            "inputs": {"type": "array", "items": _INPUT},
            "outputs": {"type": "array", "items": _OUTPUT},
        },
    ),
}
Draft202012Validator.check_schema(RUN_EVENT)
VALIDATOR = Draft202012Validator(RUN_EVENT, format_checker=Draft202012Validator.FORMAT_CHECKER)
