"""Settings of the providers and their models."""

from pathlib import Path

from pydantic import Field, SecretStr

from infra.settings.process import ProcessSettings


class ProviderSettings(ProcessSettings):
    """Keys and addresses of providers; without any of them the built-in demo model answers."""

    title = "Providers"

    gemini_api_key: SecretStr | None = Field(
        default=None, description="Enables the catalogue's Gemini models."
    )
    gemini_base_url: str | None = Field(
        default=None, description="Gemini address other than the catalogue's."
    )
    openrouter_api_key: SecretStr | None = Field(
        default=None, description="Enables the catalogue's OpenRouter models."
    )
    openrouter_base_url: str | None = Field(
        default=None, description="OpenRouter address other than the catalogue's."
    )
    openai_api_key: SecretStr | None = Field(
        default=None,
        description="Sent to OPENAI_BASE_URL, or to OpenAI itself if that is not set.",
    )
    openai_base_url: str | None = Field(
        default=None,
        description="OpenAI-compatible server (Ollama, vLLM, llama.cpp); `/chat/completions` is appended.",
    )
    openai_model: str | None = Field(
        default=None, description="Model to call at OPENAI_BASE_URL, or at OpenAI itself."
    )
    models_file: Path | None = Field(
        default=None,
        description="File of providers and models that replaces the built-in `models.toml`.",
    )
    models_toml: str | None = Field(
        default=None,
        description="Text of such a file, if no file can be mounted; not together with MODELS_FILE.",
    )
