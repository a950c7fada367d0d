"""Reduces the schema of MPIJob to the part that launch/mpijob.yaml touches.

  mpijob_schema.py CRD...

CRD: manifests/base/kubeflow.org_mpijobs.yaml of kubeflow/mpi-operator, of one release or several: what
is written is of the first, and the manifest is checked against all of them. Of objects that the manifest
fills in all fields are kept, by name, type and values allowed, so that a field that does not exist is
found; of all other fields only the type. Needs pyyaml and jsonschema.

Writes Tests/Support/mpijob-schema.json.
"""

import json
import pathlib
import sys

import jsonschema
import yaml

HOME = pathlib.Path(__file__).resolve().parent.parent.parent
KEPT = ("type", "enum", "required", "minimum", "maximum", "x-kubernetes-int-or-string")


def schema(path):
    """The schema of version v2beta1, where every object refuses fields that it does not know."""
    versions = yaml.safe_load(pathlib.Path(path).read_text())["spec"]["versions"]
    (version,) = [v for v in versions if v["name"] == "v2beta1"]
    return version["schema"]["openAPIV3Schema"]


def reduced(schema, value):
    """The schema as far as the value goes; None for a value that is only named."""
    kept = {key: schema[key] for key in KEPT if key in schema}
    if isinstance(value, dict) and "properties" in schema:
        kept["properties"] = {
            name: reduced(field, value.get(name)) for name, field in sorted(schema["properties"].items())
        }
    elif isinstance(value, dict) and "additionalProperties" in schema:
        merged = {}
        for each in value.values():
            merged = union(merged, each)
        kept["additionalProperties"] = reduced(schema["additionalProperties"], merged)
    elif isinstance(value, list) and "items" in schema:
        merged = {}
        for each in value:
            merged = union(merged, each)
        kept["items"] = reduced(schema["items"], merged)
    return kept


def union(left, right):
    """A value that goes wherever one of two goes."""
    if isinstance(left, dict) and isinstance(right, dict):
        return {name: union(left.get(name), right.get(name)) for name in {**left, **right}}
    if isinstance(left, list) and isinstance(right, list):
        return left + right
    return left if right is None or right == {} else right


def strict(schema):
    """Kubernetes drops, or with validation refuses, fields that a schema does not know."""
    if isinstance(schema, dict):
        if "properties" in schema and "additionalProperties" not in schema:
            schema["additionalProperties"] = False
        for part in schema.values():
            strict(part)
    elif isinstance(schema, list):
        for part in schema:
            strict(part)
    return schema


manifest = yaml.safe_load((HOME / "launch/mpijob.yaml").read_text())
# metadata is Kubernetes' own: its schema says only that it is an object.
for path in sys.argv[1:]:
    whole = {key: value for key, value in manifest.items() if key != "metadata"}
    checked = strict(schema(path))
    checked["properties"].pop("metadata", None)
    jsonschema.Draft7Validator(checked).validate(whole)
small = reduced(schema(sys.argv[1]), manifest)
target = HOME / "Tests/Support/mpijob-schema.json"
target.write_text(json.dumps(small, indent=1, sort_keys=True) + "\n")
print(f"{target}: {target.stat().st_size} bytes, from {', '.join(sys.argv[1:])}")
