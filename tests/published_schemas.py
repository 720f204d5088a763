"""The schemas that the formats of our renderings publish, out of the packages that ship them; none lies in this repository.

They come from the folder that SCHEMAS names, where a call put them before, or else are fetched for this run:
`npm pack` brings those of CTRF, HAR and SARIF, pip the source of pytest, among whose own examples is Jenkins' XSD of JUnit.
Where neither is to be had, the tests that need one are skipped, and say what was missing.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from jsonschema.validators import validator_for
from referencing import Registry, Resource

CTRF, HAR, SARIF, PYTEST = "ctrf@0.3.0", "har-schema@2.0.0", "@microsoft/jest-sarif@1.0.0-beta.0", "pytest==9.0.2"
FETCH = {
    CTRF: ("npm", "pack", "--silent", "--fetch-retries=0"),
    HAR: ("npm", "pack", "--silent", "--fetch-retries=0"),
    SARIF: ("npm", "pack", "--silent", "--fetch-retries=0"),
    PYTEST: (sys.executable, "-m", "pip", "download", "-q", "--retries=0", "--no-deps", "--no-binary=pytest"),
}
SECONDS = 120


class Schemas:
    """What is known of each format, read from its package when first asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.known: dict[str, Any] = {}

    def ctrf(self) -> Any:  # noqa: ANN401 - a jsonschema validator
        """The validator of CTRF."""
        (schema,) = self._json(CTRF, "package/dist/ctrf-schema-", ".json")
        return validator_for(schema, Draft202012Validator)(schema)

    def har(self) -> Any:  # noqa: ANN401 - a jsonschema validator
        """The validator of HAR 1.2, whose parts lie in files of their own."""
        schemas = self._json(HAR, "package/lib/", ".json")
        registry: Registry[Any] = Registry()
        for schema in schemas:
            registry = registry.with_resource(schema["$id"], Resource.from_contents(schema))
        (whole,) = [schema for schema in schemas if schema["$id"] == "har.json#"]
        return validator_for(whole)(whole, registry=registry)

    def sarif(self) -> Any:  # noqa: ANN401 - a jsonschema validator
        """The validator of SARIF 2.1.0."""
        (schema,) = self._json(SARIF, "package/lib/schemas/sarif-2.1.0", ".json")
        return validator_for(schema)(schema)

    def junit(self) -> Any:  # noqa: ANN401 - an xmlschema.XMLSchema
        """The validator of JUnit as Jenkins' xunit plugin reads it."""
        xmlschema = pytest.importorskip("xmlschema", reason="needs xmlschema: pip install xmlschema")
        (text,) = self._texts(PYTEST, f"pytest-{PYTEST.partition('==')[2]}/testing/example_scripts/junit-10.xsd", "")
        return xmlschema.XMLSchema(text)

    def _json(self, package: str, start: str, end: str) -> list[Any]:
        return [json.loads(text) for text in self._texts(package, start, end)]

    def _texts(self, package: str, start: str, end: str) -> list[str]:
        """The files of a package whose names begin and end so."""
        with tarfile.open(self._archive(package)) as archive:
            files = [archive.extractfile(name) for name in sorted(archive.getnames()) if _between(name, start, end)]
            return [file.read().decode("utf-8") for file in files if file is not None]

    def _archive(self, package: str) -> Path:
        place = self.folder / package.replace("/", "+")
        if not any(place.glob("*.t*gz")):
            place.mkdir(parents=True, exist_ok=True)
            self._fetch(package, place)
        return next(place.glob("*.t*gz"))

    def _fetch(self, package: str, place: Path) -> None:
        command = FETCH[package]
        if shutil.which(command[0]) is None:
            pytest.skip(f"the schema of {package} needs {command[0]}, which is not installed")
        try:
            done = subprocess.run(
                [*command, package], cwd=place, capture_output=True, text=True, timeout=SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            pytest.skip(f"the schema of {package} did not come within {SECONDS} s")
        if done.returncode or not any(place.glob("*.t*gz")):
            pytest.skip(f"the schema of {package} could not be fetched: {(done.stderr or done.stdout).strip()[-200:]}")

    def __getitem__(self, kind: str) -> Any:  # noqa: ANN401 - a validator of the format
        if kind not in self.known:
            self.known[kind] = getattr(self, kind)()
        return self.known[kind]


def _between(name: str, start: str, end: str) -> bool:
    return name.startswith(start) and name.endswith(end)


def place(spare: Path) -> Path:
    """Where the packages lie: the folder that SCHEMAS names, or the spare one."""
    return Path(os.environ.get("SCHEMAS") or spare)


def complaints(schema: Any, text: str) -> list[str]:  # noqa: ANN401 - a validator of either kind
    """What the schema says against a document, in sentences."""
    if hasattr(schema, "iter_errors") and text.startswith("<?xml"):
        return [f"{error.path}: {error.reason}" for error in schema.iter_errors(text)]
    return [f"{error.json_path}: {error.message}" for error in schema.iter_errors(json.loads(text))]
