"""From a trained network to what servers load: graphs, engines, repositories, and the gate they must pass."""
