"""A user's way to load shedding, in a browser, until it switches something off in the simulated house."""

import json
from pathlib import Path
import re
from typing import Any

from playwright.async_api import Locator, Page, expect
import pytest

from .home import ROOT, browsing, picture, started
from .test_setup import START_LIMIT, STEPS, Dialog, open_dialog

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("socket_enabled")]

TEXTS: dict[str, Any] = json.loads(
    (ROOT / "custom_components" / "energy_meter" / "translations" / "en.json").read_text("utf-8")
)
LIMIT = TEXTS["config_subentries"]["limit"]
LOAD = TEXTS["config_subentries"]["load"]
SENSOR = TEXTS["entity"]["sensor"]
BOUND = "9"
"""A; the water heater alone takes almost that, and there are other things on its phase."""


async def _pick(page: Page, dialog: Dialog, place: int, name: str, device: str) -> None:
    """Choose an entity by its name and its device's."""
    await dialog.root.locator("ha-entity-picker").nth(place).click()
    await page.wait_for_timeout(1_000)
    await page.keyboard.type(f"{device} {name}")
    await page.wait_for_timeout(1_500)
    await page.keyboard.press("Enter")
    await expect(dialog.root.locator("ha-entity-picker").nth(place)).to_contain_text(name)


async def _fill(page: Page, place: Locator, text: str) -> None:
    """Type, again if need be: what an entity picker does a moment later draws the form anew, and empties it."""
    for _ in range(20):
        await place.fill(text)
        await page.wait_for_timeout(500)
        if await place.input_value() == text:
            return
    await expect(place).to_have_value(text)


async def _finish(dialog: Dialog) -> None:
    await dialog.submit()
    finish = dialog.root.get_by_role("button", name="finish")
    await expect(finish).to_be_visible(timeout=START_LIMIT)
    await finish.click()


async def test_a_user_sets_load_shedding_up_and_sees_it_act(tmp_path: Path) -> None:
    options = ("--fast", "--no-shedding", "--days", "1", "--circuits", "0")
    with started(tmp_path / "home", *options) as home:
        async with browsing(home, height=1_300) as page:
            dialog = await open_dialog(page, home)
            await dialog.choose(STEPS["user"]["menu_options"]["load_shedding"])
            await expect(dialog.title).to_have_text(STEPS["load_shedding"]["title"])
            await _finish(dialog)

            await page.goto(f"{home.base}/config/integrations/integration/energy_meter")
            await page.get_by_role("button", name=LIMIT["initiate_flow"]["user"]).click()
            await expect(dialog.title).to_have_text(LIMIT["step"]["user"]["title"])
            await dialog.root.get_by_role("textbox").first.fill("Kitchen phase")
            await _pick(page, dialog, 0, "Current L2", "Grid connection")
            await dialog.submit()
            said = dialog.root.get_by_text(LIMIT["error"]["value_or_sensor"])
            await expect(said).to_be_visible(timeout=START_LIMIT)
            await picture(page, "shedding-1-limit-missing")
            await _fill(page, dialog.root.get_by_role("spinbutton").first, BOUND)
            await _finish(dialog)

            await page.get_by_role("button", name=LOAD["initiate_flow"]["user"]).click()
            await expect(dialog.title).to_have_text(LOAD["step"]["user"]["title"])
            await dialog.root.get_by_role("textbox").first.fill("Hot water")
            await _pick(page, dialog, 0, "Relay", "Water heater")
            power = dialog.root.get_by_role(
                "spinbutton", name=LOAD["step"]["user"]["data"]["power"]
            )
            await _fill(page, power, "2000")
            await picture(page, "shedding-2-load")
            await _finish(dialog)

            # What was said, and what has really happened: the meter's relay is open, its power gone.
            await page.get_by_role("button", name="Notifications").click()
            told = page.get_by_text(re.compile(r"Hot water\s+off"))
            await expect(told.first).to_be_visible(timeout=START_LIMIT)
            await picture(page, "shedding-3-told")
            await page.goto(f"{home.base}/config/integrations/integration/energy_meter")
            await page.get_by_text("Water heater", exact=True).last.click()
            await expect(page.get_by_text(re.compile(r"\b0\.0\sW\b"))).to_be_visible(
                timeout=START_LIMIT
            )
            await picture(page, "shedding-4-meter")

            await page.goto(f"{home.base}/config/integrations/integration/energy_meter")
            await page.get_by_text("Load shedding", exact=True).last.click()
            status = SENSOR["shedding_status"]["state"]
            words = re.compile(f"^({status['shedding']}|{status['recovering']})$")
            for place in (page.get_by_text("Kitchen phase headroom"), page.get_by_text(words)):
                await expect(place.first).to_be_visible(timeout=START_LIMIT)
            await picture(page, "shedding-5-acting")
        assert "ERROR" not in home.log
