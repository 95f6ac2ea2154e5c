"""What the process holds after so many retries: flat, or there is a leak."""

import asyncio

from bench.arena import Arena
from bench.figures import Figures
from bench.load import resident_megabytes

CROWD, EACH = 20, 5

ROUND = 2_500
"""After so many retries the peers forget them, once they are through."""

THROUGH_SECONDS = 8.0
"""So long it takes at most until the last of them was followed to its end and shown."""


async def measure_memory(arena: Arena, figures: Figures, marks: tuple[int, ...]) -> None:
    """Has people retry job after job, and looks at the memory at each of the marks.

    Args:
        marks: numbers of retries, in order.
    """
    print(f"Memory, up to {marks[-1]:,} retries")
    done, resident = 0, list[float]()
    async with arena.ours() as running:
        for mark in marks:
            while done < mark:
                if done % ROUND == 0:
                    await asyncio.sleep(THROUGH_SECONDS)
                    arena.forget()
                job_ids = arena.job_ids(CROWD * EACH)
                people = [job_ids[start : start + EACH] for start in range(0, len(job_ids), EACH)]
                await arena.typists.type(running.url, people)
                await arena.shown(len(job_ids))
                done += len(job_ids)
                arena.clear()
            await asyncio.sleep(THROUGH_SECONDS)
            resident.append(resident_megabytes(running.pid))
            figures.say(f"resident after {done:,} retries", resident[-1], "{:.0f} MB")
    figures.say("resident: last / first", resident[-1] / resident[0], "{:.2f}", "goal: 1")
