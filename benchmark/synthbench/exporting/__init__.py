"""Taking a result home: the best generated set as a data set, and the best detector as files that run without synthbench."""
