"""Servers, services and files that tests start or build."""
