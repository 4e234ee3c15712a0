"""What ``doctor`` looks at: one room a question, each with findings for an answer."""
