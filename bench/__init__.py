"""What the program costs, measured side by side with the same resources written plainly."""
