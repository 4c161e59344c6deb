"""Name and version of the program."""

SERVICE_NAME = "rt-genai"
VERSION = "0.1.0"
