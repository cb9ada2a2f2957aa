"""The installed version of a package."""

from importlib.metadata import PackageNotFoundError, version

NOT_INSTALLED = "not installed"


def package_version(name: str) -> str:
    """Return the version of a package, or ``NOT_INSTALLED``."""
    try:
        return version(name)
    except PackageNotFoundError:
        return NOT_INSTALLED
