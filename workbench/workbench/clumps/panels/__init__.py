"""What notebooks show of training and evaluation: pure states, and thin widgets on them."""
