"""What moves the graph: schedules and sensors."""
