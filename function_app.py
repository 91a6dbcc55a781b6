"""Every function of the app, one per operation. No logic: HTTP goes to the FastAPI application in shared/http."""

import gc
import threading

gc.disable()  # until the prefetch is done: imports make no garbage, and looking for it takes a fifth of a cold start

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
    """Take one turn."""
    return await dispatch(api, req, context.invocation_id)


@app.route(route="context", methods=["POST"])
async def preview_context(req: Request, context: func.Context) -> Response:
    """Pack what a model should know."""
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
    """Forget a session."""
    return await dispatch(api, req, context.invocation_id)


@app.route(route="sessions/{session_id}/consolidate", methods=["POST"])
async def consolidate_now(req: Request, context: func.Context) -> Response:
    """Summarise a session now."""
    return await dispatch(api, req, context.invocation_id)


@app.route(route="sessions/{session_id}/turns", methods=["GET"])
async def list_turns(req: Request, context: func.Context) -> Response:
    """Read the transcript."""
    return await dispatch(api, req, context.invocation_id)


@app.route(route="sessions/{session_id}/turns/{turn_id}", methods=["PUT"])
async def put_turn(req: Request, context: func.Context) -> Response:
    """Record a turn answered elsewhere."""
    return await dispatch(api, req, context.invocation_id)


@app.route(route="sessions/{session_id}/data", methods=["GET"])
async def list_data(req: Request, context: func.Context) -> Response:
    """List session data."""
    return await dispatch(api, req, context.invocation_id)


@app.route(route="sessions/{session_id}/data/{name}", methods=["GET"])
async def read_data(req: Request, context: func.Context) -> Response:
    """Read a value kept with a session."""
    return await dispatch(api, req, context.invocation_id)


@app.route(route="sessions/{session_id}/data/{name}", methods=["PUT"])
async def put_data(req: Request, context: func.Context) -> Response:
    """Keep a value with a session."""
    return await dispatch(api, req, context.invocation_id)


@app.route(route="sessions/{session_id}/data/{name}", methods=["DELETE"])
async def delete_data(req: Request, context: func.Context) -> Response:
    """Forget a value kept with a session."""
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
    """Forget preferences."""
    return await dispatch(api, req, context.invocation_id)


@app.route(route="user/usage", methods=["GET"])
async def read_usage(req: Request, context: func.Context) -> Response:
    """Read what the user takes."""
    return await dispatch(api, req, context.invocation_id)


@app.route(route="health", methods=["GET", "HEAD"], auth_level=func.AuthLevel.ANONYMOUS)
async def read_health(req: Request, context: func.Context) -> Response:
    """Alive."""
    return await dispatch(api, req, context.invocation_id)


@app.route(route="health/ready", methods=["GET", "HEAD"], auth_level=OPERATOR)
async def read_readiness(req: Request, context: func.Context) -> Response:
    """Every dependency with its milliseconds."""
    return await dispatch(api, req, context.invocation_id)


@app.route(route="openapi.json", methods=["GET"], auth_level=OPERATOR)
async def read_openapi(req: Request, context: func.Context) -> Response:
    """The OpenAPI document."""
    return await dispatch(api, req, context.invocation_id)


@app.route(route="docs", methods=["GET"], auth_level=OPERATOR)
async def read_docs(req: Request, context: func.Context) -> Response:
    """The OpenAPI document as a page."""
    return await dispatch(api, req, context.invocation_id)


@app.route(route="docs/{asset}", methods=["GET"], auth_level=OPERATOR)
async def read_docs_asset(req: Request, context: func.Context) -> Response:
    """A file of that page."""
    return await dispatch(api, req, context.invocation_id)


@app.timer_trigger(arg_name="timer", schedule="0 */5 * * * *")
async def sweep_deleted_sessions(timer: func.TimerRequest) -> None:  # noqa: ARG001 - the binding wants it
    """Sweep sessions deleted five minutes ago once more, for what arrived late."""
    await (await late.ready()).background.sweep_deleted_sessions()


@app.timer_trigger(arg_name="timer", schedule=SCHEDULE)
async def summarise_idle_sessions(timer: func.TimerRequest) -> None:  # noqa: ARG001 - the binding wants it
    """Put sessions that went quiet on the queue."""
    await (await late.ready()).background.summarise_idle_sessions()


@app.queue_trigger(
    arg_name="message", queue_name="consolidate-session", connection="AzureWebJobsStorage"
)
async def consolidate_session(message: func.QueueMessage) -> None:
    """Summarise one session."""
    await (await late.ready()).background.consolidate_session(
        message.get_body(), message.dequeue_count or 1
    )


# Last, so that indexing is not slowed by it: what a chat turn needs is imported while the first request is under way.
threading.Thread(target=late.prefetch, daemon=True).start()
