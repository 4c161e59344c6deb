"""HTTP streaming, SSE decoding, and mapping a provider's errors; knows no provider by name."""
