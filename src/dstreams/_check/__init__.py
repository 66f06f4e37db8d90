"""``python -m dstreams check``: what becomes of programs, told by reading them. Nothing here imports Spark."""
