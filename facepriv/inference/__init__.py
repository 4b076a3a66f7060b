"""What methods with torch networks share when they run: what a processor multiplies, and convolutions by oneDNN."""
