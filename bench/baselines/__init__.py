"""What Povod is measured against: the plain ways of doing the same, written as a good engineer in a hurry would."""
