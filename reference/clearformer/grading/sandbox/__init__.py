"""What stands between the judge and code that nobody vouches for, seen from outside."""
