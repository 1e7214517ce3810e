"""What the corpus's two databases hold. They differ in masked cells only: in value, in order, and in length."""

import random

PEOPLE = 40
ORDERS = 80


class World:
    """One filling. `seed` decides the masked cells; all others are the same for every seed."""

    def __init__(self, seed):
        self.random = random.Random(f"corpus {seed}")
        self.secrets = set()
        self.statements = []
        self.used = set()
        # What some masked cells hold, by column and row number.
        self.known = {}

    def secret(self, value):
        self.secrets.add(str(value))
        return value

    def digits(self, count):
        while True:
            text = "".join(self.random.choice("0123456789") for _ in range(count))
            if text[0] != "0" and text not in self.used:
                self.used.add(text)
                return text

    def word(self, low, high):
        return "".join(self.random.choice("bcdfghjklmnpqrstvwxz") for _ in range(self.random.randint(low, high)))

    def ssn(self):
        text = self.digits(9)
        return self.secret(f"{text[:3]}-{text[3:5]}-{text[5:]}")

    def date(self):
        # An everyday date could be in an answer by chance: it is paired that guards them.
        return f"19{self.random.randint(40, 99)}-{self.random.randint(1, 12):02}-{self.random.randint(1, 28):02}"

    def uuid(self):
        text = "".join(self.random.choice("0123456789abcdef") for _ in range(32))
        return self.secret(f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}")

    def insert(self, table, *cells):
        self.statements.append(f"INSERT INTO {table} VALUES ({', '.join(literal(c) for c in cells)});")

    def person(self, number):
        name = self.secret(self.word(9, 14))
        # Every fifth has no phone and no note, in both worlds: a mask keeps NULL.
        phone = None if number % 5 == 0 else self.secret("+1" + self.digits(10))
        note = None if number % 5 == 1 else f"born as {self.secret(self.word(9, 12))}" + " and so on" * self.random.randint(0, 3)
        street = self.secret(self.word(9, 13))
        self.known["people.ssn", number] = ssn = self.ssn()
        self.insert(
            "people", number, f"person {number}", number % 4 + 1, number * 7 % 10, ssn, f"{name}@{self.word(4, 6)}.example",
            phone, int(self.secret(self.digits(8))), f"{self.secret(self.digits(9))}.{self.digits(2)}", self.date(),
            f"{self.date()} 12:00:00+00", self.uuid(), f'{{"card": "{self.secret(self.digits(16))}", "n": {self.digits(3)}}}',
            f"{{{self.secret(self.word(9, 12))},{self.word(3, 4)}}}", "\\x" + self.secret(self.word(9, 12)).encode().hex(),
            f"({street},{self.digits(5)})", self.random.choice(["basic", "silver", "gold"]), self.secret(f"DE{self.digits(18)}"),
            ".".join(str(self.random.randint(10, 250)) for _ in range(4)), note, f"2020-01-{number % 28 + 1:02}")

    def fill(self):
        for number, (title, city) in enumerate([("red", "Oslo"), ("green", "Rome"), ("blue", "Lima"), ("grey", "Cairo")], 1):
            self.insert("teams", number, title, city)
        for number in range(1, PEOPLE + 1):
            self.person(number)
        for number in range(1, ORDERS + 1):
            self.insert("orders", number, number % PEOPLE + 1, f"{number * 37 % 500}.50", ["new", "paid", "sent"][number % 3],
                        f"memo {number}", f"2021-0{number % 9 + 1}-11")
        for number in range(1, 21):
            code = self.secret(self.word(10, 12))
            self.known["badges.code", number] = code
            self.insert("badges", code, number, f"2022-02-{number:02}")
            self.insert("badge_uses", number, code, f"door {number % 3}")
        at = 0
        for number in range(1, 9):
            at += self.random.randint(2, 40)
            end = at + self.random.randint(1, 9)
            self.insert("rooms", number, f"[{at},{end})")
            at = end
            self.insert("limits", number, self.random.randint(50, 90), 10)
        for number in range(1, 41):
            self.insert("events", number, ["in", "out"][number % 2], self.secret(self.word(10, 14)))
        for number in range(1, 11):
            self.insert("accounts", number, f"holder {number}", self.secret(self.digits(12)))
            self.insert("savings", number + 100, f"saver {number}", self.secret(self.digits(12)), number)
            self.insert('"Odd ""Table"', number, self.secret(self.word(9, 12)), f"word {number}")
            self.insert("a_table_whose_name_is_exactly_sixty_three_bytes_long_abcdefghij", number, self.secret(self.word(9, 12)))
            self.insert("app.people", number, self.ssn(), f"app {number}")
            self.insert("other.people", number, self.ssn(), f"other {number}")
            self.statements.append(f"INSERT INTO derived (id, ssn) VALUES ({number}, '{self.ssn()}');")
        self.rest()
        return "\n".join(self.statements)

    def rest(self):
        for number in range(1, 6):
            self.insert("scratch", number, f"body {number}", number * 10, f'{{"k": {number}}}')
            self.insert("bell", number, number)
            self.insert("secured", number, f"row {number}")
        self.statements += [
            "ALTER TABLE inbox DISABLE TRIGGER USER;",
            "INSERT INTO inbox SELECT n, 'subject ' || n, 'todo' FROM generate_series(1, 10) n;",
            "ALTER TABLE inbox ENABLE TRIGGER USER;",
            "REFRESH MATERIALIZED VIEW people_mat;",
            "REFRESH MATERIALIZED VIEW people_mat_high;",
            "REFRESH MATERIALIZED VIEW orders_mat;",
            f"SELECT lo_from_bytea(424242, '{self.secret(self.word(12, 14))}');",
            "VACUUM (FREEZE, ANALYZE);",
        ]


def literal(cell):
    if cell is None:
        return "NULL"
    if isinstance(cell, int):
        return str(cell)
    return "'" + cell.replace("'", "''") + "'"
