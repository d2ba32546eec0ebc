"""Where profiles come from: the built-in ones and the user's own.

Everything here reads files and is meant for the executor. A profile is kept once it is loaded, and read
again when its file has changed.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .profile import Profile
from .profile_loader import LARGEST, Problem, ProfileError, load_profile

BUILT_IN: Final = Path(__file__).parent / "profiles"
SUFFIX: Final = ".yaml"

EXPORT_HEADER: Final = """\
# A copy of the built-in profile {slug} of Energy Meter, as a start for one of your own.
#
# Keep it in the folder energy_meter/profiles of your Home Assistant configuration. Under another name it
# is offered beside the built-in one; under the same name ({slug}.yaml) it takes its place.
# Every key is explained in docs/profiles.md of the project. A mistake is reported as a repair issue with
# its line; meters that use the profile take up a change when their line is reloaded.

"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileName:
    """What a picker shows of a profile."""

    slug: str
    manufacturer: str
    model: str
    aliases: tuple[str, ...]
    phases: int
    transports: tuple[str, ...]
    confidence: str
    custom: bool

    @property
    def name(self) -> str:
        """Maker and model."""
        return f"{self.manufacturer} {self.model}"


class UnknownProfileError(LookupError):
    """There is no profile of this name."""


@dataclass(frozen=True, slots=True)
class _Kept:
    stamp: tuple[int, int]
    profile: Profile | ProfileError


class ProfileLibrary:
    """All profiles, the user's before the built-in ones of the same name. Blocking: use an executor."""

    def __init__(self, custom_directory: Path | None = None) -> None:
        """Remember where the user's profiles are; the directory need not exist."""
        self._custom = custom_directory
        self._kept: dict[Path, _Kept] = {}

    def load(self, slug: str) -> Profile:
        """Return one profile.

        A custom profile that is broken does not fall back to the built-in one of its name: its registers
        may differ, and silently other values are worse than none.

        Raises:
            ProfileError: it cannot be used, with every mistake.
            UnknownProfileError: there is none of this name.
        """
        path = self._files().get(slug)
        if path is None:
            raise UnknownProfileError(slug)
        return self._read(path)

    def load_all(self) -> dict[str, Profile]:
        """Return every profile that can be used, by slug; what cannot is in `problems`."""
        return {profile.slug: profile for profile in self._usable()}

    def names(self) -> list[ProfileName]:
        """Return what a picker shows of every usable profile, by maker and model."""
        names = [
            ProfileName(
                slug=profile.slug,
                manufacturer=profile.manufacturer,
                model=profile.model,
                aliases=profile.aliases,
                phases=profile.phases,
                transports=profile.transports,
                confidence=profile.confidence,
                custom=profile.custom,
            )
            for profile in self._usable()
        ]
        return sorted(names, key=lambda each: (each.name.casefold(), each.slug))

    def problems(self) -> list[Problem]:
        """Return every mistake in every profile, file by file."""
        found: list[Problem] = []
        for path in self._files().values():
            try:
                self._read(path)
            except ProfileError as error:
                found += error.problems
        return found

    def export(self, slug: str, to: Path) -> Path:
        """Write a copy of a profile with a heading that explains it, and return its path.

        Args:
            slug: the profile.
            to: a file, or a directory for a file of the profile's name; made if it is not there.

        Raises:
            UnknownProfileError: there is no such profile.
            FileExistsError: there is such a file already; the user's work is never overwritten.
            OSError: it could not be written.
        """
        path = self._files().get(slug)
        if path is None:
            raise UnknownProfileError(slug)
        target = to if to.suffix == SUFFIX else to / f"{slug}{SUFFIX}"
        target.parent.mkdir(parents=True, exist_ok=True)
        text = path.read_text(encoding="utf-8")
        with target.open("x", encoding="utf-8") as file:
            file.write(EXPORT_HEADER.format(slug=slug) + text)
        return target

    def _files(self) -> dict[str, Path]:
        files = {path.stem: path for path in sorted(BUILT_IN.glob(f"*{SUFFIX}"))}
        if self._custom is not None and self._custom.is_dir():
            own = (path for path in self._custom.iterdir() if path.suffix in {SUFFIX, ".yml"})
            files |= {path.stem: path for path in sorted(own)}
        return files

    def _usable(self) -> Iterator[Profile]:
        for path in self._files().values():
            try:
                yield self._read(path)
            except ProfileError:
                continue

    def _read(self, path: Path) -> Profile:
        try:
            status = path.stat()
            stamp = status.st_mtime_ns, status.st_size
            kept = self._kept.get(path)
            if kept is None or kept.stamp != stamp:
                kept = self._kept[path] = _Kept(stamp, self._parse(path, status.st_size))
        except OSError as error:
            reason = error.strerror or str(error)
            raise ProfileError([Problem(path.name, 0, "", f"cannot be read: {reason}")]) from error
        if isinstance(kept.profile, ProfileError):
            raise ProfileError(kept.profile.problems)
        return kept.profile

    def _parse(self, path: Path, size: int) -> Profile | ProfileError:
        if size > LARGEST:
            return ProfileError(
                [Problem(path.name, 0, "", f"expected at most {LARGEST // 1024} KiB")]
            )
        try:
            text = path.read_bytes().decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = error.object[: error.start].count(b"\n") + 1
            return ProfileError([Problem(path.name, line, "", "expected text in UTF-8")])
        try:
            return load_profile(
                text, slug=path.stem, source=path.name, custom=path.parent != BUILT_IN
            )
        except ProfileError as error:
            return error
