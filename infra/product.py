"""What this program calls itself."""

SERVICE_NAME = "rt-genai"
VERSION = "0.1.0"
