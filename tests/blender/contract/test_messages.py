"""Lists of names in messages."""

from blender.contract import list_names


def test_names_are_listed_once_up_to_the_limit() -> None:
    assert list_names([]) == ""
    assert list_names(["b", "a", "b"]) == "'b', 'a'"
    assert list_names("abcdefg") == "'a', 'b', 'c', 'd', 'e' and 2 more"
    assert list_names("abc", 1) == "'a' and 2 more"
