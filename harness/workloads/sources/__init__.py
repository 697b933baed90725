"""Samples in the forms that people keep them in: folders of images and sound, tables, functions; each becomes one .npz."""
