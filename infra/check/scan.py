"""`python -m infra.check.scan`: what other people's scanners say of infra/ and .github/.

checkov reads the templates, zizmor the workflows. Both run in environments of their own and need no network once
installed; where they cannot be installed this says so and passes. checkov skips a file that it cannot parse without
failing, and knows no expressions, so both are counted here: a file it newly skips, a check that newly fails and a
reason below that no longer applies are errors.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

INFRA = Path(__file__).parent.parent
UV = Path(sys.executable).parent / "uv"
CHECKOV, ZIZMOR = "checkov==3.3.30", "zizmor==1.32.0"
UNREADABLE = 2  # budget.bicep and digest-secret.bicep: its parser does not know @onlyIfNotExists
BY_GATE = "closed by privateNetwork, which it does not evaluate; infra/check/policy.py asserts the condition"
NOT_A_WEB_CONFIG = "it takes the app settings for a web configuration"
BY_PARAMETER = "costs money for nothing on a laptop's backend; a parameter, see docs/deploy.md"
REASONS = {
    "CKV_AZURE_13": NOT_A_WEB_CONFIG,
    "CKV_AZURE_17": "callers show Entra ID tokens, not client certificates",
    "CKV_AZURE_35": BY_GATE,
    "CKV_AZURE_40": "a receipt must stay verifiable for as long as somebody holds it",
    "CKV_AZURE_63": NOT_A_WEB_CONFIG,
    "CKV_AZURE_65": NOT_A_WEB_CONFIG,
    "CKV_AZURE_66": NOT_A_WEB_CONFIG,
    "CKV_AZURE_80": NOT_A_WEB_CONFIG,
    "CKV_AZURE_88": NOT_A_WEB_CONFIG,
    "CKV_AZURE_99": BY_GATE,
    "CKV_AZURE_101": BY_GATE,
    "CKV_AZURE_109": BY_GATE,
    "CKV_AZURE_112": "a hardware key costs more than the rest of the backend; the key type is one word in vault.bicep",
    "CKV_AZURE_134": BY_GATE,
    "CKV_AZURE_206": BY_PARAMETER,
    "CKV_AZURE_208": BY_PARAMETER,
    "CKV_AZURE_212": BY_PARAMETER,
    "CKV_AZURE_213": "Flex Consumption scales to nothing and has no health-check path",
    "CKV_AZURE_222": "a public API; data services are what privateNetwork isolates",
    "CKV_AZURE_225": BY_PARAMETER,
}


def main() -> int:
    """Run both."""
    return max(scan_templates(), scan_workflows())


def scan_templates() -> int:
    """What checkov says, held against the reasons above."""
    said = _run(CHECKOV, "-d", str(INFRA), "--framework", "bicep", "--skip-download", "-o", "json")
    if said is None:
        return 0
    report: Any = json.loads(said.stdout)
    failed = {check["check_id"] for check in report["results"]["failed_checks"]}
    faults = [f"{check} fails" for check in sorted(failed - REASONS.keys())]
    faults += [
        f"{check} no longer fails: delete its reason" for check in sorted(REASONS.keys() - failed)
    ]
    if report["summary"]["parsing_errors"] != UNREADABLE:
        faults.append(
            f"{report['summary']['parsing_errors']} files cannot be parsed, not {UNREADABLE}"
        )
    counts = f"{report['summary']['passed']} passed, {len(failed)} with a reason not to"
    sys.stdout.write(f"{CHECKOV}: {'; '.join(faults) or counts}\n")
    return 1 if faults else 0


def scan_workflows() -> int:
    """What zizmor says."""
    said = _run(ZIZMOR, "--offline", "--quiet", str(INFRA.parent / ".github"))
    if said is None:
        return 0
    sys.stdout.write(said.stdout + said.stderr if said.returncode else f"{ZIZMOR}: nothing found\n")
    return 1 if said.returncode else 0


def _run(tool: str, *arguments: str) -> "subprocess.CompletedProcess[str] | None":
    """Run a tool in an environment of its own; None, said aloud, if there is no such environment to be had."""
    uv = [str(UV), "tool", "run", "--quiet", tool]
    there = subprocess.run([*uv, "--version"], capture_output=True, text=True, check=False)  # noqa: S603 - both ours
    if there.returncode:
        sys.stdout.write(f"{tool}: SKIPPED, it cannot be installed here\n")
        return None
    return subprocess.run([*uv, *arguments], capture_output=True, text=True, check=False)  # noqa: S603 - both ours


if __name__ == "__main__":
    sys.exit(main())
