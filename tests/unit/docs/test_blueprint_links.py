"""Every blueprint can be imported with one click: from the README, from its document, and from the integration's pages."""

import json
from pathlib import Path

import pytest

from custom_components.energy_meter.blueprint_links import BLUEPRINTS, import_link, import_links

ROOT = Path(__file__).parents[3]
FILES = sorted((ROOT / "blueprints" / "automation" / "energy_meter").glob("*.yaml"))
TEXTS = json.loads(
    (ROOT / "custom_components" / "energy_meter" / "translations" / "en.json").read_text("utf-8")
)


def test_every_blueprint_has_a_link() -> None:
    assert sorted(BLUEPRINTS) == [file.stem for file in FILES]


@pytest.mark.parametrize("blueprint", BLUEPRINTS)
@pytest.mark.parametrize("document", ["README.md", "docs/alarms.md"])
def test_the_documents_offer_each_of_them(document: str, blueprint: str) -> None:
    assert f"]({import_link(blueprint)})" in (ROOT / document).read_text("utf-8")


def test_the_integrations_first_page_offers_all_of_them() -> None:
    description = TEXTS["config"]["step"]["user"]["description"]
    for blueprint in BLUEPRINTS:
        assert f"({{{blueprint}}})" in description
    assert set(import_links()) == set(BLUEPRINTS)
