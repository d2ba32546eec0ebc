"""A user's way through the set-up, in a browser, against a running Home Assistant."""

from collections.abc import Iterator
from contextlib import contextmanager
import json
from pathlib import Path
import re
import socket
from typing import Any

from playwright.async_api import Locator, Page, expect
import pytest

from .home import ROOT, Home, browsing, picture, started

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("socket_enabled")]

TEXTS: dict[str, Any] = json.loads(
    (ROOT / "custom_components/energy_meter/translations/en.json").read_text(encoding="utf-8")
)
STEPS = TEXTS["config"]["step"]
ERRORS = TEXTS["config"]["error"]
ROLES = TEXTS["selector"]["role"]["options"]

SEARCH_LIMIT = 150_000
"""Milliseconds within which a search of the simulated line has to end."""
START_LIMIT = 60_000
"""Milliseconds within which values appear after the set-up."""

WANTED = {
    1: ("House connection", ROLES["grid"]),
    2: ("Solar roof", ROLES["solar"]),
    3: ("Heat pump", ROLES["device"]),
    9: ("House battery", ROLES["battery"]),
}
"""What the user makes of the meters at these addresses; the others are left out."""


class Dialog:
    """The set-up's dialog."""

    def __init__(self, page: Page) -> None:
        """Take the page that it is on."""
        self.page = page
        self.root = page.locator("dialog-data-entry-flow")
        self.title = self.root.locator(".dialog-title")

    def text(self, words: str) -> Locator:
        """A place in the dialog that says exactly this."""
        return self.root.get_by_text(words, exact=True)

    async def choose(self, option: str) -> None:
        """Take an option of a menu."""
        await self.text(option).click()

    async def submit(self) -> None:
        """Go on."""
        await self.root.get_by_role("button", name="Submit").click()

    async def next_title(self, title: str) -> str:
        """Wait for another step than the one with this title; between two there is none."""
        while True:
            now = [text.strip() for text in await self.title.all_inner_texts()]
            if now and now[0] not in ("", title):
                return now[0]
            await self.page.wait_for_timeout(100)


async def open_dialog(page: Page, home: Home) -> Dialog:
    """Add the integration, as far as its first question."""
    await page.goto(f"{home.base}/config/integrations/dashboard")
    await page.get_by_role("button", name="Add integration").click()
    await page.get_by_placeholder("Search for a brand name").fill("Energy Meter")
    await page.get_by_text("Energy Meter", exact=True).last.click()
    dialog = Dialog(page)
    await expect(dialog.text(STEPS["user"]["title"])).to_be_visible()
    return dialog


async def describe_meter(dialog: Dialog) -> None:
    """Name the meter of this form and say what it measures, by its address."""
    words = await dialog.root.get_by_text(re.compile(r"address \d+")).first.inner_text()
    address = re.search(r"address (\d+)", words)
    assert address, words
    name, role = WANTED[int(address[1])]
    await expect(dialog.root.get_by_text(re.compile("^[a-z]+_[a-z0-9_]+$"))).to_have_count(0)
    await dialog.root.get_by_role("textbox").first.fill(name)
    await dialog.root.get_by_text(STEPS["meter"]["data"]["role"]).first.click()
    await dialog.page.get_by_text(role, exact=True).last.click()


async def test_a_user_searches_and_ends_with_a_filled_energy_dashboard(tmp_path: Path) -> None:
    with started(tmp_path / "home", "--empty") as home:
        async with browsing(home) as page:
            dialog = await open_dialog(page, home)
            await dialog.choose(STEPS["user"]["menu_options"]["modbus"])
            await expect(dialog.title).to_have_text(STEPS["modbus"]["title"])
            await picture(page, "setup-1-connection")
            await dialog.choose(STEPS["modbus"]["menu_options"]["simulated"])
            await dialog.submit()
            await dialog.choose(STEPS["meters"]["menu_options"]["search_quick"])

            await expect(dialog.title).to_have_text(STEPS["searching"]["title"])
            await expect(dialog.root.get_by_text(re.compile("address 5$"))).to_be_visible()
            await picture(page, "setup-2-search")
            await expect(dialog.title).to_have_text(STEPS["found"]["title"], timeout=SEARCH_LIMIT)
            await picture(page, "setup-3-found")
            for address in range(1, 11):
                found = dialog.root.get_by_text(re.compile(f"address {address}\\b"))
                await expect(found).to_be_visible()
                if address not in WANTED:
                    await found.click()
            await dialog.submit()

            pictured: set[str] = set()
            title = STEPS["found"]["title"]
            while (title := await dialog.next_title(title)) != STEPS["summary"]["title"]:
                kind = re.sub(r"\d+", "N", title)
                if kind == "Meter N of N":
                    await describe_meter(dialog)
                if kind not in pictured:
                    pictured.add(kind)
                    await picture(page, f"setup-{len(pictured) + 3}-meter")
                await dialog.submit()
            await picture(page, "setup-8-summary")
            await dialog.submit()
            await expect(dialog.root.get_by_text("SDM630-Modbus")).to_be_visible(
                timeout=START_LIMIT
            )
            await picture(page, "setup-9-devices")
            await dialog.root.get_by_role("button", name="finish").click()

            await page.goto(f"{home.base}/config/integrations/integration/energy_meter")
            for name, _ in WANTED.values():
                await expect(page.get_by_text(name, exact=True).first).to_be_visible()
            await page.get_by_text("House connection", exact=True).last.click()
            power = page.get_by_text(re.compile(r"-?[\d,.]+\sW\b"))
            await expect(power.first).to_be_visible(timeout=START_LIMIT)
            await expect(page.get_by_text("Eastron")).to_be_visible()
            await expect(page.get_by_text("22104711")).to_be_visible()
            await picture(page, "setup-10-device")

            await page.goto(f"{home.base}/config/energy/electricity")
            for name, _ in WANTED.values():
                await expect(page.get_by_text(re.compile(f"^{name}")).first).to_be_visible()
            await picture(page, "setup-11-energy")
            await page.goto(f"{home.base}/energy/now")
            await expect(page.get_by_text("Power usage")).to_be_visible()
            await picture(page, "setup-12-now")
        assert "ERROR" not in home.log


async def test_a_gateway_that_is_not_there_is_named_and_the_form_keeps_its_input(
    tmp_path: Path,
) -> None:
    with closed_port() as port, started(tmp_path / "home", "--empty") as home:
        async with browsing(home) as page:
            dialog = await open_dialog(page, home)
            await dialog.choose(STEPS["user"]["menu_options"]["modbus"])
            await dialog.choose(STEPS["modbus"]["menu_options"]["network"])
            await expect(dialog.title).to_have_text(STEPS["network"]["title"])
            host = dialog.root.get_by_role("textbox").first
            await host.fill("127.0.0.1")
            await dialog.root.get_by_role("spinbutton").first.fill(str(port))
            await dialog.submit()
            refused = ERRORS["connection_refused"].format(link=f"127.0.0.1:{port}")
            await expect(dialog.root.get_by_text(refused)).to_be_visible(timeout=START_LIMIT)
            await picture(page, "wrong-1-refused")
            await expect(host).to_have_value("127.0.0.1")

            await host.fill("no gateway!")
            await dialog.submit()
            invalid = ERRORS["invalid_host"].format(value="no gateway!")
            await expect(dialog.root.get_by_text(invalid)).to_be_visible(timeout=START_LIMIT)
            await picture(page, "wrong-2-host")
            await expect(host).to_have_value("no gateway!")
        assert "ERROR" not in home.log


@contextmanager
def closed_port() -> Iterator[int]:
    """A local port that is taken, and that nobody listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]
