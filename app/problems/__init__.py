"""Every error as an RFC 9457 problem or as OpenAI's error; the one table of them."""
