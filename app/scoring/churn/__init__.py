"""The risk of no further purchase: learnt, chosen by hold-out, explained, back-tested."""
