"""`harness init`: looks at a model and its data, and writes the project file, each choice with what was seen."""
