"""Stage 1: what Pega or a database wrote, which of it is finished, and how its rows are read."""
