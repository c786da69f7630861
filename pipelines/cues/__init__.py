"""The known-answer corpus: drawn clips that isolate one cue each, and who can see it."""
