"""The fitting of a detector's weights to one's own clips."""
