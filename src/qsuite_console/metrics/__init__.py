"""What is watched: one reader per source, thresholds, and the sampler that turns both into snapshots."""
