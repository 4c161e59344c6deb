"""One client and one wire format per provider kind; the folder a new provider goes into."""
