"""Published results that anybody can check: bundles, their verification, leaderboards."""
