# SQL with an index, an aggregate, a sort and a rollback until the file given exists; every round must yield the same.
import os, sqlite3, sys


def work(base):
    base.execute("create table item(id integer primary key, name text, value real)")
    rows = [(i, "%x" % (i * 7919 % 1009), i / 7) for i in range(200)]
    base.executemany("insert into item values (?, ?, ?)", rows)
    base.execute("create index by_name on item(name)")
    base.commit()
    base.execute("update item set value = value * 2 where id % 3 = 0")
    base.rollback()
    question = "select count(*), round(sum(value), 3), group_concat(name) from (select * from item order by name desc)"
    answer = base.execute(question + " where name > ?", ("2",)).fetchall()
    try:
        base.execute("select missing from item")
    except sqlite3.OperationalError as error:
        answer.append(str(error))
    base.execute("drop table item")
    return answer


base = sqlite3.connect(":memory:")
first = work(base)
print("ready", flush=True)
while not os.path.exists(sys.argv[1]):
    if work(base) != first:
        sys.exit(3)
print("right")
