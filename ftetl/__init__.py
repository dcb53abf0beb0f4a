"""All fine-tuning jobs of a Together AI project as tidy, validated tables."""
