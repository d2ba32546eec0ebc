"""A newcomer's way from a board on the network to its sensors, in a browser, with a key mistyped first."""

from pathlib import Path
import re

from playwright.async_api import expect
import pytest

from .home import browsing, picture, started
from .test_setup import ERRORS, START_LIMIT, STEPS, open_dialog

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("socket_enabled")]

_TRY_LIMIT = 60_000
"""Milliseconds within which the bridge has answered; after a wrong key it takes its time."""


async def test_a_bridge_is_added_by_its_address_and_key_and_its_meter_appears(
    tmp_path: Path,
) -> None:
    with started(tmp_path / "home", "--empty") as home:
        assert home.bridge_port is not None and home.bridge_key is not None
        async with browsing(home) as page:
            dialog = await open_dialog(page, home)
            await picture(page, "bridge-1-what")
            await dialog.choose(STEPS["user"]["menu_options"]["bridge"])
            await expect(dialog.title).to_have_text(STEPS["bridge"]["title"])
            await picture(page, "bridge-2-way")
            await dialog.choose(STEPS["bridge"]["menu_options"]["bridge_tcp"])
            await expect(dialog.title).to_have_text(STEPS["bridge_tcp"]["title"])
            host, key = (dialog.root.get_by_role("textbox").nth(place) for place in (0, 1))
            await host.fill("127.0.0.1")
            await dialog.root.get_by_role("spinbutton").first.fill(home.bridge_port)
            await key.fill("AAAAA-BBBBB-CCCCC-DDDDD")
            await dialog.submit()
            refused = ERRORS["bridge_key_refused"].format(link=f"127.0.0.1:{home.bridge_port}")
            await expect(dialog.root.get_by_text(refused)).to_be_visible(timeout=_TRY_LIMIT)
            await expect(host).to_have_value("127.0.0.1")
            await picture(page, "bridge-3-wrong-key")

            await key.fill(home.bridge_key.lower())
            await dialog.submit()
            await expect(dialog.title).to_have_text(
                STEPS["bridge_heard"]["title"], timeout=_TRY_LIMIT
            )
            heard = dialog.root.get_by_text(re.compile(r"2[123]\d\.\d V · \d+\.\d+ A"))
            await expect(heard).to_be_visible()
            await expect(dialog.root.get_by_role("textbox").first).to_have_value("Workshop bridge")
            await picture(page, "bridge-4-heard")
            await dialog.submit()
            await expect(dialog.root.get_by_role("button", name="finish")).to_be_visible(
                timeout=START_LIMIT
            )
            await picture(page, "bridge-5-added")
            await dialog.root.get_by_role("button", name="finish").click()

            await page.goto(f"{home.base}/config/integrations/integration/energy_meter")
            await page.get_by_text("Workshop bench", exact=True).last.click()
            for unit in ("V", "A", "W"):
                shown = page.get_by_text(re.compile(rf"-?[\d,.]+\s{unit}\b")).first
                await expect(shown).to_be_visible(timeout=START_LIMIT)
            await picture(page, "bridge-6-meter")
        assert "ERROR" not in home.log


async def test_the_page_for_a_posting_bridge_shows_address_configuration_and_command(
    tmp_path: Path,
) -> None:
    with started(tmp_path / "home", "--empty") as home:
        async with browsing(home, height=1_100) as page:
            dialog = await open_dialog(page, home)
            await dialog.choose(STEPS["user"]["menu_options"]["bridge"])
            await dialog.choose(STEPS["bridge"]["menu_options"]["bridge_http"])
            await expect(dialog.title).to_have_text(STEPS["bridge_http"]["title"])
            await picture(page, "posting-1-options")
            await dialog.submit()
            await expect(dialog.title).to_have_text(STEPS["bridge_address"]["title"])
            for words in (r"^http://\S+/api/webhook/[0-9a-f]{64}", r'"signed": true', r"openssl"):
                await expect(dialog.root.get_by_text(re.compile(words)).first).to_be_visible()
            await picture(page, "posting-2-address")
            await dialog.submit()
            nothing = ERRORS["bridge_nothing_posted"]
            await expect(dialog.root.get_by_text(nothing)).to_be_visible(timeout=START_LIMIT)
            await picture(page, "posting-3-nothing-yet")
        assert "ERROR" not in home.log
