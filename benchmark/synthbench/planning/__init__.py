"""From a suite to its stages, each with the key of everything its result depends on."""
