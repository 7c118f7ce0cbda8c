"""Messages of protocol buffers, as :mod:`models.protobuf` reads them."""

_MESSAGE, _NUMBER = 2, 0


def field(number: int, value: int | bytes) -> bytes:
    """Return a field of a message."""
    if isinstance(value, int):
        return varint(number << 3 | _NUMBER) + varint(value)
    return varint(number << 3 | _MESSAGE) + varint(len(value)) + value


def varint(value: int) -> bytes:
    """Return a number in seven bits a byte."""
    digits = bytearray()
    while value > 0x7F:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*digits, value])
