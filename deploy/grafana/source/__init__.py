"""What the dashboards show; `python generate.py` writes them as Grafana reads them."""
