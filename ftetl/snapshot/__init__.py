"""Reading committed tables back."""
