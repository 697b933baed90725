"""Studies: many recipes of one model, run as any other run, and read together as one question asks."""
