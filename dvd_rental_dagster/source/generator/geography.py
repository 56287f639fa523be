"""Countries and cities. The countries are real; the cities are made up, in the sound of their region."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from dvd_rental_dagster.source.generator.dice import Dice, Integers, apportion
from dvd_rental_dagster.source.generator.season import CREATED, Row

CITIES = 600


class Region(NamedTuple):
    """What the cities of a part of the world are called, and its countries."""

    openings: str
    endings: str
    countries: str  # "Name weight, …": more weight, more cities; without a weight there is one city


_REGIONS = (
    Region(
        "Alder Ash Brook Clare Dun East Fair Glen Hart Kings Lang Mill New North Oak Port Red Rose South West Win",
        "bridge bury dale field ford ham haven mouth port stead ton ville",
        "Australia 11, Canada 16, Ireland 3, Jamaica 2, New Zealand 4, United Kingdom 24, United States 68",
    ),
    Region(
        "Aven Bel Cam Cast Ciel Cor Dor Fonte Gran Lor Mar Mont Nov Pal Ros San Ter Val Ver Vill",
        "abella adora alto aluna ano anova area elles ema enna eroso ia ino ola ona uera",
        "Argentina 16, Bolivia 3, Brazil 40, Chile 6, Colombia 9, Costa Rica 2, Cuba 2, "
        "Dominican Republic 3, Ecuador 4, El Salvador, France 18, Guatemala 2, Honduras, Italy 16, "
        "Mexico 32, Nicaragua, Panama, Paraguay 2, Peru 6, Portugal 4, Puerto Rico, Spain 16, Uruguay 2, Venezuela 7",
    ),
    Region(
        "Aar Berg Birk Eich Elm Falk Graven Hag Hoog Kirk Lind Lund Nord Oster Rand Sol Stein Sund Vest Wald",
        "bach borg brugge burg by dam dorf heim hof lund ried stad stein vik",
        "Austria 4, Belgium 4, Denmark 3, Estonia, Faroe Islands, Finland 3, Germany 22, Greenland, Iceland, "
        "Latvia, Liechtenstein, Lithuania, Luxembourg, Netherlands 7, Norway 3, Sweden 5, Switzerland 4",
    ),
    Region(
        "Bel Bor Brest Dobr Drag Gor Kal Kras Lub Mir Mosk Nov Ost Pod Rad Slav Star Tver Vel Zel",
        "any ava avets ec ica in ino itsa ograd ov ovice oye sk uny ynka",
        "Armenia, Azerbaijan, Belarus 2, Bulgaria 2, Croatia, Czech Republic 3, Georgia, Greece 3, Hungary 3, "
        "Kazakhstan 2, Moldova, Poland 12, Romania 4, Russian Federation 24, Serbia 2, Slovakia, Slovenia, Ukraine 7",
    ),
    Region(
        "Al-Bad Al-Nur Ama Asal Bani Dar Faz Ham Jaz Kar Khal Mah Mar Nas Qas Raf Sah Tal Yaz Zah",
        "abad an at aya eh iya im ir iyeh oun our uk un",
        "Algeria 3, Bahrain, Egypt 7, Iran 8, Iraq 3, Israel 3, Jordan, Kuwait, Lebanon, Morocco 4, Oman, Pakistan 8, "
        "Saudi Arabia 5, Sudan 2, Tunisia 2, Turkey 13, United Arab Emirates 3, Yemen 2",
    ),
    Region(
        "Abu Ake Bama Buka Chi Dodo Eni Gabo Ibo Juba Kam Kisa Lago Mba Mwa Nai Oko Sene Tama Zulu",
        "bo dan di do ga go ko kuru la li mba na ra ri to wa",
        "Angola 2, Cameroon 2, Ethiopia 3, Ghana 2, Kenya 3, Madagascar, Mozambique 2, Namibia, Nigeria 9, Senegal, "
        "South Africa 8, Tanzania 2, Zambia",
    ),
    Region(
        "An Bao Chen Da Fuji Guang Hana Hoi Jin Kawa Lin Ming Nam Oka Qing Sho Tai Yama Yun Zhen",
        "bei cheng do hai hama jima jing kou moto nan ning shan shi to yang zhou",
        "China 34, Japan 20, Malaysia 3, South Korea 8, Taiwan 4, Thailand 4, Vietnam 5",
    ),
    Region(
        "Amar Bala Chandra Deva Gopal Hari Indra Jaya Kala Lakshmi Mahan Nanda Padma Raja Sita Suma Tula Vija",
        "bandung gan gaon garh kota nagar pali para patnam pur puram tala",
        "Bangladesh 3, India 42, Indonesia 12, Nepal, Philippines 9",
    ),
)


def _countries() -> Iterator[tuple[str, Region, int]]:
    """Name, region and weight of each country, by name."""
    for region in _REGIONS:
        for entry in region.countries.split(", "):
            name, _, weight = entry.rpartition(" ")
            yield (name, region, int(weight)) if weight.isdigit() else (entry, region, 1)


_COUNTRIES = tuple(sorted(_countries()))
COUNTRIES = tuple(name for name, _, _ in _COUNTRIES)


class Geography:
    """Where the cities lie, and what they are called.

    ``country_of_city`` holds the position of the country in ``COUNTRIES`` of each of the ``CITIES`` cities.
    """

    def __init__(self, dice: Dice) -> None:
        weights = np.array([weight for _, _, weight in _COUNTRIES])
        cities = 1 + apportion(CITIES - len(COUNTRIES), weights - 1)
        country_by_name = np.repeat(np.arange(len(COUNTRIES)), cities)
        self._dice = dice
        self.country_of_city: Integers = country_by_name[dice.permutation("city", CITIES)]
        self.city_names = self._name_cities()

    def city_rows(self) -> Iterator[Row]:
        """Rows of ``city``."""
        for city, name in enumerate(self.city_names):
            yield city + 1, name, int(self.country_of_city[city]) + 1, CREATED

    def _name_cities(self) -> list[str]:
        """A name for each city, none twice but one: the first cities of the first two regions are namesakes."""
        unused = {region: self._names_in(region) for region in _REGIONS}
        regions = [_COUNTRIES[country][1] for country in self.country_of_city]
        taken: set[str] = set()
        names = []
        for region in regions:
            name = next(name for name in unused[region] if name not in taken)
            taken.add(name)
            names.append(name)
        names[regions.index(_REGIONS[1])] = names[regions.index(_REGIONS[0])]
        return names

    def _names_in(self, region: Region) -> Iterator[str]:
        openings, endings = region.openings.split(), region.endings.split()
        for number in self._dice.permutation(f"city names, {openings[0]}", len(openings) * len(endings)):
            yield openings[number // len(endings)] + endings[number % len(endings)]


def country_rows() -> Iterator[Row]:
    """Rows of ``country``."""
    for number, name in enumerate(COUNTRIES, start=1):
        yield number, name, CREATED
