"""Running a plan: the query, its clock, and what happens to each batch."""
