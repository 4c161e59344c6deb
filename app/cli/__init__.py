"""The command line: arguments, and what each command prints."""
