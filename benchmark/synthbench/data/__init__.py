"""Reading labelled photographs in the formats that people have."""
