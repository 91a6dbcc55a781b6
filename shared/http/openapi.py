"""The OpenAPI document beyond what FastAPI knows: who may call, which headers, which errors."""

from copy import deepcopy
from typing import Any

from shared.http.errors import describe_answer, error_schemas
from shared.http.principal import USER_HEADER
from shared.settings import AuthMode

UNUSED_SCHEMAS = ("HTTPValidationError", "ValidationError")  # FastAPI's own error form
SECURITY_SCHEMES = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "AUTH_MODE=entra: a Microsoft Entra ID access token for this API",
    },
    "function_key": {
        "type": "apiKey",
        "in": "header",
        "name": "x-functions-key",
        "description": "Checked by the platform, whose 401 has no body",
    },
    "user": {
        "type": "apiKey",
        "in": "header",
        "name": USER_HEADER,
        "description": "The user that a service acts for: 1 to 128 characters of A-Z a-z 0-9 "
        ". _ ~ @ | : + ' = ; % -; percent-encode any others (they are not decoded)",
    },
}
PERSON: dict[str, list[str]] = {"bearer": []}
APP: dict[str, list[str]] = {"bearer": [], "user": []}  # with the role Memory.ActOnBehalf
KEY_HOLDER: dict[str, list[str]] = {"function_key": [], "user": []}
LAPTOP: dict[str, list[str]] = {"user": []}
OPERATOR: dict[str, list[str]] = {"function_key": []}
USER_SECURITY = [PERSON, APP, KEY_HOLDER, LAPTOP]
OPERATOR_SECURITY: list[dict[str, list[str]]] = [OPERATOR, {}]  # a laptop asks for nothing
SECURITY_BY_MODE = {
    AuthMode.ENTRA: (PERSON, APP, OPERATOR),
    AuthMode.KEY: (KEY_HOLDER, OPERATOR),
    AuthMode.LOCAL: (LAPTOP, {}),
}
OPEN = "read_health"
WITH_ETAG = {
    "read_session", "update_session", "consolidate_now",
    "read_preferences", "replace_preferences", "update_preferences",
}  # fmt: skip
HEADERS = {
    "x-ms-request-id": "Identifies this request in the logs",
    "ETag": "The version of the content, for If-Match",
    "x-ms-error-code": "The code of the error, as in the body",
    "Retry-After": "Seconds after which to send the same request again",
}
Document = dict[str, Any]


def complete(document: Document) -> None:
    """Add what FastAPI does not know, and remove what never leaves this application."""
    components = document["components"]
    components["securitySchemes"] = SECURITY_SCHEMES
    components["headers"] = {
        name: {"description": text, "schema": {"type": "string"}} for name, text in HEADERS.items()
    }
    schemas = {
        name: schema for name, schema in components["schemas"].items() if name not in UNUSED_SCHEMAS
    }
    components["schemas"] = dict(sorted((schemas | error_schemas()).items()))
    for operation in _operations(document):
        _complete_operation(operation)


def for_mode(document: Document, mode: AuthMode) -> Document:
    """The document with only the security schemes that this deployment checks."""
    served = deepcopy(document)
    used: set[str] = set()
    for operation in _operations(served):
        applying = [one for one in operation["security"] if one in SECURITY_BY_MODE[mode]]
        operation["security"] = [one for one in applying if one]
        used.update(name for one in applying for name in one)
    schemes = served["components"]["securitySchemes"]
    served["components"]["securitySchemes"] = {
        name: scheme for name, scheme in schemes.items() if name in used
    }
    return served


def _operations(document: Document) -> list[Document]:
    return [operation for item in document["paths"].values() for operation in item.values()]


def _complete_operation(operation: Document) -> None:
    operation["security"] = _security(operation)
    responses = operation["responses"]
    _drop_default_422(responses)
    responses["500"] = describe_answer("internal_error")
    for status, response in responses.items():
        names = _headers(operation, status)
        response["headers"] = {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _security(operation: Document) -> list[dict[str, list[str]]]:
    if operation["operationId"] == OPEN:
        return []
    return OPERATOR_SECURITY if "service" in operation["tags"] else USER_SECURITY


def _headers(operation: Document, status: str) -> list[str]:
    name = operation["operationId"]
    if status < "400" or name == "read_readiness":
        return ["x-ms-request-id", *(["ETag"] if name in WITH_ETAG else [])]
    retry = ["Retry-After"] if status in {"409", "503"} else []
    return ["x-ms-request-id", "x-ms-error-code", *retry]


def _drop_default_422(responses: Document) -> None:
    content = responses.get("422", {}).get("content", {})
    schema = content.get("application/json", {}).get("schema", {})
    if schema.get("$ref", "").endswith("/HTTPValidationError"):
        del responses["422"]
