"""From a raw dataset to a prepared one, and from there to the streams that training reads."""
