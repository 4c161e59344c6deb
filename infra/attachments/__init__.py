"""Stores of attachments: on disk, in MongoDB's GridFS, and in S3."""
