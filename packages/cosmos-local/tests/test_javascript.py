"""The official JavaScript SDKs, version 4 and 3, over https."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from cosmos_local import LOCAL_KEY, LocalCosmos
from cosmos_local.certificate import server_context
from cosmos_local.server import serve

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]
FOLDER = Path(__file__).parent / "js"
INSTALL = f"npm ci --prefix {FOLDER}"


@pytest.mark.skipif(
    not (FOLDER / "node_modules").exists(), reason=f"the JavaScript SDKs are not there: {INSTALL}"
)
async def test_the_javascript_sdks_work_unchanged(tmp_path: Path) -> None:
    """CRUD, paging, patch, batch, change feed and cross-partition queries pass in Node."""
    cosmos = LocalCosmos.open(None, allow_create=True)
    async with serve(cosmos, 0, tls=server_context(tmp_path)) as url:
        settings = {"ENDPOINT": url, "KEY": LOCAL_KEY, "NODE_TLS_REJECT_UNAUTHORIZED": "0"}
        node = await asyncio.create_subprocess_exec(
            *("node", "--no-warnings", "--test", "sdk.test.mjs"),
            cwd=FOLDER,
            env=os.environ | settings,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await node.communicate()
    cosmos.close()
    assert node.returncode == 0, output.decode()
