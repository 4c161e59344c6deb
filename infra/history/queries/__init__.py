"""What a store cannot do by itself: filtering by words, merging pages, grouping, walking conversations."""
