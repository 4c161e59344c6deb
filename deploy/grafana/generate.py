"""`python generate.py [directory]`: writes the dashboards and alerts into the folder of this file, or into `directory`."""

import json
import sys
from pathlib import Path
from typing import Any

import yaml

sys.path.insert(0, str(Path(__file__).parent))
from source import history_page, providers_page, service_page
from source.alerts import grafana_alerts
from source.dashboards import cloudwatch_dashboard, prometheus_dashboard

HERE = Path(__file__).parent
RULES = HERE.parent / "prometheus" / "rules.yml"


def generated() -> dict[str, dict[str, Any]]:
    """Return every file by its path beneath `deploy/grafana`."""
    pages = (service_page.PAGE, providers_page.PAGE, history_page.PAGE)
    rules = yaml.safe_load(RULES.read_text(encoding="utf-8"))
    return {
        **{f"dashboards/{page.uid}.json": prometheus_dashboard(page) for page in pages},
        **{f"cloudwatch/{page.uid}.json": cloudwatch_dashboard(page) for page in pages},
        "provisioning/alerting/alerts.json": grafana_alerts(rules),
    }


def main(directory: Path) -> None:
    """Write all of them."""
    for name, contents in generated().items():
        file = directory / name
        file.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(contents, indent=1, ensure_ascii=False)
        file.write_text(f"{text}\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE)
