"""Reports on disk: read with a clear word about what is wrong, written whole or not at all."""

from __future__ import annotations

import json
import os
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from jsonschema import Draft202012Validator

from reports.model import LoadReport, Report, ReportError

if TYPE_CHECKING:
    from reports.baseline import Baseline
    from reports.codec import Json

SCHEMAS = {"conformance": "report.schema.json", "load": "load.schema.json"}
FILES = {"conformance": "report.json", "load": "load.json"}
VERSION = "1"


def read_document(path: str | Path) -> tuple[Path, Json]:
    """The file that was read and its valid document. Raises ReportError."""
    where = _file(Path(path))
    try:
        text = where.read_text(encoding="utf-8")
    except OSError as error:
        raise ReportError(f"{where}: unreadable: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ReportError(f"{where}: damaged: byte {error.start} is not UTF-8") from error
    document = _parsed(text, where)
    check_document(document, where)
    return where, document


def check_document(document: Any, where: str | Path) -> None:  # noqa: ANN401 - whatever JSON the file held
    """Raise ReportError unless the document is a report of this version that keeps to its schema."""
    kind = document.get("kind") if isinstance(document, dict) else None
    if not isinstance(kind, str) or kind not in SCHEMAS:
        kinds = " or ".join(SCHEMAS)
        raise ReportError(f"{where}: foreign: kind is {kind!r}, expected {kinds}; not a report of this tool")
    version = document.get("schema_version")
    if version != VERSION:
        raise ReportError(f"{where}: schema_version is {version!r}, this tool reads {VERSION!r} only")
    problem = next(iter(validator(kind).iter_errors(document)), None)
    if problem is not None:
        raise ReportError(f"{where}: foreign: {problem.json_path[2:] or 'top level'}: {_short(problem.message)}")


@cache
def validator(kind: str) -> Draft202012Validator:
    """The published schema of that kind of report, ready to validate."""
    text = Path(__file__).with_name(SCHEMAS[kind]).read_text(encoding="utf-8")
    return Draft202012Validator(json.loads(text))


def write_all(
    report: Report | LoadReport, directory: str | Path, *, secrets: tuple[str, ...], baseline: Baseline | None
) -> Path:
    """Write report.json or load.json first, then its renderings. Raises ReportError where it cannot."""
    from reports.redact import redacted
    from reports.render import renderings

    report = redacted(report, secrets)
    document = report.to_json()
    folder = Path(directory)
    path = folder / FILES[document["kind"]]
    check_document(document, path)
    text = _dumped(document, path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(path, text)
        for name, text in renderings(report, baseline).items():
            write_atomically(folder / name, text)
    except OSError as error:
        raise ReportError(f"{error.filename or folder}: cannot be written: {error.strerror or error}") from error
    return path


def write_atomically(path: Path, text: str) -> None:
    """Replace the file in one step: readers see the old text or the new one, whatever happens in between."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(text.encode("utf-8", "backslashreplace"))
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _dumped(document: Json, path: Path) -> str:
    """The document as JSON text, one requirement, check or exchange a line. Raises ReportError for infinity and NaN."""
    try:
        parts = [f"{json.dumps(key)}: {_block(value)}" for key, value in document.items()]
    except ValueError as error:
        raise ReportError(f"{path}: cannot be written: {error}") from error
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _file(path: Path) -> Path:
    if not path.is_dir():
        return path
    candidates = [path / name for name in FILES.values()]
    return next((c for c in candidates if c.exists()), candidates[0])


def _parsed(text: str, where: Path) -> Any:  # noqa: ANN401 - any JSON value
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        word = "truncated: the JSON ends in the middle" if _ended(error) else f"damaged: not JSON ({error.msg})"
        raise ReportError(f"{where}: {word}, line {error.lineno} column {error.colno}") from error
    except (ValueError, RecursionError) as error:
        raise ReportError(f"{where}: damaged: {error}") from error


def _ended(error: json.JSONDecodeError) -> bool:
    """Whether more text could have made it JSON: it ends within a string, an escape, a literal or a number."""
    rest = error.doc[error.pos :].strip()
    in_token = any(whole.startswith(rest) for whole in ("true", "false", "null", "-"))
    in_escape = "escape" in error.msg and len(rest) < len(r"\u1234")
    return in_token or in_escape or error.msg.startswith("Unterminated string")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _short(text: str, limit: int = 300) -> str:
    return text if len(text) <= limit else f"{text[:limit]}... ({len(text)} characters)"


def _block(value: Any) -> str:  # noqa: ANN401 - any JSON value
    if not isinstance(value, list) or not value:
        return _line(value)
    return "[\n" + ",\n".join(_line(item) for item in value) + "\n]"


def _line(value: Any) -> str:  # noqa: ANN401 - any JSON value
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
