"""Write a comparison as one self-contained page, with CSV, JSON and LaTeX files."""
