"""Programs for type checkers only (`make types`); nothing here is run."""
