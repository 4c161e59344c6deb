"""Google's Gemini: its client, requests and answers."""
