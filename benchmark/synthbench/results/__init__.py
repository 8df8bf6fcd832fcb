"""The results of a run as one typed value: collected, stored, read again."""
