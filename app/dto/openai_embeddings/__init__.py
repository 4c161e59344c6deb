"""Bodies of POST /v1/embeddings, in OpenAI's format."""
