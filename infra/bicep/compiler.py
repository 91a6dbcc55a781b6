"""The Bicep compiler, as one process that answers over JSON-RPC."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Timer
from typing import Any

INFRA = Path(__file__).resolve().parents[1]
PINNED = (INFRA / "bicep-version").read_text().strip()
DEADLINE_SECONDS = 60  # for one answer
ENVIRONMENT = {
    "DOTNET_TieredPGO": "0",
    "DOTNET_SYSTEM_GLOBALIZATION_INVARIANT": "1",
}  # faster; no ICU
PLACE = {  # snapshots are of no real subscription
    "subscriptionId": "00000000-0000-4000-8000-000000000001",
    "tenantId": "00000000-0000-4000-8000-000000000002",
    "location": "westeurope",
    "deploymentName": "keepsake",
}


class CompilerError(Exception):
    """The compiler did not answer, or rejected a file."""


@dataclass(frozen=True, slots=True)
class Compiler:
    """A running compiler."""

    process: "subprocess.Popen[bytes]"

    def ask(self, method: str, **parameters: Any) -> Any:
        """Call a method of its protocol.

        Raises:
            CompilerError: with its message.
        """
        request = {"jsonrpc": "2.0", "id": 1, "method": f"bicep/{method}", "params": parameters}
        body = json.dumps(request).encode()
        assert self.process.stdin  # noqa: S101 - opened by start_compiler
        self.process.stdin.write(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
        self.process.stdin.flush()
        watchdog = Timer(DEADLINE_SECONDS, self.process.kill)
        watchdog.start()
        try:
            answer = self._read()
        finally:
            watchdog.cancel()
        if "error" in answer:
            raise CompilerError(answer["error"]["message"])
        return answer["result"]

    def version(self) -> str:
        """Its version."""
        return str(self.ask("version")["version"])

    def snapshot(self, parameters: Path) -> str:
        """The snapshot of a parameter file, in canonical form.

        Raises:
            CompilerError: with what is wrong in the file.
        """
        try:
            answer = self.ask(
                "getSnapshot", path=str(parameters), metadata=PLACE, externalInputs=[]
            )
        except CompilerError as error:
            found = self.ask("compileParams", path=str(parameters), parameterOverrides={})
            raise CompilerError(describe(found["diagnostics"]) or str(error)) from error
        return f"{json.dumps(json.loads(answer['snapshot']), indent=2, sort_keys=True)}\n"

    def _read(self) -> Any:
        assert self.process.stdout  # noqa: S101 - opened by start_compiler
        length = 0
        while line := self.process.stdout.readline().strip():
            name, _, value = line.partition(b":")
            length = int(value) if name.lower() == b"content-length" else length
        if not length:
            raise CompilerError("The compiler ended, or did not answer in time.")
        return json.loads(self.process.stdout.read(length))


def find_compiler() -> str | None:
    """Where the compiler is: BICEP, else on PATH. An empty BICEP means that none is to be used."""
    return os.environ["BICEP"] or None if "BICEP" in os.environ else shutil.which("bicep")


@contextmanager
def start_compiler(path: str) -> Iterator[Compiler]:
    """Start a compiler, and stop it afterwards."""
    command = [path, "jsonrpc", "--stdio"]
    with subprocess.Popen(  # noqa: S603 - whoever runs the check names the program
        command, env=os.environ | ENVIRONMENT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        try:
            yield Compiler(process)
        finally:
            process.kill()


def describe(diagnostics: list[dict[str, Any]]) -> str:
    """Diagnostics as compilers print them, one per line."""
    return "\n".join(
        f"{Path(each['source']).name}:{each['range']['start']['line'] + 1}: "
        f"{each['level'].lower()} {each['code']}: {each['message']}"
        for each in diagnostics
    )
