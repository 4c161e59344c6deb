"""What may be in the queue."""

import pytest

from infra.history.sqs.validation import is_well_formed

ID = "019aabb1-7c80-7000-8a51-0f1d2c3b4a59"


@pytest.mark.seen("C2")
@pytest.mark.parametrize(
    ("user_id", "is_right"),
    [
        ("ana", True),
        ("_a", True),
        ("-a", True),
        ("a=b~c|d+e", True),
        ("x" * 128, True),
        ("x" * 129, False),
        ("=a", False),
        ("a/b", False),
        ("ana\n", False),
        ("", False),
        (5, False),
        (None, False),
    ],
)
def test_a_message_has_a_user_id_as_every_door_takes_it(user_id: object, is_right: bool) -> None:
    assert is_well_formed({"id": ID, "userId": user_id}) is is_right
