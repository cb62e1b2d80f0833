"""What screens are made of: each widget draws one thing and knows neither the engine nor a screen."""
