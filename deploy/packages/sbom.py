"""`make sbom`: the bill of materials as CycloneDX 1.6 on stdout; the same for the same lock."""

import json
import sys
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from typing import Any

from deploy.packages.locks import Pin, pins_of

ROOT = Path(__file__).parents[2]


def bill_of(pins: list[Pin], *, name: str, version: str) -> dict[str, Any]:
    """Return the bill of materials of an application made of `pins`."""
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {"type": "application", "name": name, "version": version, "bom-ref": name}
        },
        "components": [_component(pin) for pin in pins],
    }


def _component(pin: Pin) -> dict[str, Any]:
    url = f"pkg:pypi/{pin.name}@{pin.version}"
    component: dict[str, Any] = {
        "type": "library",
        "bom-ref": url,
        "name": pin.name,
        "version": pin.version,
        "purl": url,
        "properties": [{"name": "file:sha256", "value": value} for value in pin.hashes],
    }
    if pin.marker is not None:
        component["properties"].append({"name": "marker", "value": str(pin.marker)})
    if (license_name := _license_of(pin.name)) is not None:
        component["licenses"] = [{"license": {"name": license_name}}]
    return component


def _license_of(name: str) -> str | None:
    """Return the license of the installed package; None if it is not installed or names none."""
    try:
        said = metadata(name)
    except PackageNotFoundError:
        return None
    if "License-Expression" in said:
        return str(said["License-Expression"])
    classified = [line for line in said.get_all("Classifier", []) if line.startswith("License ::")]
    if classified:
        return str(classified[0]).rpartition(" :: ")[2]
    return str(said["License"]).partition("\n")[0] if "License" in said else None


def main() -> int:
    """Write the bill of the packages that `make run` and the image install."""
    from infra.product import SERVICE_NAME, VERSION

    bill = bill_of(pins_of(ROOT / "requirements.lock"), name=SERVICE_NAME, version=VERSION)
    sys.stdout.write(json.dumps(bill, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
