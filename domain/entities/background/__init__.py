"""Background answers: their requests, and the records of their logs."""
