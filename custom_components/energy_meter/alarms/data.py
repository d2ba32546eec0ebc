"""An alarm as its subentry keeps it."""

from collections.abc import Mapping
from typing import Any, Final

from ..const import CONF_IDENTITY
from ..metering.limits import RULES, Limit, LimitKind

SUBENTRY_ALARM: Final = "alarm"
CONF_LIMIT_KIND: Final = "limit_kind"
CONF_THRESHOLD: Final = "threshold"
CONF_HYSTERESIS: Final = "hysteresis"
CONF_DELAY_ON: Final = "delay_on"
CONF_DELAY_OFF: Final = "delay_off"
KIND_TAMPER: Final = "tamper"
"""In place of a kind of limit: signs of tampering, which have no threshold."""
CONF_ONE_WAY: Final = "one_way"
"""Whether power only ever flows in, so that a reversal is a sign of tampering."""
KEY_PREFIX: Final = "alarm"
"""How the keys of an alarm's entities begin."""


def limit_of(data: Mapping[str, Any]) -> Limit:
    """The limit that a subentry describes.

    Raises:
        KeyError, ValueError: it describes none.
    """
    return Limit(
        kind=LimitKind(data[CONF_LIMIT_KIND]),
        threshold=float(data[CONF_THRESHOLD]),
        hysteresis=float(data[CONF_HYSTERESIS]),
        delay_on=float(data[CONF_DELAY_ON]),
        delay_off=float(data[CONF_DELAY_OFF]),
    )


def data_of(identity: str, limit: Limit) -> dict[str, Any]:
    """What the subentry of a meter's limit keeps."""
    return {
        CONF_IDENTITY: identity,
        CONF_LIMIT_KIND: limit.kind.value,
        CONF_THRESHOLD: limit.threshold,
        CONF_HYSTERESIS: limit.hysteresis,
        CONF_DELAY_ON: limit.delay_on,
        CONF_DELAY_OFF: limit.delay_off,
    }


def tamper_data_of(identity: str, *, one_way: bool) -> dict[str, Any]:
    """What the subentry of an alarm on tampering keeps."""
    return {CONF_IDENTITY: identity, CONF_LIMIT_KIND: KIND_TAMPER, CONF_ONE_WAY: one_way}


def alarm_id(identity: str, kind: str) -> str:
    """What an alarm is known by: a meter has one of each kind, and one on tampering."""
    return f"{identity}_{kind}"


def within(kind: LimitKind, threshold: float) -> bool:
    """Whether a threshold makes sense for a kind of limit."""
    rule = RULES[kind]
    return rule.minimum <= threshold <= rule.maximum
