"""From a folder of somebody's photographs to one that a suite reads: copies found, a split made, and everything odd listed."""
