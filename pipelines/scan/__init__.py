"""The scan of a corpus into a result set, on workers that may crash."""
