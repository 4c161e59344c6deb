"""How each provider of language models says it."""
