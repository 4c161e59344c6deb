"""Content of the dashboards and alerts; `python generate.py` writes them in Grafana's format."""
