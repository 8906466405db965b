"""What interval has a number, is A better than B, and which difference could be seen at all?"""
