"""Labels by people: what they are asked, what they answer, and the formats of the tools that they use."""
