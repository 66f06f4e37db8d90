"""Inputs. Each is a leaf that gives a streaming DataFrame and knows how to turn its rows into records."""
