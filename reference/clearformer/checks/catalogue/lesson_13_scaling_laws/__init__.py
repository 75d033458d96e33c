"""Lesson 13: what a budget buys."""
