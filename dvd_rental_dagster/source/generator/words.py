"""The words that names, titles and descriptions are made of; all are our own choice of ordinary words."""

# ruff: noqa: SIM905  # a list of words reads better as a sentence of them

# (name, popularity, share of the films); the popularity multiplies how often a film is rented.
CATEGORIES = (
    ("Action", 125, 68),
    ("Animation", 130, 64),
    ("Children", 105, 60),
    ("Classics", 70, 56),
    ("Comedy", 120, 60),
    ("Documentary", 60, 66),
    ("Drama", 115, 64),
    ("Family", 115, 68),
    ("Foreign", 65, 72),
    ("Games", 95, 60),
    ("Horror", 85, 56),
    ("Music", 55, 52),
    ("New", 140, 62),
    ("Sci-Fi", 130, 62),
    ("Sports", 100, 72),
    ("Travel", 50, 58),
)
# (name, share of the films)
LANGUAGES = (("English", 880), ("Italian", 20), ("Japanese", 30), ("Mandarin", 15), ("French", 35), ("German", 20))

GIVEN_NAMES = (
    "Ada Adele Agnes Aino Alba Alma Amira Anders Anouk Arlo Asta Astrid Aylin Basil Beatrix Bela Benno Bjorn Bruno "
    "Cara Carmen Casper Cecily Chidi Clara Cora Cosmo Dagny Dalia Dario Delia Demir Dora Edda Edgar Elif Elio Elsie "
    "Emeka Enzo Esme Etta Fabian Farah Felix Fenna Fergus Filip Flora Freya Frida Gaia Gideon Greta Gustav Hana Hanno "
    "Hedda Hugo Ida Idris Ilse Imani Ines Ingrid Iris Isolde Ivo Jamal Janek Joaquin Jonas Juno Kaia Karim Kenji Kira "
    "Klara Lars Leila Leopold Lina Linnea Livia Lotte Luca Ludo Magnus Maia Malik Marit Marta Matteo Maud Mika Milan "
    "Mina Mira Nadia Naomi Nell Nico Nils Noor Odile Olga Omar Orla Oscar Otto Paloma Pavel Petra Pia Priya Quentin "
    "Rafael Ragna Rania Remy Rosa Rufus Sanna Selma Silas Simone Sofia Soren Sunniva Taro Thea Theo Tilda Tomas Una "
    "Uma Valentin Vera Vidar Vivian Wanda Willa Xenia Yara Yusuf Zara Zelda Zoltan"
).split()
SURNAME_STEMS = (
    "Alder Ash Barrow Birch Black Bracken Bram Brook Cald Clay Cold Copper Crow Dale Dun East Elder Fair Fen Fern "
    "Flint Fox Glen Gold Grey Hale Hart Hawk Hazel Heath Hollin Horn Iron Kest Lang Lark Lind March Marl Mead Mill "
    "Moss North Oak Penn Pine Quill Rain Raven Red Rock Rowan Rush Sand Silver Snow South Stern Stone Thorn Tide Wain "
    "West White Wild Wind Winter Wolf Wren"
).split()
SURNAME_ENDINGS = (
    "acre beck berg by croft dal field gate holm hurst land ley man mark mere sen stad ton wick wood".split()
)

TITLE_OPENINGS = (
    "Amber Ancient Autumn Backward Barefoot Binary Bitter Blue Borrowed Brass Broken Burning Candle Cardinal Careless "
    "Cedar Celestial Cinder Clockwork Cobalt Copper Coral Counterfeit Crimson Crooked Crystal Curious Daring Distant "
    "Double Dusty Early Eastern Electric Emerald Empty Endless Faded Fearless Feather Final Floating Foreign Forgotten "
    "Fragile Frozen Garden Gentle Glass Gravity Half Harbour Hidden Hollow Honest Hungry Idle Impossible Indigo Inland "
    "Iron Ivory Jagged Jasmine Jealous July Kind Lantern Last Lazy Lemon Letter Lightning Linen Little Local Lonely "
    "Lunar Magnetic Marble Maple Mercury Midnight Mirror Missing Modest Monday Narrow Neon Northern Obsidian October "
    "Opal Orchard Ordinary Outer Painted Paper Parallel Patient Pepper Perfect Phantom Pocket Polar Quartz Quiet Radio "
    "Reluctant Restless Rising River Rusty Salted Sapphire Scarlet Second Secret Seven Shallow Silent Slow Solar"
).split()
TITLE_NOUNS = (
    "Accord Admiral Afternoon Alibi Almanac Anchor Apprentice Archive Arrow Atlas Avalanche Avenue Balcony Ballad "
    "Bargain Beacon Bishop Blizzard Bridge Cabin Caller Caravan Carnival Cathedral Chapter Choir Circuit Citadel Comet "
    "Compass Concerto Courier Current Daughter Decoy Delta Detour Diary Duel Echo Eclipse Embassy Engine Equation "
    "Errand Evidence Express Fable Falcon Ferry Festival Figment Forecast Fortune Fountain Fugitive Galaxy Gambit "
    "Gardener Glacier Guest Harvest Heist Heron Highway Horizon Hotel Inheritance Inquiry Island Journey Kingdom "
    "Labyrinth Ledger Legend Lighthouse Locket Machine Manor Map Marathon Meadow Melody Meridian Messenger Meteor "
    "Mosaic Neighbour Notebook Oasis Oracle Orbit Outpost Overture Parade Passage Patrol Pendulum Pilot Pioneer Planet "
    "Portrait Postcard Promise Prophet Puzzle Railway Ransom Recipe Refuge Riddle Rival Saboteur"
).split()
SEQUELS = ("", " Returns", " Revisited", " Forever")

PEOPLE = (
    "a retired cartographer|a night-shift baker|a stubborn lighthouse keeper|two rival chess masters|"
    "a travelling piano tuner|an apprentice glassblower|a disgraced detective|the last bicycle courier|"
    "a shy astronomer|a family of beekeepers|an unlucky forger|a young ship's doctor|a village choir|"
    "a runaway violinist|an ageing stuntwoman|a radio operator|three estranged sisters|a museum guard|"
    "a small-town referee|a homesick engineer"
).split("|")
DISCOVERIES = (
    "a letter posted forty years late|a door that opens only in winter|a map of a street that is not there|"
    "a stolen recipe|an unfinished symphony|a satellite that still answers|the wrong suitcase|"
    "a key to every house|an abandoned ferry|a witness nobody believes|a photograph of tomorrow|"
    "a debt that cannot be paid|a garden below the station|a clock that runs backward|a passenger without a name|"
    "an invitation for someone else"
).split("|")
TASKS = (
    "win back a lost championship|save the old cinema|cross the mountains before the snow|clear a friend's name|"
    "outwit a smooth-talking swindler|bring the whole town together|keep a promise made at sea|"
    "finish the race at any price|find the way home|tell the truth at last|repair what was broken|"
    "choose between two cities|stop the demolition|teach a robot to sing|unmask the anonymous critic|"
    "survive the longest night"
).split("|")
TONES = (
    "A tender|A fast-paced|A darkly funny|A sweeping|A quiet|A gripping|A playful|An unsettling|A generous|A wry"
).split("|")


FEATURES = ("Trailers", "Commentaries", "Deleted Scenes", "Behind the Scenes")
RATINGS = ("G", "PG", "PG-13", "R", "NC-17")
