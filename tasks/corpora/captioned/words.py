"""Word lists of :mod:`tasks.corpora.captioned.vocabulary`, each word as people tag music with it.

They are this project's own, and hold what reads well where its kind stands in a sentence: a mood
before a genre ("a calm jazz track"), an instrument after "featuring".
"""


def _words(text: str) -> frozenset[str]:
    """Words between commas."""
    return frozenset(" ".join(word.split()) for word in text.split(","))


MOODS = _words(
    """
    aggressive, airy, ambitious, amusing, angry, anthemic, anxious, atmospheric, beautiful,
    bittersweet, bizarre, bouncy, bright, brooding, calm, calming, captivating, carefree, catchy,
    celebratory, cheerful, chill, chilled, cinematic, comedic, comforting, confident,
    contemplative, cool, cosy, cozy, danceable, dark, deep, delicate, depressing, depressive,
    determined, devotional, disturbing, dramatic, dreamy, driving, dynamic, dystopian, easygoing,
    eccentric, eerie, elegant, emotional, enchanting, energetic, energic, energising, energizing,
    enigmatic, epic, ethereal, euphoric, evil, exciting, exhilarating, exotic, exuberant,
    fantastic, ferocious, festive, fierce, fiery, frantic, fresh, friendly, frightening, fun,
    funky, funny, furious, futuristic, gentle, glamorous, gloomy, graceful, grand, grandiose,
    gritty, groovy, grotesque, happy, harsh, haunting, heartfelt, heartwarming, heavy, heroic,
    hopeful, humorous, hypnotic, inspirational, inspiring, intense, intimate, introspective,
    ironic, irritating, jazzy, jolly, joyful, joyous, jubilant, laid-back, light, lighthearted,
    lively, lonely, loud, lush, lyrical, magical, majestic, manic, martial, massive, meditative,
    melancholic, melancholy, mellow, melodic, menacing, mesmerising, mesmerizing, mischievous,
    moody, motivating, motivational, mournful, mysterious, mystical, narrative, nervous,
    nocturnal, nostalgic, ominous, optimistic, otherworldly, passionate, pastoral, peaceful,
    pensive, percussive, perky, playful, pleasant, poetic, poignant, positive, powerful, proud,
    psychedelic, pulsating, punchy, quiet, quirky, raw, rebellious, reflective, relaxed, relaxing,
    restful, retro, rhythmic, romantic, rough, rousing, sad, sarcastic, scary, seductive, sensual,
    sentimental, serene, serious, sexy, shimmering, silly, sleepy, smooth, soft, solemn, somber,
    sombre, soothing, sophisticated, sorrowful, soulful, spacious, sparkling, spirited, spiritual,
    spooky, steady, stirring, strange, strong, subtle, sultry, sunny, surreal, suspenseful, sweet,
    tender, tense, thoughtful, thrilling, touching, tragic, tranquil, trippy, triumphant,
    unsettling, upbeat, uplifting, urban, vibrant, victorious, vigorous, vintage, violent, warm,
    weird, whimsical, wild, wistful, witty, yearning, youthful
    """
)
"""Adjectives that a genre can follow."""

INSTRUMENTS = _words(
    """
    accordion, acoustic bass, acoustic bass guitar, acoustic drums, acoustic guitar, acoustic
    guitars, acoustic piano, alto saxophone, bagpipe, bagpipes, balalaika, bandoneon, banjo,
    bansuri, bansuri flute, baritone saxophone, bass, bass clarinet, bass drum, bass guitar,
    bassoon, bell, bells, bongo, bongos, bouzouki, brass, brass section, cajon, castanets,
    celesta, cello, cellos, charango, chimes, church organ, clarinet, classical guitar,
    clavichord, clavinet, concertina, conga, congas, cornet, cowbell, cymbal, cymbals, darbuka,
    didgeridoo, digital drums, distorted electric guitar, distorted guitar, djembe, dobro, double
    bass, drum, drum kit, drum machine, drum set, drums, duduk, dulcimer, electric bass, electric
    guitar, electric guitars, electric organ, electric piano, electronic drums, english horn,
    erhu, euphonium, fiddle, flugelhorn, flute, flutes, french horn, fretless bass, glockenspiel,
    gong, grand piano, guitar, guitars, guqin, guzheng, hammond organ, hand claps, hand
    percussion, handclaps, harmonica, harmonium, harp, harpsichord, hi-hats, horn, horn section,
    horns, hurdy-gurdy, jew's harp, kalimba, kazoo, keyboard, keyboards, keys, koto, lap steel
    guitar, latin percussion, lead guitar, lute, lyre, mandolin, maracas, marimba, mbira,
    mellotron, melodeon, melodica, modular synthesizer, moog, music box, ney, nylon guitar, oboe,
    ocarina, orchestra, organ, oud, pan flute, pedal steel, percussion, piano, piccolo, pipa, pipe
    organ, recorder, rhodes, rhythm guitar, rubab, sampler, santur, sarangi, sax, saxophone,
    saxophones, shaker, shakers, shakuhachi, shamisen, shehnai, singing bowl, singing bowls,
    sitar, slap bass, slide guitar, snare drum, soprano saxophone, steel drum, steel drums, steel
    guitar, steelpan, string quartet, string section, strings, synth, synth bass, synth lead,
    synth pad, synth pads, synthesiser, synthesizer, synthesizers, synths, tabla, tablas, taiko,
    tambourine, tambura, tanpura, tenor saxophone, theremin, thumb piano, tibetan singing bowl,
    timpani, tin whistle, toy piano, triangle, trombone, trombones, trumpet, trumpets, tuba,
    tubular bells, tuned percussion, turntables, twelve-string guitar, ukulele, upright bass,
    upright piano, vibraphone, viola, violin, violins, vocoder, washboard, whistle, wind
    instruments, wooden percussion, woodwinds, wurlitzer, xylophone, zither
    """
)
"""What "featuring" can stand before."""

THEMES = _words(
    """
    action, adventure, advertising, background, background music, children, christmas, commercial,
    commercials, corporate, documentaries, documentary, drama, film, films, game, games,
    gaming, halloween, holiday, holidays, home video, horror, meditation, movie, movies,
    nature, parties, party, podcast, podcasts, presentation, presentations, road trip, romance,
    sleep, space, sport, sports, study, summer, television, theatre, trailer, trailers, travel,
    tv, video, video game, video games, videos, wedding, weddings, winter, workout, yoga
    """
)
"""Uses and scenes."""

GENRES = _words(
    """
    acid jazz, acid-jazz, acoustic blues, afrobeat, alt pop, alternative, alternative rock,
    alternative/indie, ambient, americana, art rock, baroque, bebop, bhangra, big band, black
    metal, bluegrass, blues, blues rock, bollywood, bossa nova, breakbeat, breakcore, britpop,
    calypso, celtic, chamber music, chanson, chillout, chillwave, chiptune, christian rock,
    classic rock, classical, club, contemporary classical, country, cumbia, dance pop, dancehall,
    dark ambient, darkwave, death metal, deep house, disco, doom metal, downtempo, dream pop,
    drone, drum & bass, drum and bass, dub, dubstep, easy listening, edm, electro, electro house,
    electroacoustic, electronic, electronic dance music, electronica, electropop, emo, ethnic
    rock, ethno, eurodance, experimental, fado, field recordings, flamenco, folk, folk rock,
    footwork, free jazz, free-jazz, funk, fusion, gangsta rap, garage, glitch, gospel, goth,
    gothic, grime, grindcore, grunge, hard rock, hardcore, hardstyle, heavy metal, hindustani
    classical music, hip hop, hip-hop, hiphop, house, idm, improvisation, indie, indie folk, indie
    pop, indie rock, industrial, instrumental, instrumental pop, instrumental rock, j-pop, jazz,
    jazz funk, jazz fusion, jungle, k-pop, klezmer, krautrock, latin, latin jazz, lo-fi, lofi,
    lounge, mambo, math rock, medieval, metal, minimal, minimalism, motown, musique concrete, new
    age, new wave, new-age, newage, noise rock, nu jazz, nu metal, opera, orchestral,
    polka, pop, pop folk, pop rock, post punk, post rock, post-punk, post-rock, progressive,
    progressive house, progressive rock, psychedelic rock, punk, punk rock, r&b, ragtime, rap,
    reggae, reggaeton, renaissance music, rnb, rock, rock 'n' roll, rock and roll, rock n roll,
    rockabilly, roots, rumba, salsa, samba, schlager, singer-songwriter, ska, smooth jazz, soca,
    soft rock, soul, soundtrack, southern rock, space rock, surf, surf rock, swing, symphonic,
    synth pop, synth-pop, synthpop, synthwave, tango, techno, thrash metal, trance, trap, tribal,
    trip hop, trip-hop, triphop, vaporwave, waltz, world, world fusion, world music, worldbeat,
    zouk
    """
)
"""Styles of music, also with "music" or "song" behind."""

VOICES = {
    **dict.fromkeys(
        _words(
            """
            emotional female vocal, female, female lead vocal, female lead vocalisation, female
            lead vocals, female singer, female singing, female vocal, female vocalisation, female
            vocalist, female vocalists, female vocals, female voice, female voice singing, female
            voices, high pitched female vocal, passionate female vocal, soft female vocal, subtle
            female vocal, woman singing
            """
        ),
        "female",
    ),
    **dict.fromkeys(
        _words(
            """
            echoing male vocal, emotional male vocal, flat male vocal, male, male lead vocal, male
            lead vocalisation, male lead vocals, male mid range voice singing, male singer, male
            singing, male vocal, male vocalisation, male vocalist, male vocalists, male vocals,
            male voice, male voice singing, male voices, man singing, passionate male vocal, soft
            male vocal
            """
        ),
        "male",
    ),
    **dict.fromkeys(
        _words(
            """
            male and female vocals, mixed choir, mixed vocals
            """
        ),
        "mixed",
    ),
    **dict.fromkeys(
        _words(
            """
            child vocals, child voice, children choir, children's choir, kids choir
            """
        ),
        "child",
    ),
    **dict.fromkeys(
        _words(
            """
            a cappella, acapella, backing vocals, choir, duet, lead vocals, melodic singing,
            passionate singing, singer, singing, vocal, vocal harmonies, vocal harmony,
            vocalisation, vocals, voice, voices
            """
        ),
        "vocal",
    ),
    **dict.fromkeys(
        _words(
            """
            instrumental, instrumental music, no singer, no singing, no vocals, no voice, no
            voices, without vocals
            """
        ),
        "instrumental",
    ),
}
"""What says whose voice it is, and the word for it."""

SPEEDS = {
    **dict.fromkeys(
        _words(
            """
            low tempo, slow, slow paced, slow tempo, slow-tempo, very slow
            """
        ),
        "slow",
    ),
    **dict.fromkeys(
        _words(
            """
            medium, medium tempo, mid tempo, mid-tempo, midtempo, moderate tempo
            """
        ),
        "medium",
    ),
    **dict.fromkeys(
        _words(
            """
            fast, fast paced, fast tempo, fast-tempo, high tempo, quick, quick tempo, rapid,
            up-tempo, uptempo, very fast
            """
        ),
        "fast",
    ),
}
"""What says how fast it is, and the word for it."""

SPELLINGS = {
    "acidjazz": "acid jazz",
    "acousticbassguitar": "acoustic bass guitar",
    "acousticguitar": "acoustic guitar",
    "alternativerock": "alternative rock",
    "ambiental": "ambient",
    "bluesrock": "blues rock",
    "bossanova": "bossa nova",
    "classicalguitar": "classical guitar",
    "classicrock": "classic rock",
    "darkambient": "dark ambient",
    "deephouse": "deep house",
    "doublebass": "double bass",
    "dream": "dreamy",
    "drumnbass": "drum and bass",
    "drummachine": "drum machine",
    "easylistening": "easy listening",
    "edm": "EDM",
    "electricguitar": "electric guitar",
    "electricpiano": "electric piano",
    "energic": "energetic",
    "ethnicrock": "ethnic rock",
    "hardrock": "hard rock",
    "heavymetal": "heavy metal",
    "hiphop": "hip-hop",
    "idm": "IDM",
    "instrumentalpop": "instrumental pop",
    "instrumentalrock": "instrumental rock",
    "jazzfunk": "jazz funk",
    "jazzfusion": "jazz fusion",
    "newage": "new age",
    "newwave": "new wave",
    "pipeorgan": "pipe organ",
    "popfolk": "pop folk",
    "poprock": "pop rock",
    "postrock": "post-rock",
    "punkrock": "punk rock",
    "rnb": "R&B",
    "r&b": "R&B",
    "rocknroll": "rock and roll",
    "singersongwriter": "singer-songwriter",
    "synthpop": "synth-pop",
    "triphop": "trip-hop",
    "tv": "television",
    "worldfusion": "world fusion",
}
"""Tags that are written as no sentence writes them, as Jamendo's without spaces."""
