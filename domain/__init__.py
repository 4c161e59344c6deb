"""What happens: entities, rules and use cases. Imports the standard library only."""
