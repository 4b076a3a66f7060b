"""From a comparison to one self-contained page, with CSV, JSON and LaTeX beside it."""
