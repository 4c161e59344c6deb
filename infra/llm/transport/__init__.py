"""HTTP streaming, SSE decoding and error mapping, for any provider."""
