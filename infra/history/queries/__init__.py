"""Queries that a store does not support: filtering by words, merging pages, grouping, listing conversations."""
