from tasks.dataset.passed_over import count_by_suffix, say_passed_over


def test_files_are_counted_by_suffix_the_most_frequent_first():
    counts = count_by_suffix(["a.jpg", "b/c.JPG", "rip.cue", "README", "d.e/notes"])
    assert list(counts.items()) == [("", 2), (".jpg", 2), (".cue", 1)]


def test_what_was_passed_over_is_said_in_one_line():
    assert say_passed_over({}) == ""
    assert say_passed_over({".jpg": 1200, "": 1}) == "Passed over: 1,200 .jpg, 1 without suffix"
    many = {f".{letter}": 1 for letter in "abcdefghij"}
    assert say_passed_over(many).endswith("1 .h, 2 more")
