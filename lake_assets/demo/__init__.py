"""The demo: a bucket of invented Pega exports, and the story of what the lake must make of it."""
