"""Draws from exported folders and checks them, here and on servers; what each server needs, and starting it here."""
