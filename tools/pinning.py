"""How `parts.lock.json` is made: jgo resolves, we hash. For maintainers; `olvido up` never resolves anything.

python tools/pinning.py
"""

import hashlib
import json
import tempfile
from pathlib import Path

from jgo.maven import Artifact, MavenContext

from olvido.operators.local.artifacts import LOCK_FILE

KAFKA_VERSION = "4.3.1"  # 4.4.0 lacks the tools and Connect modules
REGISTRY_VERSION = "3.3.3"
KAFKA = (
    f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}",
    f"org.apache.kafka:kafka-tools:{KAFKA_VERSION}",
    "org.slf4j:slf4j-simple:1.7.36",  # without a binding the broker logs nothing
)
TIMEOUT_S = 60


def write_lock(path: Path = LOCK_FILE) -> None:
    """Resolve the parts anew and pin what was found. Takes about a minute."""
    with tempfile.TemporaryDirectory() as folder:
        maven = MavenContext(repo_cache=Path(folder), timeout=TIMEOUT_S)
        roots = [maven.create_dependency(coordinate) for coordinate in KAFKA]
        _, nodes = maven.resolver.get_dependency_list(roots)
        jars = [root.artifact for root in roots] + [node.dep.artifact for node in nodes]
        component = maven.project("io.apicurio", "apicurio-registry-app").at_version(REGISTRY_VERSION)
        content = {
            "kafka": {
                "title": "Kafka",
                "version": KAFKA_VERSION,
                "artifacts": sorted((pin(jar) for jar in jars), key=lambda one: str(one["coordinate"])),
            },
            "registry": {
                "title": "Apicurio Registry",
                "version": REGISTRY_VERSION,
                "artifacts": [pin(component.artifact(classifier="all", packaging="tar.gz"))],
            },
        }
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def pin(artifact: Artifact) -> dict[str, str | int]:
    """One file as the lock has it: coordinate, hash and size. Fetches it, if it is not there."""
    file: Path = artifact.resolve()
    kind = f":{artifact.packaging}" if artifact.packaging != "jar" or artifact.classifier else ""
    classifier = f":{artifact.classifier}" if artifact.classifier else ""
    return {
        "coordinate": f"{artifact.groupId}:{artifact.artifactId}:{artifact.version}{kind}{classifier}",
        "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        "size": file.stat().st_size,
    }


if __name__ == "__main__":
    write_lock()
