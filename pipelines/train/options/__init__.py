"""Published methods of training that a recipe names under `options`, all off by default."""
