"""Names, places, devices and plans of the demo carrier. Nobody here is real."""

from __future__ import annotations

from typing import Final

# First names and last names by where a family may come from, the customer's likely language, and how often.
FAMILIES: Final[tuple[tuple[int, str, str, str], ...]] = (
    (34, "en",
     "James Mary Robert Patricia John Jennifer Michael Linda David Elizabeth William Barbara Richard Susan Joseph Jessica "
     "Thomas Karen Charles Sarah Christopher Lisa Daniel Nancy Matthew Sandra Anthony Ashley Mark Emily Steven Kimberly "
     "Andrew Donna Paul Michelle Joshua Carol Kenneth Amanda Kevin Melissa Brian Deborah Timothy Stephanie Jason Laura "
     "Tyler Brooke Wade June Otis Pearl Dexter Hazel Clyde Ivy Grady Nell",
     "Smith Johnson Williams Brown Jones Miller Davis Wilson Anderson Taylor Moore Jackson Martin Thompson White Harris "
     "Clark Lewis Robinson Walker Young Allen King Wright Scott Hill Green Adams Nelson Baker Hall Campbell Mitchell Carter "
     "Roberts Turner Phillips Parker Evans Edwards Collins Stewart Morris Murphy Cook Rogers Morgan Cooper Peterson Reed "
     "Bailey Kelly Howard Ward Watson Brooks Bennett Gray Hughes Price Myers Long Foster Sanders Ross Powell Sullivan "
     "Whitaker Lockhart Pennington Ashworth Caldwell Thornton Beckett Hollis Fairchild McAllister O'Brien O'Connor"),
    (19, "es",
     "José Luis Carlos Juan Miguel Jorge Alejandro Diego Sofía Camila Valentina Isabella Gabriela Mariana Lucía Elena "
     "Rosa Guadalupe Ximena Raúl Héctor Andrés Mateo Santiago Paola Daniela Verónica Marisol Ramón Esteban Pilar Inés",
     "García Rodríguez Martínez Hernández López González Pérez Sánchez Ramírez Torres Flores Rivera Gómez Díaz Reyes "
     "Morales Cruz Ortiz Gutiérrez Chávez Ramos Ruiz Mendoza Aguilar Vásquez Castillo Jiménez Núñez Peña Salazar Cordero "
     "Villanueva Montoya Zamora Ibáñez"),
    (12, "en",
     "DeShawn Aaliyah Malik Imani Darius Keisha Jamal Latoya Terrence Ebony Andre Monique Marcus Tanisha Isaiah Nia "
     "Xavier Jada Elijah Zora Reginald Simone Tyrell Amara Cedric Renée",
     "Washington Jefferson Booker Banks Gaines Dorsey Mosley Hampton Rollins Jenkins Coleman Bryant Simmons Wiggins Tate "
     "Broadnax Muhammad Gadsden Blackwell Sims Boykin Holloway Pettway Lyles"),
    (5, "zh",
     "Wei Li Ming Xiuying Jing Hao Fang Lei Yan Jun Mei Xin Na Tao Hui Qiang Ling Bo",
     "Wang Li Zhang Liu Chen Yang Huang Zhao Wu Zhou Xu Sun Ma Zhu Lin Guo He Lam Leung Cheung"),
    (5, "vi",
     "Linh Minh Anh Thanh Hương Tuấn Lan Hùng Mai Phương Đức Thảo Quang Ngọc Bình Hạnh Khoa Trang",
     "Nguyễn Trần Lê Phạm Hoàng Phan Vũ Đặng Bùi Đỗ Hồ Ngô Dương Lý"),
    (5, "en",
     "Priya Arjun Ananya Rahul Deepika Vikram Kavya Sanjay Meera Rohan Lakshmi Nikhil Asha Suresh Farhan Ayesha",
     "Patel Sharma Singh Gupta Reddy Iyer Nair Kapoor Desai Mehta Chowdhury Banerjee Rao Khan Ahmed Malhotra"),
    (4, "ko",
     "Min-jun Seo-yeon Ji-hoon Ha-eun Hyun-woo Soo-min Dong-hyun Ye-jin Jae-won Eun-ji Sung-ho Mi-kyung",
     "Kim Lee Park Choi Jung Kang Cho Yoon Jang Lim Han Shin"),
    (4, "tl",
     "Maricel Jerome Rowena Rodel Analyn Jun-jun Liza Arnel Cristina Noel Grace Efren",
     "Santos Reyes Cruz Bautista Dela-Cruz Villanueva Mendoza Aquino Pascual Manalo Soriano Dimaculangan"),
    (3, "ar",
     "Omar Layla Yusuf Fatima Khalid Noor Hassan Amira Samir Rania Tariq Huda",
     "Haddad Khoury Nasser Mansour Al-Sayed Farah Saleh Aziz Hamdan El-Masri Qureshi Najjar"),
    (3, "en",
     "Chidi Ngozi Kwame Abena Tunde Folake Emeka Adaeze Kofi Yaa Tesfaye Hanna Abdi Fadumo",
     "Okafor Adeyemi Mensah Boateng Eze Okonkwo Balogun Owusu Tadesse Bekele Warsame Mohamud Nwosu Achebe"),
    (3, "fr",
     "Jean-Pierre Marie-Claire Luc Odette Rodrigue Nadège Wilson Mirlande Frantz Guerline Étienne Solange",
     "Pierre-Louis Baptiste Jean Charles Toussaint Desrosiers Gauthier Thibodeaux Fontenot Lafleur Beaulieu Diallo"),
    (3, "ru",
     "Olga Dmitri Svetlana Igor Katya Boris Natalia Oleksandr Iryna Mykola Zoya Lev",
     "Ivanova Petrov Sokolov Shevchenko Kovalenko Bondarenko Morozov Volkov Pavlenko Melnyk Lysenko Orlov"),
)

# State, time zone, area codes, and how often. What a state taxes stands in the rulebook's billing.toml.
PLACES: Final[tuple[tuple[str, str, tuple[str, ...], int], ...]] = (
    ("WA", "America/Los_Angeles", ("206", "253", "360", "425", "509"), 14),
    ("OR", "America/Los_Angeles", ("503", "541"), 5),
    ("CA", "America/Los_Angeles", ("213", "310", "415", "510", "619", "916"), 16),
    ("AZ", "America/Phoenix", ("480", "602"), 5),
    ("CO", "America/Denver", ("303", "719"), 5),
    ("TX", "America/Chicago", ("214", "512", "713", "915"), 14),
    ("IL", "America/Chicago", ("312", "773", "847"), 7),
    ("MN", "America/Chicago", ("612", "651"), 3),
    ("GA", "America/New_York", ("404", "770"), 6),
    ("FL", "America/New_York", ("305", "407", "813"), 10),
    ("NY", "America/New_York", ("212", "718", "516"), 9),
    ("MA", "America/New_York", ("617", "508"), 4),
    ("HI", "Pacific/Honolulu", ("808",), 1),
    ("AK", "America/Anchorage", ("907",), 1),
    ("MO", "America/Chicago", ("314", "636"), 3),
)

# How the postal codes of each state's accounts begin.
POSTAL: Final = {"WA": "981", "OR": "972", "CA": "900", "AZ": "850", "CO": "802", "TX": "787", "IL": "606", "MN": "554",
                 "GA": "303", "FL": "331", "NY": "100", "MA": "021", "HI": "968", "AK": "995", "MO": "631"}

# Type allocation code, make, model, kind, price of an instalment in cents (0: not sold on instalments).
DEVICES: Final[tuple[tuple[str, str, str, str, int], ...]] = (
    ("35316011", "Apple", "iPhone 15", "phone", 2770), ("35847512", "Apple", "iPhone 14", "phone", 2083),
    ("35090417", "Apple", "iPhone 13", "phone", 0), ("35672811", "Apple", "iPhone SE", "phone", 1195),
    ("35467011", "Samsung", "Galaxy S24", "phone", 2500), ("35204985", "Samsung", "Galaxy A15", "phone", 833),
    ("35711409", "Samsung", "Galaxy S22", "phone", 0), ("35982213", "Google", "Pixel 8", "phone", 1950),
    ("35843919", "Google", "Pixel 8a", "phone", 1386), ("35166322", "Motorola", "moto g 5G", "phone", 688),
    ("86443205", "OnePlus", "Nord N30", "phone", 0), ("35400612", "TCL", "40 XL", "phone", 0),
    ("35279108", "Apple", "Watch SE", "watch", 1040), ("35519907", "Samsung", "Galaxy Watch6", "watch", 958),
    ("35688803", "Apple", "iPad 10th gen", "tablet", 1450), ("35330214", "Samsung", "Galaxy Tab A9+", "tablet", 0),
)

PLANS: Final[tuple[dict[str, object], ...]] = (
    {"code": "BASIC2", "name": "Fern Basic 2 GB", "price_minor": 2000, "data_mb": 2 * 1024, "voice_minutes": 500, "texts": 1000,
     "data_gb_price_minor": 1000, "voice_minute_price_minor": 25, "text_price_minor": 10},
    {"code": "PLUS5", "name": "Fern Plus 5 GB", "price_minor": 3000, "data_mb": 5 * 1024},
    {"code": "PLUS15", "name": "Fern Plus 15 GB", "price_minor": 4500, "data_mb": 15 * 1024},
    {"code": "UNLIMITED", "name": "Fern Unlimited", "price_minor": 5500, "data_mb": None},
    {"code": "PREMIUM", "name": "Fern Unlimited Premium", "price_minor": 7000, "data_mb": None},
    {"code": "KIDS3", "name": "Fern Kids 3 GB", "price_minor": 1800, "data_mb": 3 * 1024},
    {"code": "WATCH", "name": "Fern Watch", "price_minor": 1000, "data_mb": 1024},
    {"code": "TABLET10", "name": "Fern Tablet 10 GB", "price_minor": 2000, "data_mb": 10 * 1024},
    {"code": "DATA20", "name": "Fern Data Pack 20 GB", "price_minor": 2500, "data_mb": 20 * 1024},
    {"code": "BUSINESS", "name": "Fern Business Unlimited", "price_minor": 4800, "data_mb": None},
)
PLAN: Final = {str(plan["code"]): plan for plan in PLANS}

NEEDS: Final = (
    "Hard of hearing: speak slowly, confirm amounts by text", "Low vision: reads no texts, say amounts aloud",
    "Uses a relay operator", "Speech takes time: please wait", "Needs time: one step at a time", "Deaf: chat or texts only",
)
LIKES: Final = ("Short calls", "Texts rather than calls", "Calls after 5 pm", "To be called by the first name", "Written summaries by email")
COMPANIES: Final = (
    "Blue Heron Catering", "Juniper Street Dental", "Northgate Plumbing", "Sunrise Janitorial", "Cedar & Stone Masonry",
    "Harbor Light Realty", "Two Rivers Trucking", "Mesa Verde Landscaping", "Lakeside Veterinary", "Pinecrest Montessori",
    "Golden Bough Florist", "Ironwood Welding", "Maple Leaf Bakery", "Summit Roofing", "Silver Spoon Catering",
)
