"""A change of a control is far quicker than the first picture: crops and faces are kept."""


def test_every_answer_is_timed_and_a_change_is_quicker_than_the_first(measured):
    found, _ = measured("page", "--cpu", "--rounds", "1", "--method", "pixelate")
    times = {name: ratio["median"] for name, ratio in found["ratios"].items()}
    assert set(times) == {
        f"{what}, {of}" for what in ("first picture", "strength", "attributes") for of in ("512 x 512", "12 megapixels")
    }
    assert times["strength, 12 megapixels"] < 0.5 * times["first picture, 12 megapixels"]
