"""What traces say together: rates, times and money, each with what it can be trusted for."""
