"""The demo as a newcomer finds it: a house whose past and present are there."""

from pathlib import Path
import re

from playwright.async_api import expect
import pytest

from .home import browsing, picture, started

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("socket_enabled")]


async def test_the_house_can_be_watched_on_one_page(tmp_path: Path) -> None:
    """Each card shows something: entities are called as the page takes them to be."""
    with started(tmp_path / "home", "--days", "1") as home:
        async with browsing(home, height=1_500) as page:
            await page.goto(f"{home.base}/demo-house")
            for heading in ("The house", "Main fuse", "Load shedding", "Circuits on I²C"):
                await expect(page.get_by_text(heading, exact=True)).to_be_visible()
            await expect(page.get_by_text(re.compile(r"\d+\.\d\sA"))).not_to_have_count(0)
            await expect(page.locator("hui-picture-entity-card img")).to_be_visible()
            await picture(page, "demo-5-house")
            missing = page.get_by_text(re.compile("not found|unavailable", re.IGNORECASE))
            await expect(missing).to_have_count(0)


async def test_the_energy_dashboard_is_filled_and_the_meters_move(tmp_path: Path) -> None:
    with started(tmp_path / "home", "--days", "3") as home:
        async with browsing(home, height=1_000) as page:
            await page.goto(f"{home.base}/energy/electricity")
            await page.get_by_role("button", name="Previous").click()
            solar = page.get_by_role("row").filter(has_text="Solar total")
            await expect(solar).to_have_text(re.compile(r"[1-9]\d\.?\d*\skWh"))
            await picture(page, "demo-1-energy")

            await page.goto(f"{home.base}/energy/now")
            await expect(page.get_by_role("button", name="Battery")).to_be_visible()
            await picture(page, "demo-2-now")

            await page.goto(f"{home.base}/config/integrations/integration/energy_meter")
            await page.get_by_text("Grid connection", exact=True).last.click()
            voltage = page.get_by_text(re.compile(r"\b2[123]\d\.\d\sV\b")).first
            await expect(voltage).to_be_visible()
            await picture(page, "demo-3-device")
            before = await voltage.inner_text()
            await expect(voltage).not_to_have_text(before, timeout=30_000)

            await page.goto(f"{home.base}/config/integrations/integration/energy_meter")
            await page.get_by_text("Workshop bench", exact=True).last.click()
            for unit in ("V", "A", "W"):
                shown = page.get_by_text(re.compile(rf"-?[\d,.]+\s{unit}\b")).first
                await expect(shown).to_be_visible()
            await picture(page, "demo-4-bridge")
        assert "ERROR" not in home.log
