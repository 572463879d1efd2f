"""A full day in three sandbox shops: seeded persons, what they do, and a referee who knows how the day must end.

Nothing here knows how ordersync decides. `persons` act in the shops' admin pages, `fates` say what happens to a sale,
`book` keeps what was done, `lists` reads the shops' own lists over HTTP, and `referee` compares the two.
"""
