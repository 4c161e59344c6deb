"""The usage of an installation over all its users: figures without texts and without users."""
