# ruff: noqa: RUF001
"""Phonemes of new words in Spanish: gruut as it comes, and through models/gruut.py.

Its packaged lexicons have no index, so gruut scans 600,000 rows for each word that it has not met
before. Fails if the adapter is less than FLOOR times as fast, its own loading included, or if any
phoneme differs.
"""

import sys
import time

import gruut

from models import adapters, registry

FLOOR = 3.0

TEXT = """soy un fantasma que camina solo por la calle donde nadie quiere cantar
la lluvia cae despacio sobre los tejados rojos de la ciudad dormida
tengo una guitarra vieja y cuatro canciones tristes para olvidar tu nombre
mañana volverá la luna con sus ojos blancos y su vestido largo
cuando el viento del norte llegue a nuestra puerta cerrada
abriremos las ventanas para dejar entrar todas las estrellas del verano
hay un barco en el puerto esperando marineros que nunca regresaron
dime si recuerdas aquel baile bajo los naranjos en flor"""


def main() -> int:
    lines = TEXT.splitlines()
    start = time.process_time()
    own = [
        [word.phonemes for sentence in gruut.sentences(line, lang="es-es") for word in sentence]
        for line in lines
    ]
    middle = time.process_time()
    adapter = adapters.load(registry.card("gruut"))
    ours = [adapter.speak(line, "es-es") for line in lines]
    end = time.process_time()
    # gruut writes the ASCII letter g in Spanish, the adapter IPA's own.
    equal = [[tuple("ɡ" if p == "g" else p for p in word) for word in line] for line in own] == [
        list(line) for line in ours
    ]
    ratio = (middle - start) / (end - middle)
    words = len(TEXT.split())
    print(
        f"{words} words: gruut {middle - start:.2f} s, adapter {end - middle:.2f} s of CPU, "
        f"{ratio:.1f} times as fast (floor {FLOOR}), {'equal' if equal else 'DIFFERENT'}"
    )
    return 0 if equal and ratio >= FLOOR else 1


if __name__ == "__main__":
    sys.exit(main())
