"""A Home Assistant of its own, as `scripts/demo` starts it, and a user in front of it."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
import json
from pathlib import Path
import re
import shutil
import signal
import subprocess
import time

import aiohttp
from playwright.async_api import Page, async_playwright

ROOT = Path(__file__).parents[2]
PICTURES = ROOT / "artifacts"
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
)
_STOP_LIMIT = 40


@dataclass
class Home:
    """A running Home Assistant."""

    base: str
    directory: Path
    serial_port: str | None
    bridge_port: str | None
    bridge_key: str | None
    """Of the simulated bridge, as they were printed."""

    @property
    def log(self) -> str:
        """Everything that it logged so far."""
        return (self.directory / "home-assistant.log").read_text(encoding="utf-8")


@contextmanager
def started(directory: Path, *options: str) -> Iterator[Home]:
    """Run the demo on a free port; it has to end by itself when it is interrupted."""
    command = [str(ROOT / ".venv-demo/bin/python"), "-m", "scripts.demo_home", "--port", "0"]
    with subprocess.Popen(
        [*command, "--directory", str(directory), *options],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        said = ""
        try:
            assert process.stdout is not None
            for line in process.stdout:
                said += line
                if "Ctrl-C" in line:
                    break
            address = re.search(r"ready: (http://\S+)", said)
            assert address, f"the demo did not start: {said}"
            port = re.search(r"serial port (\S+)", said)
            bridge = re.search(r"port (\d+); its pairing key is (\S+)", said)
            yield Home(
                address[1],
                directory,
                port[1] if port else None,
                bridge[1] if bridge else None,
                bridge[2] if bridge else None,
            )
        finally:
            process.send_signal(signal.SIGINT)
            try:
                code = process.wait(_STOP_LIMIT)
            finally:
                process.kill()
        assert code == 0, said


def chromium() -> str:
    """Where the browser is."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    assert found, "Chromium is missing: scripts/setup chromium installs it."
    return found


async def logged_in(base: str) -> dict[str, object]:
    """The frontend's own token store for the demo's user."""
    client = f"{base}/"
    async with aiohttp.ClientSession(base) as session:
        handler = {
            "client_id": client,
            "redirect_uri": client,
            "handler": ["homeassistant", None],
        }
        async with session.post("/auth/login_flow", json=handler) as response:
            flow = (await response.json())["flow_id"]
        login = {"client_id": client, "username": "demo", "password": "demo"}
        async with session.post(f"/auth/login_flow/{flow}", json=login) as response:
            code = (await response.json())["result"]
        grant = {"client_id": client, "grant_type": "authorization_code", "code": code}
        async with session.post("/auth/token", data=grant) as response:
            token: dict[str, object] = await response.json()
    expires = int((time.time() + 1_800) * 1_000)
    return {**token, "hassUrl": base, "clientId": client, "expires": expires}


@asynccontextmanager
async def browsing(home: Home, *, width: int = 1280, height: int = 900) -> AsyncIterator[Page]:
    """A page of a user who is logged in."""
    tokens = json.dumps(json.dumps(await logged_in(home.base)))
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium(), args=list(FLAGS))
        context = await browser.new_context(
            viewport={"width": width, "height": height}, locale="en-GB", timezone_id="Europe/Berlin"
        )
        await context.add_init_script(f"localStorage.setItem('hassTokens', {tokens})")
        page = await context.new_page()
        page.set_default_timeout(20_000)
        try:
            yield page
        except BaseException:
            await picture(page, "failure")
            raise
        finally:
            await browser.close()


async def picture(page: Page, name: str) -> None:
    """Keep what the user sees, icons and animations settled."""
    await page.wait_for_timeout(1_500)
    PICTURES.mkdir(exist_ok=True)
    await page.screenshot(path=PICTURES / f"{name}.png")
