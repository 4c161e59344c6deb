"""Amazon Bedrock's Converse API: its client, signatures, requests and answers."""
