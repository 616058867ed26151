# Threads, recursion, exceptions, big numbers and JSON until the file given exists; every round must yield the same.
import hashlib, json, os, sys, threading


def deep(n):
    if n == 0:
        raise ValueError("bottom")
    return deep(n - 1) + 1


def work(number):
    total = 0
    for k in range(40):
        data = {str(x): [x, x * k, {"k": str(k)}] for x in range(20)}
        total += json.loads(json.dumps(data))["3"][1] + number
        total += int(hashlib.sha1(str(k).encode()).hexdigest(), 16) % 7
        try:
            deep(30)
        except ValueError as error:
            total += len(str(error))
    return total + len(str(3**4000))


def loop(number, rounds):
    first = work(number)
    while not os.path.exists(sys.argv[1]):
        if work(number) != first:
            os._exit(3)
        rounds[number] += 1


rounds = [0] * 4
threads = [threading.Thread(target=loop, args=(i, rounds)) for i in range(4)]
for thread in threads:
    thread.start()
print("ready", flush=True)
for thread in threads:
    thread.join()
print("right")
