"""The paper engine's compiled part: what happens at each moment. `engine.simulate` is how to call it.

At each moment (what became known here at one time), in this order:

1. Its quotes are taken in. Size that was used comes back with the venue's next different quote.
2. Legs fill at their own venue's first quote since the decision whose exchange time is at or after their arrival
   (decision + that venue's latency), which is when they become known here too. Immediate or cancel: level by level, no
   worse than their limit, up to the quoted size not used before and to the venue's balance.
3. Everything is marked at what selling it would bring. The day's loss limit looks at that.
4. Inventory goes back to where it came from, if enough was shifted and nothing is under way.
5. One decision, on what is known: a hedge if a leg was missed, else an exit of what is held too long or pays enough to
   be traded back, else an entry. One order at a time. With zero latency it fills at this same moment, on a venue that
   quotes in it.

Inventory is pre-funded: nothing is borrowed. A position is the coins shifted from one venue to the other. A new stretch
drops what is under way, and nothing is decided until both venues have quoted in it; the rate outlasts a gap, but not
days that were left out.

| module | does |
|---|---|
| `caching` | compiles, and keeps the machine code on disk |
| `layout` | the records that all of it works on |
| `prices` | what things cost and bring |
| `legs` | orders on their way, fills |
| `decisions` | what is wanted, and what of it is sent |
| `inventory` | transfers between the venues |
| `premium` | the rolling mean of the premium |
| `skim` | moments in which nothing happens |
| `vectors` | what it does them with, several at a time |
| `play` | moments, days and stretches |
"""
