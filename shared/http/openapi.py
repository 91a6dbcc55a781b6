"""The OpenAPI document beyond what FastAPI knows: who may call, what any operation may answer, which headers come."""

from typing import Any

from shared.http.errors import describe_answer, error_schemas
from shared.http.principal import USER_HEADER

UNUSED_SCHEMAS = (
    "HTTPValidationError",
    "ValidationError",
)  # FastAPI's own error form; ours is ErrorEnvelope
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
        "description": "For which user a service acts: 1 to 128 characters out of A-Z a-z 0-9 . _ ~ @ | -",
    },
}
OF_A_USER: list[dict[str, list[str]]] = [
    {"bearer": []},  # a person
    {"bearer": [], "user": []},  # an app with the role Memory.ActOnBehalf
    {"function_key": [], "user": []},  # AUTH_MODE=key
    {"user": []},  # AUTH_MODE=local
]
OF_AN_OPERATOR: list[dict[str, list[str]]] = [{"function_key": []}, {}]  # on a laptop without
OPEN = "read_health"
WITH_ETAG = {
    "read_session", "update_session", "consolidate_now",
    "read_preferences", "replace_preferences", "update_preferences",
}  # fmt: skip
HEADERS = {
    "x-ms-request-id": "Names this request in the logs",
    "ETag": "Of the content, for If-Match",
    "x-ms-error-code": "The code of the error, as in the body",
    "Retry-After": "Seconds after which to send the same request again",
}
Document = dict[str, Any]


def complete(document: Document) -> None:
    """Add what FastAPI does not know, take away what never leaves this application."""
    components = document["components"]
    components["securitySchemes"] = SECURITY_SCHEMES
    components["headers"] = {
        name: {"description": text, "schema": {"type": "string"}} for name, text in HEADERS.items()
    }
    schemas = {
        name: one for name, one in components["schemas"].items() if name not in UNUSED_SCHEMAS
    }
    components["schemas"] = dict(sorted((schemas | error_schemas()).items()))
    for item in document["paths"].values():
        for operation in item.values():
            _complete_operation(operation)


def _complete_operation(operation: Document) -> None:
    operation["security"] = _security(operation)
    responses = operation["responses"]
    _drop_default_422(responses)
    responses["500"] = describe_answer("internal_error")
    for status, response in responses.items():
        response["headers"] = {
            name: {"$ref": f"#/components/headers/{name}"} for name in _headers(operation, status)
        }


def _security(operation: Document) -> list[dict[str, list[str]]]:
    if operation["operationId"] == OPEN:
        return []
    return OF_AN_OPERATOR if "service" in operation["tags"] else OF_A_USER


def _headers(operation: Document, status: str) -> list[str]:
    if status < "400" or operation["operationId"] == "read_readiness":
        return ["x-ms-request-id"] + (["ETag"] if operation["operationId"] in WITH_ETAG else [])
    return ["x-ms-request-id", "x-ms-error-code"] + (
        ["Retry-After"] if status in {"409", "503"} else []
    )


def _drop_default_422(responses: Document) -> None:
    schema = (
        responses.get("422", {}).get("content", {}).get("application/json", {}).get("schema", {})
    )
    if schema.get("$ref", "").endswith("/HTTPValidationError"):
        del responses["422"]
