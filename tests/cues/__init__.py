"""Drawn clips that isolate one cue each."""
