"""From the graph of DStreams to a streaming DataFrame. No query is started here."""
