"""Lists of names and the text of errors in messages."""

from blender.contract import list_names
from blender.contract.messages import first_line


def test_names_are_listed_once_up_to_the_limit() -> None:
    assert list_names([]) == ""
    assert list_names(["b", "a", "b"]) == "'b', 'a'"
    assert list_names("abcdefg") == "'a', 'b', 'c', 'd', 'e' and 2 more"
    assert list_names("abc", 1) == "'a' and 2 more"


def test_first_line_of_an_error_is_never_empty() -> None:
    assert first_line(ValueError("wrong\nlonger explanation")) == "wrong"
    assert first_line(FileNotFoundError(2, "No such file", "a.png")) == "No such file"
    assert first_line(MemoryError()) == "MemoryError"
