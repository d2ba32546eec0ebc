"""A user sets an alarm on a meter of the simulated house, sees it go on, switches off, and sees the all-clear."""

from pathlib import Path

from playwright.async_api import expect
import pytest

from .home import browsing, picture, started
from .test_setup import START_LIMIT, TEXTS, Dialog

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("socket_enabled")]

ALARM = TEXTS["config_subentries"]["alarm"]
KINDS = TEXTS["selector"]["limit_kind"]["options"]
LINE = "Simulated house"
HEATER = "Water heater"
"""On from the beginning of a fast day on, with 2 kW."""


async def test_a_user_sets_a_limit_and_sees_the_alarm_come_and_go(tmp_path: Path) -> None:
    options = ("--fast", "--no-shedding", "--days", "1", "--circuits", "0")
    with started(tmp_path / "home", *options) as home:
        async with browsing(home, height=1_300) as page:
            await page.goto(f"{home.base}/config/integrations/integration/energy_meter")
            await page.get_by_role("button", name=ALARM["initiate_flow"]["user"]).first.click()
            # Home Assistant asks which of several entries it is for.
            await page.get_by_role("button", name=LINE, exact=True).last.click()
            dialog = Dialog(page)
            await expect(dialog.title).to_have_text(ALARM["step"]["user"]["title"])
            await dialog.choose(HEATER)
            await dialog.submit()
            await expect(dialog.title).to_have_text(ALARM["step"]["kind"]["title"])
            await dialog.choose(KINDS["over_power"])
            await dialog.submit()
            await expect(dialog.title).to_have_text(ALARM["step"]["limit"]["title"])
            for field, value in (("threshold", 1_500), ("delay_on", 2), ("delay_off", 2)):
                name = ALARM["step"]["limit"]["data"][field]
                await dialog.root.get_by_role("spinbutton", name=name).fill(str(value))
            await picture(page, "alarm-1-limit")
            await dialog.submit()
            finish = dialog.root.get_by_role("button", name="finish")
            await expect(finish).to_be_visible(timeout=START_LIMIT)
            await finish.click()

            await page.goto(f"{home.base}/config/integrations/integration/energy_meter")
            await page.get_by_text(HEATER, exact=True).last.click()
            await expect(page.get_by_text("Problem", exact=True)).to_be_visible()
            await picture(page, "alarm-2-on")
            relay = page.locator("ha-entity-toggle").first
            await relay.click()
            await expect(page.get_by_text("OK", exact=True)).to_be_visible(timeout=START_LIMIT)
            await picture(page, "alarm-3-over")
        assert "ERROR" not in home.log
