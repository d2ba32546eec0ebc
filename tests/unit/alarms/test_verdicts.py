"""Verdicts are told once, also those from before anybody listened."""

from custom_components.energy_meter.alarms.verdicts import MOST_UNTOLD, Verdicts


def test_who_listens_first_is_told_what_was_said_before() -> None:
    verdicts: Verdicts[str] = Verdicts()
    verdicts.tell("exceeded")
    heard: list[str] = []
    verdicts.listen(heard.append)
    verdicts.tell("cleared")
    assert heard == ["exceeded", "cleared"]


def test_who_listens_later_is_told_nothing_twice() -> None:
    verdicts: Verdicts[str] = Verdicts()
    first: list[str] = []
    second: list[str] = []
    end = verdicts.listen(first.append)
    verdicts.tell("exceeded")
    verdicts.listen(second.append)
    end()
    verdicts.tell("cleared")
    assert (first, second) == (["exceeded"], ["cleared"])


def test_without_anybody_only_the_last_few_are_kept() -> None:
    verdicts: Verdicts[int] = Verdicts()
    for number in range(MOST_UNTOLD + 3):
        verdicts.tell(number)
    heard: list[int] = []
    verdicts.listen(heard.append)
    assert heard == list(range(3, MOST_UNTOLD + 3))
