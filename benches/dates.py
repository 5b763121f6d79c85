"""Writes events of broadcasts that spread over a year to standard output: dates.py SESSIONS. The same number gives the same events."""
import random
import sys

DAYS, BROADCASTS_A_DAY, DAY_MS = 365, 20, 86_400_000
START_MS = 1_459_711_800_000

chance = random.Random(7)
per_day = max(1, int(sys.argv[1]) // DAYS)
for day in range(DAYS):
    events = []
    for number in range(per_day):
        joined_at = START_MS + day * DAY_MS + chance.randrange(3 * 3_600_000)
        stay = (f'"broadcast_id":"b{day}-{chance.randrange(BROADCASTS_A_DAY)}","viewer_id":"v{chance.randrange(400_000)}",'
                f'"session_id":"s{day}-{number}"')
        events.append((joined_at, "join", stay))
        events.append((joined_at + 1 + chance.randrange(1_200_000), "leave", stay))
    events.sort()
    sys.stdout.writelines(f'{{"type":"{kind}",{stay},"ts":{at}}}\n' for at, kind, stay in events)
