"""What the commands of `python main.py` other than `serve` are made of. Opens nothing when imported."""
