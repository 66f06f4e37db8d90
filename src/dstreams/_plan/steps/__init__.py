"""What the stateful operations do to one bucket in one batch; runs in Spark's Python workers."""
