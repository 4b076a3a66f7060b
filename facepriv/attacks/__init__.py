"""What a determined adversary recovers: `run` carries attacks out, `rows` turns their answers into figures."""
