"""Tests of the inference engine, most of them with the real default encoder."""
