"""What a night or a comparison said, for people and pipelines: console, Markdown, JUnit, JSON."""
