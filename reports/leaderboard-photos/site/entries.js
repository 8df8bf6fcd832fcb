synthbenchEntries([]);
