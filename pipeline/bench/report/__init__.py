"""The benchmark's page in Markdown, generated from its JSON file."""
