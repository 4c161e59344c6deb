"""Names of users and attachments in paths and keys."""

import base64
import re

from domain.entities.interaction import is_interaction_id

_ATTACHMENT_ID = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)


def is_attachment_id(text: str) -> bool:
    """Return whether `text` has the form of an attachment id, which is safe in a path and in a key."""
    return _ATTACHMENT_ID.fullmatch(text) is not None


def check_ids(attachment_id: str, interaction_id: str) -> None:
    """Check the ids of a reference before they become a part of a path or a key.

    Raises:
        ValueError: One of them has another form.
    """
    if not is_attachment_id(attachment_id):
        raise ValueError("not the id of an attachment")
    if not is_interaction_id(interaction_id):
        raise ValueError("not the id of an interaction")


def name_of_user(user_id: str) -> str:
    """Return the user id in base32, lower case and without padding.

    At most 205 characters, safe on all file systems, and different for ids that differ in case alone.
    """
    return base64.b32encode(user_id.encode()).decode("ascii").rstrip("=").lower()


def user_of_name(name: str) -> str:
    """Return the user id that `name_of_user` encoded.

    Raises:
        ValueError: `name` is not such a name.
    """
    padding = "=" * (-len(name) % 8)
    user_id = base64.b32decode(name.upper() + padding).decode()
    if name_of_user(user_id) != name:
        raise ValueError("not the name of a user")
    return user_id
