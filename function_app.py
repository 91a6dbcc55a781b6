"""The functions of the app, one per operation, without logic.

HTTP functions dispatch to the FastAPI application in shared/http.
"""

import gc
import threading

# Until the prefetch is done: imports create no garbage, and collecting takes a fifth of a cold
# start.
gc.disable()

import azure.functions as func
from azurefunctions.extensions.http.fastapi import Request, Response

from shared.http.auth_levels import operator_level, user_level
from shared.http.bridge import dispatch
from shared.http.late_app import LateApp
from shared.settings import load_settings

settings = load_settings()
late = LateApp(settings)
api = late.serve
OPERATOR = operator_level(settings)
SCHEDULE = settings.summarise_schedule
app = func.FunctionApp(http_auth_level=user_level(settings))


@app.route(route="chat", methods=["POST"])
async def chat(req: Request, context: func.Context) -> Response:
    """Answer one turn."""
    return await dispatch(api, req, context.invocation_id)


@app.route(route="context", methods=["POST"])
async def preview_context(req: Request, context: func.Context) -> Response:
    """Preview the context of a message."""
    return await dispatch(api, req, context.invocation_id)


@app.route(route="sessions", methods=["GET"])
async def list_sessions(req: Request, context: func.Context) -> Response:
    """List the user's sessions."""
    return await dispatch(api, req, context.invocation_id)


@app.route(route="sessions/{session_id}", methods=["GET"])
async def read_session(req: Request, context: func.Context) -> Response:
    """Read a session."""
    return await dispatch(api, req, context.invocation_id)


@app.route(route="sessions/{session_id}", methods=["PATCH"])
async def update_session(req: Request, context: func.Context) -> Response:
    """Change a session."""
    return await dispatch(api, req, context.invocation_id)


@app.route(route="sessions/{session_id}", methods=["DELETE"])
async def delete_session(req: Request, context: func.Context) -> Response:
    """Delete a session."""
    return await dispatch(api, req, context.invocation_id)


@app.route(route="sessions/{session_id}/consolidate", methods=["POST"])
async def consolidate_now(req: Request, context: func.Context) -> Response:
    """Summarise a session now."""
    return await dispatch(api, req, context.invocation_id)


@app.route(route="sessions/{session_id}/turns", methods=["GET"])
async def list_turns(req: Request, context: func.Context) -> Response:
    """List the turns of a session."""
    return await dispatch(api, req, context.invocation_id)


@app.route(route="sessions/{session_id}/turns/{turn_id}", methods=["PUT"])
async def put_turn(req: Request, context: func.Context) -> Response:
    """Record a turn that was answered elsewhere."""
    return await dispatch(api, req, context.invocation_id)


@app.route(route="sessions/{session_id}/data", methods=["GET"])
async def list_data(req: Request, context: func.Context) -> Response:
    """List session data."""
    return await dispatch(api, req, context.invocation_id)


@app.route(route="sessions/{session_id}/data/{name}", methods=["GET"])
async def read_data(req: Request, context: func.Context) -> Response:
    """Read an item of session data."""
    return await dispatch(api, req, context.invocation_id)


@app.route(route="sessions/{session_id}/data/{name}", methods=["PUT"])
async def put_data(req: Request, context: func.Context) -> Response:
    """Write an item of session data."""
    return await dispatch(api, req, context.invocation_id)


@app.route(route="sessions/{session_id}/data/{name}", methods=["DELETE"])
async def delete_data(req: Request, context: func.Context) -> Response:
    """Delete an item of session data."""
    return await dispatch(api, req, context.invocation_id)


@app.route(route="preferences", methods=["GET"])
async def read_preferences(req: Request, context: func.Context) -> Response:
    """Read preferences."""
    return await dispatch(api, req, context.invocation_id)


@app.route(route="preferences", methods=["PUT"])
async def replace_preferences(req: Request, context: func.Context) -> Response:
    """Replace preferences."""
    return await dispatch(api, req, context.invocation_id)


@app.route(route="preferences", methods=["PATCH"])
async def update_preferences(req: Request, context: func.Context) -> Response:
    """Merge into preferences."""
    return await dispatch(api, req, context.invocation_id)


@app.route(route="preferences", methods=["DELETE"])
async def delete_preferences(req: Request, context: func.Context) -> Response:
    """Delete preferences."""
    return await dispatch(api, req, context.invocation_id)


@app.route(route="user/usage", methods=["GET"])
async def read_usage(req: Request, context: func.Context) -> Response:
    """Read the user's usage."""
    return await dispatch(api, req, context.invocation_id)


@app.route(route="health", methods=["GET", "HEAD"], auth_level=func.AuthLevel.ANONYMOUS)
async def read_health(req: Request, context: func.Context) -> Response:
    """Check that the worker is running."""
    return await dispatch(api, req, context.invocation_id)


@app.route(route="health/ready", methods=["GET", "HEAD"], auth_level=OPERATOR)
async def read_readiness(req: Request, context: func.Context) -> Response:
    """Check every dependency."""
    return await dispatch(api, req, context.invocation_id)


@app.route(route="openapi.json", methods=["GET"], auth_level=OPERATOR)
async def read_openapi(req: Request, context: func.Context) -> Response:
    """Return the OpenAPI document."""
    return await dispatch(api, req, context.invocation_id)


@app.route(route="docs", methods=["GET"], auth_level=OPERATOR)
async def read_docs(req: Request, context: func.Context) -> Response:
    """Show the documentation page."""
    return await dispatch(api, req, context.invocation_id)


@app.route(route="docs/{asset}", methods=["GET"], auth_level=OPERATOR)
async def read_docs_asset(req: Request, context: func.Context) -> Response:
    """Return a file of the documentation page."""
    return await dispatch(api, req, context.invocation_id)


@app.timer_trigger(arg_name="timer", schedule="0 */5 * * * *")
async def sweep_deleted_sessions(timer: func.TimerRequest) -> None:  # noqa: ARG001 - for the binding
    """Sweep sessions again five minutes after their deletion, for writes that arrived late."""
    await (await late.ready()).background.sweep_deleted_sessions()


@app.timer_trigger(arg_name="timer", schedule=SCHEDULE)
async def summarise_idle_sessions(timer: func.TimerRequest) -> None:  # noqa: ARG001 - for the binding
    """Queue the sessions that are due."""
    await (await late.ready()).background.summarise_idle_sessions()


@app.queue_trigger(
    arg_name="message", queue_name="consolidate-session", connection="AzureWebJobsStorage"
)
async def consolidate_session(message: func.QueueMessage) -> None:
    """Consolidate one session."""
    await (await late.ready()).background.consolidate_session(
        message.get_body(), message.dequeue_count or 1
    )


# Last, so that it does not slow down indexing: imports run parallel to the first request.
threading.Thread(target=late.prefetch, daemon=True).start()
