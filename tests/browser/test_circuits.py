"""A panel builder's way from a bus of monitors to named circuits, their sums and a waveform, in a browser."""

from pathlib import Path
import re

from playwright.async_api import expect
import pytest

from .home import browsing, picture, started
from .test_setup import START_LIMIT, STEPS, TEXTS, open_dialog

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("socket_enabled")]

OPTIONS = TEXTS["options"]
SENSOR = TEXTS["entity"]["sensor"]
PHRASES = TEXTS["selector"]["phrase"]["options"]
TABLE = """\
address;name;rating;phase;role;inside
0x08;Main L1;63;L1;none;
0x0D;Pump;10;L1;{role};Main L1
0x0E;Heat pump;20;L1;device;Main L1
0x0C;Workshop;16;L3;device;
"""
DEVICE = """
(name) => Object.values(document.querySelector("home-assistant").hass.devices)
  .find((each) => (each.name_by_user || each.name) === name)?.id
"""
CAPTURE = """
async (device) => {
  const hass = document.querySelector("home-assistant").hass;
  const answer = await hass.connection.sendMessagePromise({
    type: "call_service", domain: "energy_meter", service: "capture_waveform",
    service_data: { device_id: device, cycles: 1 }, return_response: true,
  });
  return answer.response;
}
"""
DRAWN = """
() => {
  const found = [];
  const look = (root) => {
    for (const each of root.querySelectorAll("*")) {
      if (each.tagName === "IMG" && (each.src || "").includes("image_proxy")) found.push(each);
      if (each.shadowRoot) look(each.shadowRoot);
    }
  };
  look(document);
  return found.some((each) => each.complete && each.naturalWidth > 100);
}
"""
"""Whether a picture from Home Assistant's image proxy is there and could be decoded."""


async def test_a_panel_is_added_its_circuits_named_in_one_table_summed_up_and_looked_at(
    tmp_path: Path,
) -> None:
    with started(tmp_path / "home", "--empty", "--circuits", "0") as home:
        async with browsing(home, height=1_300) as page:
            dialog = await open_dialog(page, home)
            await dialog.choose(STEPS["user"]["menu_options"]["bridge"])
            await dialog.choose(STEPS["bridge"]["menu_options"]["bridge_i2c"])
            await expect(dialog.title).to_have_text(STEPS["bridge_i2c"]["title"])
            await dialog.root.get_by_text(PHRASES["i2c_simulated"]).click()
            await dialog.submit()
            heard = STEPS["bridge_heard"]["title"]
            await expect(dialog.title).to_have_text(heard, timeout=START_LIMIT)
            await expect(dialog.root.get_by_text(re.compile("0x13")).first).to_be_visible()
            await dialog.root.get_by_role("textbox").first.fill("Panel")
            await dialog.submit()
            finish = dialog.root.get_by_role("button", name="finish")
            await expect(finish).to_be_visible(timeout=START_LIMIT)
            await finish.click()

            await page.goto(f"{home.base}/config/integrations/integration/energy_meter")
            await expect(page.get_by_text("Circuit 0x13").first).to_be_visible(timeout=START_LIMIT)
            await page.get_by_role("button", name="Configure").first.click()
            await expect(dialog.title).to_have_text(OPTIONS["step"]["init"]["title"])
            table = dialog.root.get_by_role("textbox").first
            await expect(table).to_have_value(re.compile("Circuit 0x13;"))
            await table.fill(TABLE.format(role="oven"))
            await dialog.submit()
            wrong = dialog.root.get_by_text(OPTIONS["error"]["table_problems"])
            await expect(wrong).to_be_visible()
            await expect(dialog.root.get_by_text(re.compile("Line 3"))).to_be_visible()
            await picture(page, "circuits-1-table")
            await table.fill(TABLE.format(role="device"))
            await dialog.submit()
            await expect(dialog.title).to_have_text(
                OPTIONS["step"]["preview"]["title"].format(count=4)
            )
            await dialog.submit()
            await expect(finish).to_be_visible()
            await finish.click()
            await expect(page.get_by_text("Heat pump", exact=True).first).to_be_visible()
            await expect(finish).to_be_hidden()
            await page.wait_for_timeout(500)  # A closing dialog goes a page back.

            panel = await page.evaluate(DEVICE, "Panel")
            await page.goto(f"{home.base}/config/devices/device/{panel}")
            for words in (
                SENSOR["total_power"]["name"],
                SENSOR["total_power_phase"]["name"].format(phase="L1"),
                SENSOR["rest_power"]["name"].format(name="Main L1"),
            ):
                await expect(page.get_by_text(words, exact=True).first).to_be_visible(
                    timeout=START_LIMIT
                )
            await picture(page, "circuits-2-sums")

            workshop = await page.evaluate(DEVICE, "Workshop")
            await page.goto(f"{home.base}/config/devices/device/{workshop}")
            await expect(page.get_by_text("Workshop", exact=True).first).to_be_visible()
            wave = await page.evaluate(CAPTURE, workshop)
            assert wave["cycles"] == 1
            assert 200 < wave["voltage"]["rms"] < 250
            image = TEXTS["entity"]["image"]["waveform"]["name"]
            await page.get_by_text(image, exact=True).first.click()
            await page.wait_for_function(DRAWN)
            await picture(page, "circuits-3-waveform")
        assert "ERROR" not in home.log
