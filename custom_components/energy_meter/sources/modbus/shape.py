"""A profile as the shape of a meter."""

from ...model import MeterShape
from .profile import Profile


def shape_of(profile: Profile) -> MeterShape:
    """Return what a meter of this family is to everything above the line.

    Args:
        profile: with the meter's variant arranged.
    """
    return MeterShape(
        measured=tuple(register.key for register in profile.registers),
        phases=profile.phases,
        manufacturer=profile.manufacturer,
        model=profile.model,
        counts={
            register.key: register.counts
            for register in profile.registers
            if register.counts is not None
        },
        resolution={
            register.key: register.scale
            for register in profile.registers
            if register.quantity is not None
            and register.quantity.counts is not None
            and register.factor is None
            and not register.type.startswith("float")
        },
        controls=tuple(each.control for each in profile.controls if each.exposed),
    )
