"""Training of a detector's weights from labelled clips."""
