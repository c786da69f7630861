"""From a media file to streams on one clock of 25 steps a second."""
